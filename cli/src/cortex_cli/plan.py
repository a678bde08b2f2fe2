"""What a hub consists of: each process with its command line, its environment and how to ask whether it is ready.

Owns the variables by which services find each other, Redis, their data and their keys. A database the person has chosen
(`ORDER_DATABASE_URL` …) is theirs; addresses are ours. Refuses to start anything: that is `supervisor`.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from cortex_cli.development_keys import DevelopmentKeys
from cortex_cli.ports import free_port, require_free
from cortex_cli.probe import Answer, http_ready
from cortex_cli.redis_server import RedisServer
from cortex_cli.refusal import Refusal
from cortex_cli.state import Member, State
from cortex_cli.topology import HOST, Helper, Service, Topology

_GRACE: Final = "2"  # seconds a service gets for requests in progress: the whole hub ends within five


@dataclass(frozen=True, slots=True)
class Program:
    """One process to be. `name` is also its log's name."""

    name: str
    kind: Literal["redis", "helper", "service"]
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    url: str
    ready: Callable[[], Awaitable[Answer]]

    def member(self) -> Member:
        """Its line in the record, before it runs."""
        return Member(self.name, self.kind, self.url)


def plan(whole: Topology, chosen: Topology, state: State) -> list[Program]:
    """The processes of `chosen`, in the order they start. Services know the addresses of the `whole` hub.

    Keys are made where there are none yet; services are told of them, helpers and Redis are not. Raises Refusal where a
    port is taken or no Redis is to be had.
    """
    require_free(_listening(chosen))
    taken = {port for _, port in _listening(whole)}
    helpers = {helper.name: free_port(taken) for helper in chosen.helpers}

    env = _inherited()
    programs = []
    if any("redis" in service.needs for service in chosen.services):
        url = _redis_of_the_person()
        if url is None:
            server = RedisServer.on(state)
            url = server.url
            programs.append(Program("redis", "redis", server.argv, env, state.log("redis"), url, server.ready))
        env |= {"CORTEX_REDIS_URL": url}
    behind = [service for service in whole.services if service.name != "gateway"]
    env |= {f"GATEWAY_{service.name.upper()}_URL": service.url for service in behind}
    env |= {helper.url_env: f"http://{HOST}:{helpers[helper.name]}" for helper in chosen.helpers}

    programs += [_helper(helper, helpers[helper.name], env, state) for helper in chosen.helpers]
    keys = DevelopmentKeys.of(state.folder)
    keys.ensure()
    for service in chosen.services:
        theirs = keys.environment(gateway=service.name == "gateway")
        programs.append(_service(service, {**theirs, **env}, state))
    return programs


def _redis_of_the_person() -> str | None:
    url = os.environ.get("CORTEX_REDIS_URL")
    if url and urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise Refusal("CORTEX_REDIS_URL must begin with redis://, rediss:// or unix://; unset, a Redis is started")
    return url or None


def _listening(topology: Topology) -> list[tuple[str, int]]:
    services = [(service.name, service.port) for service in topology.services]
    exporters = [(f"{service.name}'s exporter", service.exporter_port) for service in topology.services]
    return services + [(purpose, port) for purpose, port in exporters if port is not None]


def _inherited() -> dict[str, str]:
    env = dict(os.environ)
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiling everything at each start costs seconds
    env.pop("CORTEX_TOKEN", None)  # the person's own, and no service's
    return env | {"CORTEX_ENV": "development"}


def _service(service: Service, env: Mapping[str, str], state: State) -> Program:
    prefix = service.name.upper()
    theirs = {f"{prefix}_SHUTDOWN_GRACE": _GRACE}
    theirs |= _database(service, state)
    if "blocks" in service.needs:
        theirs[f"{prefix}_BLOCKS_DIR"] = str(state.data / service.name / "blocks")
    ours = {f"{prefix}_HOST": HOST, f"{prefix}_PORT": str(service.port)}
    if service.exporter_port is not None:
        ours[f"{prefix}_EXPORTER_PORT"] = str(service.exporter_port)
    return _python(service.name, "service", service.module, {**theirs, **env, **ours}, service.url, state)


def environment_of(service: Service, state: State) -> dict[str, str]:
    """What `service` is told in the hub on `state`, as far as its data goes: for commands that look after those. What
    the person has set is stronger."""
    return {**_database(service, state), **_inherited()}


def _database(service: Service, state: State) -> dict[str, str]:
    if "database" not in service.needs:
        return {}
    url = f"sqlite+aiosqlite:///{quote(str(state.data / service.name))}.db"
    return {f"{service.name.upper()}_DATABASE_URL": url}


def _helper(helper: Helper, port: int, env: Mapping[str, str], state: State) -> Program:
    url = f"http://{HOST}:{port}"
    return _python(helper.name, "helper", helper.module, env, url, state, f"--host={HOST}", f"--port={port}")


def _python(
    name: str,
    kind: Literal["helper", "service"],
    module: str,
    env: Mapping[str, str],
    url: str,
    state: State,
    *arguments: str,
) -> Program:
    # -P: what lies in the person's current folder is no module of ours
    argv = (sys.executable, "-P", "-m", module, *arguments)
    return Program(name, kind, argv, env, state.log(name), url, partial(http_ready, url))
