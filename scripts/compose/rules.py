"""Rules that docker-compose.yml keeps, each a function from the document to what breaks it. An empty list is a pass.

Owns the exceptions, each with its reason. Refuses to know an engine: `docker compose config` is the end-to-end run's.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Document = Mapping[str, Any]

SCALED: Final = ("order", "notification", "analytics", "storage", "compute")
ROOT: Final = {
    "init": "gives files to the users of other images; it has no network",
    "log-collector": "Docker's files are root's; it has no capability and mounts them read-only",
}
UNASKED: Final = {
    "otel-collector": "its image has nothing to ask with",
    "log-collector": "likewise",
    "loki": "its image has no shell",
}
MAY_ADD: Final = {"init": {"CHOWN", "DAC_OVERRIDE"}}
READERS: Final = {"databases": "postgres"}  # whose secrets a service reads that has none of its own name
_GRACE: Final = 6.0  # seconds: production's drain and the requests in progress
_SECRET: Final = re.compile(r"PASSWORD|SECRET|TOKENS?$|_KEY$|PEPPER|(REDIS|DATABASE)_URL")


def broken(document: Document) -> list[str]:
    """Everything that is wrong, a line each."""
    return [line for rule in RULES for line in rule(document)]


def _services(document: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from document["services"].items()


def _mounts(service: Mapping[str, Any]) -> Iterator[str]:
    """Each as its short form, `source:target:ro`."""
    for mount in service.get("volumes", ()):
        if isinstance(mount, Mapping):
            place = "./" if mount["type"] == "bind" and mount["source"][0] not in "./~$" else ""
            yield f"{place}{mount['source']}:{mount['target']}{':ro' if mount.get('read_only') else ''}"
        else:
            yield str(mount)


def _default(value: object) -> str:
    """What holds where nothing is said."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", str(value))


def _bytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([kmg])b?", size).groups()  # type: ignore[union-attr]
    return int(number) << {"k": 10, "m": 20, "g": 30}[unit]


