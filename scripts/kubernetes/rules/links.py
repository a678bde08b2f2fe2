"""Rules of what refers to what: selectors, ports, claims, mounted objects, autoscalers, budgets."""

from collections.abc import Iterator, Sequence
from typing import Any

from scripts.kubernetes.objects import Object, at, kind, name, namespaced, of, selected, selects, where, workloads


def selectors_match_their_pods(objects: Sequence[Object]) -> Iterator[str]:
    """A workload's selector selects its own pods and nobody else's."""
    every = workloads(objects)
    for workload in every:
        if not workload.stays:
            continue
        selector = at(workload.object, "spec").get("selector")
        if not selects(selector, workload.labels):
            yield f"{workload.where}: its selector does not match its own pods' labels"
        for other in every:
            if other is not workload and selects(selector, other.labels):
                yield f"{workload.where}: its selector matches the pods of {other.where} too"


def services_lead_somewhere(objects: Sequence[Object]) -> Iterator[str]:
    """A Service selects pods of one workload, and each targetPort is a port of their containers."""
    for one in of(objects, "Service"):
        chosen = selected(objects, {"matchLabels": at(one, "spec", "selector")}) if at(one, "spec", "selector") else []
        serving = [workload for workload in chosen if workload.stays]
        if len(serving) != 1 or len(chosen) != 1:
            yield f"{where(one)}: selects the pods of {', '.join(each.where for each in chosen) or 'nobody'}"
        for port in at(one, "spec").get("ports", ()):
            target = port.get("targetPort", port["port"])
            for workload in serving:
                if target not in {*workload.ports, *workload.ports.values()}:
                    yield f"{where(one)}: the port {port['port']} leads to {target}, which {workload.where} has not"


def routes_lead_to_services(objects: Sequence[Object]) -> Iterator[str]:
    """Each backend of an Ingress or HTTPRoute is a Service of the chart, at a port it has."""
    ports = {
        name(one): {part for port in at(one, "spec").get("ports", ()) for part in (port.get("name"), port["port"])}
        for one in of(objects, "Service")
    }
    for one in of(objects, "Ingress", "HTTPRoute"):
        for service, port in _backends(one):
            if port not in ports.get(service, set()):
                yield f"{where(one)}: leads to {service}:{port}, which no Service is"


def _backends(one: Object) -> Iterator[tuple[str, Any]]:
    for rule in at(one, "spec").get("rules", ()):
        for path in at(rule, "http").get("paths", ()):
            service = at(path, "backend", "service")
            yield service.get("name", "?"), at(service, "port").get("number") or at(service, "port").get("name")
        for reference in rule.get("backendRefs", ()):
            yield reference["name"], reference.get("port")


def budgets_allow_a_disruption(objects: Sequence[Object]) -> Iterator[str]:
    """A PodDisruptionBudget selects one workload and lets at least one of its pods go."""
    for one in of(objects, "PodDisruptionBudget"):
        chosen = selected(objects, at(one, "spec").get("selector"))
        if len(chosen) != 1:
            yield f"{where(one)}: selects the pods of {', '.join(each.where for each in chosen) or 'nobody'}"
        for workload in chosen:
            replicas = _fewest(objects, workload.object)
            least, most = at(one, "spec").get("minAvailable"), at(one, "spec").get("maxUnavailable")
            if most in {0, "0%"} or least == "100%" or (isinstance(least, int) and least >= replicas):
                yield f"{where(one)}: allows no disruption of {workload.where} ({replicas} replicas)"


def budgets_part_no_pods_that_are_held_together(objects: Sequence[Object]) -> Iterator[str]:
    """Pods that have to be on one node have no budget: draining it would wait for one that waits for the node."""
    for one in of(objects, "PodDisruptionBudget"):
        for workload in selected(objects, at(one, "spec").get("selector")):
            if workload.held_together:
                yield f"{where(one)}: keeps a pod of {workload.where}, all on one node: its drain would never end"


def _fewest(objects: Sequence[Object], workload: Object) -> int:
    for scaler in of(objects, "HorizontalPodAutoscaler"):
        target = at(scaler, "spec", "scaleTargetRef")
        if (target.get("kind"), target.get("name")) == (kind(workload), name(workload)):
            return int(at(scaler, "spec").get("minReplicas", 1))
    return int(at(workload, "spec").get("replicas", 1))


