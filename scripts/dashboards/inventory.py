"""What the services measure: each is started in this process, on a bus in memory and a database of its own, and asked.

Owns observability/metrics.json, which everything else here is made from. A family's labels are those it was declared
with; where somebody else's collector makes it at each scrape, those it says or shows.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final

SERVICES: Final = ("gateway", "order", "notification", "analytics", "storage", "compute")
_PARTS: Final = frozenset({"le", "quantile"})  # of a family's own samples: no label that anybody chose


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: `kind` is counter, gauge or histogram; a counter's name ends in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    services: tuple[str, ...]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Family":
        return cls(data["name"], data["kind"], tuple(data["labels"]), data["help"], tuple(data["services"]))

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "labels": list(self.labels),
            "help": self.help,
            "services": list(self.services),
        }


def ask_services() -> list[Family]:
    """Takes some seconds. Their log lines stay away."""
    from cortex_core.observability import configure_logging

    configure_logging(service="figures", level="error", stream=sys.stderr)
    return together(asyncio.run(_ask(service)) for service in SERVICES)


def together(told: Iterable[Iterable[Family]]) -> list[Family]:
    """What several services told, by name. Raises ValueError where they mean different things by one."""
    found: dict[str, Family] = {}
    for family in chain.from_iterable(told):
        known = found.get(family.name)
        if known is None:
            found[family.name] = family
        elif (known.kind, known.labels) != (family.kind, family.labels):
            raise ValueError(f"{family.name} is {known} and {family}: one name is one figure")
        else:
            found[family.name] = replace(known, services=(*known.services, *family.services))
    return sorted(found.values(), key=lambda family: family.name)


def to_text(families: Iterable[Family]) -> str:
    return json.dumps([family.as_json() for family in families], indent=1, ensure_ascii=False) + "\n"


def from_text(text: str) -> list[Family]:
    return [Family.from_json(each) for each in json.loads(text)]


async def _ask(service: str) -> list[Family]:
    from cortex_core.chassis.bus import BusReporter
    from cortex_core.chassis.connection_reporter import ConnectionReporter
    from cortex_core.events import MemoryEventBus
    from cortex_core.testing import serving

    with tempfile.TemporaryDirectory(prefix="figures-") as folder:
        settings = import_module(f"cortex_{service}.settings").Settings(**_told(service, Path(folder)))
        app = import_module(f"cortex_{service}.wiring").build(settings, bus=MemoryEventBus())
        platform = app.state.platform
        BusReporter(platform.metrics, platform.logger)  # the bus in Redis has it, and so has every real process
        ConnectionReporter(platform.metrics, platform.logger)  # the server has it
        async with serving(app) as client:
            async with client.get("/metrics") as answer:
                answer.raise_for_status()
            return list(_families(service, platform.metrics.registry))


def _told(service: str, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = {"env": "test"}
    if service in {"order", "analytics", "storage"}:
        told["database_url"] = f"sqlite+aiosqlite:///{folder / 'figures.db'}"
    if service == "analytics":
        told["exporter_port"] = 0
    if service == "storage":
        told["blocks_dir"] = folder / "blocks"
    if service == "gateway":
        told["rate_limit_store"] = "memory"
    return told


def _families(service: str, registry: Any) -> Iterator[Family]:
    declared = {each._name: tuple(each._labelnames) for each in registry._collector_to_names if hasattr(each, "_name")}
    for family in registry.collect():
        said = getattr(family, "_labelnames", ())  # one that a collector made, perhaps without any sample
        shown = {label for sample in family.samples for label in sample.labels} - _PARTS
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = declared.get(family.name, said or tuple(sorted(shown)))
        yield Family(name, family.type, labels, family.documentation, (service,))
