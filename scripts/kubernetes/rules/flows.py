"""Rules of the network: default deny both ways; what topology.toml says is needed may flow, and nothing else."""

import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from scripts.kubernetes.network import may_connect, policies_of
from scripts.kubernetes.objects import Object, Workload, at, name, of, selects, where, workloads

ROOT: Final = Path(__file__).parents[3]
_STORES: Final = {"redis": ("redis", 6379), "database": ("postgresql", 5432), "payments": ("payments", 3010)}
_DNS: Final = 53
_CLIENT: Final = "cortex-hub/client"  # the label of pods that are not the chart's, and may come to the gateway


@cache
def needed() -> frozenset[tuple[str, str, int]]:
    """(who asks, who is asked, port), by role: from the topology's `needs`, and what follows from being the gateway."""
    services: dict[str, Any] = tomllib.loads((ROOT / "topology.toml").read_text())["services"]
    flows = {("gateway", name, service["port"]) for name, service in services.items() if name != "gateway"}
    flows |= {("gateway", *_STORES["redis"]), ("test", "gateway", services["gateway"]["port"])}
    for asking, service in services.items():
        flows |= {(asking, *_STORES[need]) for need in service["needs"] if need in _STORES}
        if "database" in service["needs"]:
            flows.add(("migration", *_STORES["database"]))
    return frozenset(flows)


def role(workload: Workload) -> str:
    """What a pod is to the others: a service, a store, the sandbox, or a Job that migrates, tests, makes things."""
    containers = [each for each in workload.containers if not each.init]
    if any(each.command[:2] == ["db", "upgrade"] or each.command[-2:] == ["db", "upgrade"] for each in containers):
        return "migration"
    return workload.component


def everything_is_denied_first(objects: Sequence[Object]) -> Iterator[str]:
    """Every pod is selected by a policy of each direction."""
    if not any(of(objects, "NetworkPolicy")):
        return
    for workload in workloads(objects):
        for direction in ("Ingress", "Egress"):
            if not policies_of(objects, workload, direction):
                yield f"{workload.where}: no NetworkPolicy of {direction}"


def needed_flows_are_allowed(objects: Sequence[Object]) -> Iterator[str]:
    """Whatever a service needs, by topology.toml, it may reach; and nothing reaches anything else."""
    if not any(of(objects, "NetworkPolicy")):
        return
    every = workloads(objects)
    namespace = next((str(at(one, "metadata").get("namespace")) for one in of(objects, "NetworkPolicy")), "")
    for client in every:
        for server in every:
            for port in sorted(set(server.ports.values())) if server is not client else ():
                wanted = (role(client), role(server), port) in needed()
                if may_connect(objects, client, server, port, namespace=namespace) is not wanted:
                    yield f"{client.where}: {'cannot reach' if wanted else 'can reach'} {server.where} at {port}"


def everybody_finds_names(objects: Sequence[Object]) -> Iterator[str]:
    """Every pod that asks anybody may ask DNS, over UDP and TCP."""
    for workload in workloads(objects):
        rules = [rule for one in policies_of(objects, workload, "Egress") for rule in at(one, "spec").get("egress", ())]
        if not rules:
            continue
        asked = {
            entry.get("protocol", "TCP")
            for rule in rules
            for entry in rule.get("ports", ())
            if entry.get("port") == _DNS
        }
        if asked != {"UDP", "TCP"}:
            yield f"{workload.where}: may ask DNS over {' and '.join(sorted(asked)) or 'nothing'}"


def policies_select_somebody(objects: Sequence[Object]) -> Iterator[str]:
    """Each policy, and each peer that it names, selects pods that are there; no peer is everybody, but for DNS and
    on the ports of what is outside, where nobody has said where that is."""
    every = workloads(objects)
    for one in of(objects, "NetworkPolicy"):
        if not any(selects(at(one, "spec").get("podSelector"), workload.labels) for workload in every):
            yield f"{where(one)}: selects nobody"
        for direction, field in (("ingress", "from"), ("egress", "to")):
            for rule in at(one, "spec").get(direction, ()):
                ports = {entry.get("port") for entry in rule.get("ports", ())}
                outside = direction == "egress" and "-external-" in name(one) and ports
                if not rule.get(field) and ports != {_DNS} and not outside:
                    yield f"{where(one)}: {direction} {field} everybody"
                for peer in rule.get(field, ()):
                    if "namespaceSelector" in peer or "podSelector" not in peer or _CLIENT in str(peer):
                        continue
                    if not any(selects(peer["podSelector"], workload.labels) for workload in every):
                        yield f"{where(one)}: {direction} {field} pods that are not there"


RULES = (everything_is_denied_first, needed_flows_are_allowed, everybody_finds_names, policies_select_somebody)