def autoscalers_have_a_target(objects: Sequence[Object]) -> Iterator[str]:
    """An autoscaler's target is there and no other's; replicas that it states are within the autoscaler's bounds."""
    there = {(kind(workload.object), name(workload.object)): workload for workload in workloads(objects)}
    taken: dict[tuple[Any, Any], str] = {}
    for one in of(objects, "HorizontalPodAutoscaler"):
        target = at(one, "spec", "scaleTargetRef")
        key = (target.get("kind"), target.get("name"))
        if key in taken:
            yield f"{where(one)}: {'/'.join(map(str, key))} is the target of {taken[key]} too"
        taken[key] = where(one)
        if key not in there:
            yield f"{where(one)}: its target {'/'.join(map(str, key))} is not there"
            continue
        stated = at(there[key].object, "spec").get("replicas")
        if stated is not None and not at(one, "spec").get("minReplicas", 1) <= stated <= at(one, "spec")["maxReplicas"]:
            yield f"{there[key].where}: {stated} replicas are not within the bounds of {where(one)}"
        if at(one, "spec").get("maxReplicas", 0) < at(one, "spec").get("minReplicas", 1):
            yield f"{where(one)}: maxReplicas is below minReplicas"
        if not at(one, "spec").get("metrics"):
            yield f"{where(one)}: measures nothing"


def mounted_objects_are_there(objects: Sequence[Object]) -> Iterator[str]:
    """A ConfigMap or claim that a pod mounts is there, with the keys it names, and no claim is left unused."""
    keys = {name(one): {*at(one, "data"), *at(one, "binaryData")} for one in of(objects, "ConfigMap")}
    claims = {name(one) for one in of(objects, "PersistentVolumeClaim")}
    used: set[str] = set()
    for workload in workloads(objects):
        for volume in workload.spec.get("volumes", ()):
            for source in (volume, *at(volume, "projected").get("sources", ())):
                wanted = at(source, "configMap")
                if not wanted:
                    continue
                missing = {item["key"] for item in wanted.get("items", ())} - keys.get(wanted.get("name"), set())
                if wanted.get("name") not in keys or missing:
                    lacking = ", ".join(sorted(missing)) or "it"
                    yield f"{workload.where}: mounts the ConfigMap {wanted.get('name')}; {lacking} is not there"
            claim = at(volume, "persistentVolumeClaim").get("claimName")
            if claim is not None:
                used.add(claim)
                if claim not in claims:
                    yield f"{workload.where}: mounts the claim {claim}, which is not there"
    yield from (f"PersistentVolumeClaim/{claim}: no pod mounts it" for claim in sorted(claims - used))


def claims_fit_their_replicas(objects: Sequence[Object]) -> Iterator[str]:
    """A claim says how much; one that is one node's is not mounted by replicas that may be on several."""
    modes = {name(one): at(one, "spec").get("accessModes", []) for one in of(objects, "PersistentVolumeClaim")}
    for one in of(objects, "PersistentVolumeClaim"):
        if not at(one, "spec", "resources", "requests").get("storage"):
            yield f"{where(one)}: says not how much storage"
    for workload in workloads(objects):
        if kind(workload.object) != "Deployment" or workload.held_together:
            continue
        several = at(workload.object, "spec").get("replicas", 2) > 1
        for volume in workload.spec.get("volumes", ()):
            claim = at(volume, "persistentVolumeClaim").get("claimName")
            if several and claim in modes and "ReadWriteMany" not in modes[claim]:
                yield f"{workload.where}: several replicas write the claim {claim}, which is {', '.join(modes[claim])}"


def accounts_are_there(objects: Sequence[Object]) -> Iterator[str]:
    """The service account of every pod is the chart's own and mounts no token; none is left unused."""
    accounts = {name(one): one for one in of(objects, "ServiceAccount")}
    used = {workload.spec.get("serviceAccountName") for workload in workloads(objects)}
    for workload in workloads(objects):
        account = workload.spec.get("serviceAccountName")
        if account is not None and account not in accounts:
            yield f"{workload.where}: its service account {account} is not there"
    for one in accounts.values():
        if one.get("automountServiceAccountToken") is not False and name(one) not in _bound(objects):
            yield f"{where(one)}: automountServiceAccountToken is not false"
        if name(one) not in used:
            yield f"{where(one)}: no pod runs as it"


def _bound(objects: Sequence[Object]) -> set[str]:
    bindings = (one for one in of(objects, "RoleBinding") if namespaced(one))
    return {str(subject.get("name")) for one in bindings for subject in one.get("subjects", ())}


RULES = (
    selectors_match_their_pods,
    services_lead_somewhere,
    routes_lead_to_services,
    budgets_allow_a_disruption,
    budgets_part_no_pods_that_are_held_together,
    autoscalers_have_a_target,
    mounted_objects_are_there,
    claims_fit_their_replicas,
    accounts_are_there,
)
