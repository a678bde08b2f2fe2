"""NetworkPolicies, evaluated: may this pod reach that one at this port? As the API says it, for pods of one namespace.

A connection needs leave twice, from the egress of who asks and from the ingress of who is asked. A pod that no policy
of a direction selects is open in that direction.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from scripts.kubernetes.objects import Object, Workload, at, of, selects

Direction = Literal["Ingress", "Egress"]
_PEERS: Final = {"Ingress": "from", "Egress": "to"}
_OUTSIDE: Final = ipaddress.ip_address("10.244.0.7")  # a pod's address, as clusters have them


def policies_of(objects: Sequence[Object], pod: Workload, direction: Direction) -> list[Object]:
    return [
        one
        for one in of(objects, "NetworkPolicy")
        if direction in _types(one) and selects(at(one, "spec").get("podSelector"), pod.labels)
    ]


def _types(policy: Object) -> Sequence[str]:
    spec = at(policy, "spec")
    return spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])


def may_connect(objects: Sequence[Object], client: Workload, server: Workload, port: int, *, namespace: str) -> bool:
    """By TCP."""
    out = _allows(policies_of(objects, client, "Egress"), "Egress", server, server, port, namespace)
    return out and _allows(policies_of(objects, server, "Ingress"), "Ingress", client, server, port, namespace)


def _allows(
    policies: list[Object], direction: Direction, peer: Workload, server: Workload, port: int, namespace: str
) -> bool:
    if not policies:
        return True
    rules = (rule for one in policies for rule in at(one, "spec").get(direction.lower(), ()))
    return any(_peers(rule, direction, peer, namespace) and _port(rule, server, port) for rule in rules)


def _peers(rule: Mapping[str, Any], direction: Direction, pod: Workload, namespace: str) -> bool:
    peers: Iterable[Mapping[str, Any]] = rule.get(_PEERS[direction]) or ()
    return not peers or any(_peer(each, pod, namespace) for each in peers)


def _peer(peer: Mapping[str, Any], pod: Workload, namespace: str) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        inside = _OUTSIDE in ipaddress.ip_network(block["cidr"])
        return inside and not any(_OUTSIDE in ipaddress.ip_network(each) for each in block.get("except", ()))
    if "namespaceSelector" in peer and not selects(
        peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace}
    ):
        return False
    return "podSelector" not in peer or selects(peer["podSelector"], pod.labels)


def _port(rule: Mapping[str, Any], server: Workload, port: int) -> bool:
    ports = rule.get("ports") or ()
    return not ports or any(
        each.get("protocol", "TCP") == "TCP" and _number(each, server) in {None, port} for each in ports
    )


def _number(entry: Mapping[str, Any], server: Workload) -> int | None:
    """None: every port. A name that the server's pods do not have is none of theirs."""
    port = entry.get("port")
    return server.ports.get(port, -1) if isinstance(port, str) else port