def names_are_free(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        if "container_name" in service:
            yield f"{name} has a container_name: a second hub, or a replica, could not start"


def images_are_pinned(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        _, _, tag = str(service.get("image", "")).partition(":")
        if not tag or tag.startswith("latest"):
            yield f"{name}'s image has no tag of its own"


def no_registry_is_asked_for_ours(document: Document) -> Iterator[str]:
    """`cortex-hub/…` is docker.io's, and not ours there. `never` still builds what is not there."""
    for name, service in _services(document):
        if str(service.get("image", "")).startswith("cortex-hub/") and service.get("pull_policy") != "never":
            yield f"{name}'s image would be asked of a registry"


def ports_are_local(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        for port in service.get("ports", ()):
            if not re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", str(port)):
                yield f"{name}'s port {port} is not 127.0.0.1:${{NAME:-default}}:port"
            if name in SCALED:
                yield f"{name} publishes {port}: it cannot be scaled"


def nothing_is_more_than_needed(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
        yield from (f"{name} has no {key}" for key, value in wanted.items() if service.get(key) != value)
        if extra := set(service.get("cap_add", ())) - MAY_ADD.get(name, set()):
            yield f"{name} adds {', '.join(sorted(extra))}"
        for key in ("privileged", "pid", "ipc", "devices", "userns_mode", "cgroup", "uts"):
            if key in service:
                yield f"{name} has {key}"
        if service.get("network_mode", "none") != "none":
            yield f"{name} is on {service['network_mode']}"
        user = str(service.get("user", "0"))
        if user.split(":", maxsplit=1)[0] in {"0", "root"} and name not in ROOT:
            yield f"{name} runs as root"


def everything_is_bounded(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        for key in ("mem_limit", "cpus", "pids_limit"):
            if key not in service:
                yield f"{name} has no {key}"
        if float(_default(service.get("cpus", 0))) > 1:
            yield f"{name} does not start on one CPU"
        if "max-size" not in service.get("logging", {}).get("options", {}):
            yield f"{name}'s log grows for ever"
        if float(str(service.get("stop_grace_period", "0s")).removesuffix("s")) <= _GRACE:
            yield f"{name} is killed before it has drained"


def redis_refuses_before_it_is_killed(document: Document) -> Iterator[str]:
    redis = document["services"]["redis"]
    most = re.search(r"--maxmemory (\d+[kmg]b)", " ".join(map(str, redis["command"])))
    if most is None:
        yield "redis has no --maxmemory"
    elif _bytes(most[1]) * 2 > _bytes(str(redis["mem_limit"])):
        yield f"redis may use {most[1]}, and a copy of it while its log is rewritten: more than {redis['mem_limit']}"


def everything_is_asked(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        asked = "test" in service.get("healthcheck", {})
        once = service.get("restart") == "no"
        if not asked and not once and name not in UNASKED:
            yield f"{name} has no health check"
        if not once and service.get("restart") != "unless-stopped":
            yield f"{name} does not come back"


def mounts_are_few(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        for mount in _mounts(service):
            if "docker.sock" in mount:
                yield f"{name} has the engine's socket"
            if mount.startswith((".", "/", "~", "${")) and not mount.endswith(":ro"):
                yield f"{name} can write {mount}"
        for mount in service.get("volumes", ()):
            if str(mount).startswith("${CORTEX_SECRETS"):
                yield f"{name}: a path of yours with a colon, or without a slash, is something else in a short mount"


def secrets_have_one_reader(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        for mount in _mounts(service):
            volume, _, place = mount.partition(":")
            if not volume.startswith("secrets") or name == "init":
                continue
            owner = READERS.get(name, name.removesuffix("-migrate"))
            if volume != f"secrets-{owner}":
                yield f"{name} reads {volume}"
            if place != "/run/secrets:ro":
                yield f"{name} mounts {volume} at {place}"


def secrets_are_files(document: Document) -> Iterator[str]:
    for name, service in _services(document):
        for variable, value in (service.get("environment") or {}).items():
            path = re.fullmatch(r"(\$\{\w+-)?/run/secrets/\w+\}?", str(value))
            if _SECRET.search(variable.removesuffix("_FILE").removesuffix("_")) and not path:
                yield f"{name} is told {variable} in its environment"
            if re.search(r"://[^/]*:[^/]*@", str(value)):
                yield f"{name}'s {variable} holds a password"
        for word in (*service.get("command", ()), *service.get("entrypoint", ())):
            if re.search(r"--(requirepass|password)", str(word)):
                yield f"{name} shows a password in its arguments"


def data_is_inside(document: Document) -> Iterator[str]:
    networks = document["networks"]
    for store, network in (("redis", "bus"), ("postgres", "data")):
        service = document["services"][store]
        if service.get("networks") != [network] or not (networks.get(network) or {}).get("internal"):
            yield f"{store} is not on the internal network {network} alone"
        if "ports" in service:
            yield f"{store} can be reached from outside"


def starts_in_order(document: Document) -> Iterator[str]:
    services = document["services"]
    for name, service in _services(document):
        for other, how in service.get("depends_on", {}).items():
            once = services[other].get("restart") == "no"
            wanted = "service_completed_successfully" if once else "service_healthy"
            if how.get("condition") != wanted:
                yield f"{name} does not wait for {other} ({wanted})"


def volumes_are_named(document: Document) -> Iterator[str]:
    used = set()
    for name, service in _services(document):
        for mount in _mounts(service):
            if not mount.startswith((".", "/", "~", "${")):
                used.add(mount.partition(":")[0])
        written = [mount for mount in _mounts(service) if mount.startswith("/")]
        yield from (f"{name} has an anonymous or absolute volume {mount}" for mount in written)
    yield from (f"the volume {volume} is used by nobody" for volume in document["volumes"].keys() - used)


RULES: Final[tuple[Callable[[Document], Iterator[str]], ...]] = (
    names_are_free,
    images_are_pinned,
    no_registry_is_asked_for_ours,
    ports_are_local,
    nothing_is_more_than_needed,
    everything_is_bounded,
    redis_refuses_before_it_is_killed,
    everything_is_asked,
    mounts_are_few,
    secrets_have_one_reader,
    secrets_are_files,
    data_is_inside,
    starts_in_order,
    volumes_are_named,
)
