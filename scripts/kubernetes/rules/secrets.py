"""Rules of what a container is told: by names its program knows, and secrets by files, never by value."""

import importlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from scripts.kubernetes.objects import Container, Object, at, of, where, workloads

SERVICES: Final = ("gateway", "order", "notification", "analytics", "storage", "compute")
_OTHERS: Final = {
    "cortex_order.sandbox": re.compile(r"CORTEX_ENV|SANDBOX_[A-Z_]+"),
    "postgres": re.compile(
        r"POSTGRES_(USER|DB|PASSWORD_FILE|INITDB_ARGS|HOST_AUTH_METHOD)|PGDATA|PG(HOST|USER|PORT|DATABASE)"
    ),
    "redis": re.compile(r"$^"),
}
_TRUST: Final = frozenset({"SSL_CERT_FILE", "PGSSLROOTCERT"})
"""Of OpenSSL and of PostgreSQL's client, in every program: whom TLS trusts."""
_SCRIPTED: Final = re.compile(
    r"CORTEX_(TOKEN(_FILE)?|URL)|SECRET_[A-Z_]+|HUB_[A-Z_]+|POD_(NAME|NAMESPACE)|PYTHON[A-Z]+"
)
"""What a program given on the command line (`python -c`, a mounted file) may be told."""
_SECRET: Final = re.compile(r"PASSWORD|SECRET|TOKEN|PEPPER|DATABASE_URL|REDIS_URL|SIGNING_KEY|PRIVATE")
_PUBLIC: Final = re.compile(r"_FILE$|_ISSUER$|_AUDIENCE$|GATEWAY_STATIC_TOKENS$|SIGNING_KEY$")
"""Of these, the ones that name a file or say nothing secret."""

_HELD: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+\w{16}"  # a key, not a program's word for one
    r"|://[^/@\s:]*:[^/@\s${}%]+@"  # an address with a password
    r"|\bst_[A-Za-z0-9]{32}"  # a static token
)


@cache
def variables(service: str) -> frozenset[str]:
    """What the settings of `service` are read from, each also from the file that `…_FILE` names."""
    settings = importlib.import_module(f"cortex_{service}.settings").Settings
    names = {settings.variable(field) for field in settings.model_fields}
    return frozenset(names | {f"{name}_FILE" for name in names} | _TRUST)


def variables_are_known(objects: Sequence[Object]) -> Iterator[str]:
    """Every variable given to a container is one that its program reads."""
    maps = {at(one, "metadata").get("name"): set(at(one, "data")) for one in of(objects, "ConfigMap")}
    for workload in workloads(objects):
        for container in workload.containers:
            given = set(container.environment)
            for source in container.spec.get("envFrom", ()):
                from_map = at(source, "configMapRef").get("name")
                if from_map not in maps:
                    yield f"{container.where}: envFrom names {source}, which is no ConfigMap of the chart"
                given |= maps.get(from_map, set())
            yield from (
                f"{container.where}: {name} is no setting of it"
                for name in sorted(given)
                if not _known(container, name)
            )


def _known(container: Container, name: str) -> bool:
    service, program = container.service, container.program
    if program in _OTHERS:
        return bool(_OTHERS[program].fullmatch(name))
    if program is not None and service in SERVICES and program == f"cortex_{service}.main":
        return name in variables(service)
    if service is not None:
        return bool(_SCRIPTED.fullmatch(name))
    other = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return other in _OTHERS and bool(_OTHERS[other].fullmatch(name))


def secrets_are_files(objects: Sequence[Object]) -> Iterator[str]:
    """No secret is a value of a variable, written out or referred to: a child and a crash dump show those."""
    for workload in workloads(objects):
        for container in workload.containers:
            for name, value in container.environment.items():
                if at(value, "secretKeyRef"):
                    yield f"{container.where}: {name} is filled from a Secret; mount it and name the file"
                elif isinstance(value, str) and _SECRET.search(name) and not _PUBLIC.search(name):
                    yield f"{container.where}: {name} is written out"
                elif isinstance(value, str) and re.search(r"://[^/@\s]*:[^/@\s]+@", value):
                    yield f"{container.where}: {name} holds a URL with a password"
            for source in container.spec.get("envFrom", ()):
                if "secretRef" in source:
                    yield f"{container.where}: envFrom fills variables from a Secret"


def config_maps_hold_no_secret(objects: Sequence[Object]) -> Iterator[str]:
    """A ConfigMap holds no password, token or private key."""
    for one in of(objects, "ConfigMap"):
        for key, value in {**at(one, "data")}.items():
            if _HELD.search(str(value)):
                yield f"{where(one)}: {key} holds what only a Secret may"
            if _SECRET.search(key) and not _PUBLIC.search(key) and key.isupper():
                yield f"{where(one)}: {key} is a secret's name"


def each_reads_only_its_own(objects: Sequence[Object]) -> Iterator[str]:
    """Of a Secret of several keys a pod mounts named ones; the private key and the tokens are the gateway's."""
    for workload in workloads(objects):
        for volume in workload.spec.get("volumes", ()):
            for name, keys in _mounted(volume):
                if not keys and not _of_its_own(objects, name):
                    yield f"{workload.where}: the volume {volume['name']} mounts all of the Secret {name}"
                private = {key for key in keys if re.search(r"signing|private|tls\.key|^token", key)}
                if private and not any(each.service == "gateway" for each in workload.containers):
                    yield f"{workload.where}: reads {', '.join(sorted(private))} of {name}, which is the gateway's"


def _mounted(volume: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    sources = [volume, *at(volume, "projected").get("sources", ())]
    for source in sources:
        secret = at(source, "secret")
        if secret:
            yield str(secret.get("secretName", secret.get("name"))), {item["key"] for item in secret.get("items", ())}


def _of_its_own(objects: Sequence[Object], name: str) -> bool:
    """A Secret of one key is read whole."""
    for one in of(objects, "Secret"):
        if at(one, "metadata").get("name") == name:
            return len({**at(one, "data"), **at(one, "stringData")}) == 1
    return False


RULES = (variables_are_known, secrets_are_files, config_maps_hold_no_secret, each_reads_only_its_own)
