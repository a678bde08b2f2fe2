"""The hub on a page, read: which services there are, where they listen, what they need. `topology.toml` is the source.

Owns ports: the topology's own, or `--port-base N` counted up from N. Refuses to know how a process is started.
"""

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cortex_cli.refusal import Refusal

HOST = "127.0.0.1"
HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Service:
    """One service: `python -m module`, on `port` of the loopback interface."""

    name: str
    module: str
    port: int
    needs: tuple[str, ...] = ()
    summary: str = ""
    exporter_port: int | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class Helper:
    """A process of a development hub that is no service. `for_service` hears of it by the variable `url_env`."""

    name: str
    module: str
    url_env: str
    for_service: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """Services in the file's order, the gateway first."""

    services: tuple[Service, ...]
    helpers: tuple[Helper, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(service.name for service in self.services)

    def on_ports_from(self, base: int) -> "Topology":
        """The same hub on base, base + 1, … in order; exporters come after the services."""
        last = base + len(self.services) + sum(service.exporter_port is not None for service in self.services) - 1
        if base < 1 or last > HIGHEST_PORT:
            raise Refusal(
                f"--port-base {base} leaves no room: ports {base} to {last} must be between 1 and {HIGHEST_PORT}"
            )
        services, exporter = [], base + len(self.services)
        for port, service in enumerate(self.services, start=base):
            exports = service.exporter_port is not None
            services.append(replace(service, port=port, exporter_port=exporter if exports else None))
            exporter += exports
        return replace(self, services=tuple(services))

    def only(self, names: str) -> "Topology":
        """The named ones (`order,gateway`) and their helpers. Ports stay what they are."""
        wanted = {name.strip() for name in names.split(",") if name.strip()}
        unknown = sorted(wanted - set(self.names))
        if unknown or not wanted:
            raise Refusal(
                f"--only knows {', '.join(self.names)}; not {', '.join(unknown) or 'nothing at all'}", status=2
            )
        return Topology(
            tuple(service for service in self.services if service.name in wanted),
            tuple(helper for helper in self.helpers if helper.for_service in wanted),
        )


def read_topology(path: Path | None = None) -> Topology:
    """From `path`, else from where CORTEX_TOPOLOGY says, else the hub's own, which comes with this package."""
    own = Path(__file__).with_name("topology.toml")
    path = path or Path(os.environ.get("CORTEX_TOPOLOGY") or own)
    try:
        page = tomllib.loads(path.read_text())
        return Topology(
            tuple(_service(name, entry) for name, entry in page["services"].items()),
            tuple(_helper(name, entry) for name, entry in page.get("helpers", {}).items()),
        )
    except OSError as error:
        raise Refusal(f"cannot read the topology {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, KeyError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is not a topology: {type(error).__name__}: {error}") from error


def _service(name: str, entry: dict[str, Any]) -> Service:
    return Service(
        name=name,
        module=entry["module"],
        port=entry["port"],
        needs=tuple(entry.get("needs", ())),
        summary=entry.get("summary", ""),
        exporter_port=entry.get("exporter_port"),
    )


def _helper(name: str, entry: dict[str, Any]) -> Helper:
    return Helper(name, entry["module"], entry["url_env"], entry["with"], entry.get("summary", ""))
