"""Rules of a pod as a whole: what Pod Security "restricted" asks, tokens, how it ends, where it runs."""

from collections.abc import Iterator, Sequence

from scripts.kubernetes.objects import Object, at, workloads


def pods_are_not_root(objects: Sequence[Object]) -> Iterator[str]:
    """Every pod says runAsNonRoot and a user other than 0."""
    for workload in workloads(objects):
        context = at(workload.spec, "securityContext")
        if context.get("runAsNonRoot") is not True:
            yield f"{workload.where}: securityContext.runAsNonRoot is not true"
        for container in workload.containers:
            user = at(container.spec, "securityContext").get("runAsUser", context.get("runAsUser"))
            if user is None or user == 0:
                yield f"{container.where}: runs as {'whoever the image says' if user is None else 'root'}"


def pods_have_seccomp(objects: Sequence[Object]) -> Iterator[str]:
    """Every pod has the runtime's seccomp profile."""
    for workload in workloads(objects):
        if at(workload.spec, "securityContext", "seccompProfile").get("type") != "RuntimeDefault":
            yield f"{workload.where}: securityContext.seccompProfile.type is not RuntimeDefault"


def pods_share_nothing_of_the_node(objects: Sequence[Object]) -> Iterator[str]:
    """No pod uses the node's network, processes, IPC or folders."""
    for workload in workloads(objects):
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if workload.spec.get(field):
                yield f"{workload.where}: {field} is on"
        for volume in workload.spec.get("volumes", ()):
            if "hostPath" in volume:
                yield f"{workload.where}: the volume {volume.get('name')} is a folder of the node"


def pods_have_no_token(objects: Sequence[Object]) -> Iterator[str]:
    """What serves has an account of its own; no pod has a token of it but where a Role says what for."""
    bound = {
        subject.get("name")
        for binding in objects
        if binding.get("kind") == "RoleBinding"
        for subject in binding.get("subjects", ())
    }
    for workload in workloads(objects):
        account = workload.spec.get("serviceAccountName", "default")
        if account == "default" and workload.stays:
            yield f"{workload.where}: has no service account of its own"
        if workload.spec.get("automountServiceAccountToken") is not False and account not in bound:
            yield f"{workload.where}: automountServiceAccountToken is not false"


def pods_end_after_their_drain(objects: Sequence[Object]) -> Iterator[str]:
    """terminationGracePeriodSeconds is more than preStop, drain delay and shutdown grace together."""
    for workload in workloads(objects):
        if not workload.stays:
            continue
        allowed = workload.spec.get("terminationGracePeriodSeconds", 30)
        for container in workload.containers:
            environment = container.environment
            sleeps = at(container.spec, "lifecycle", "preStop", "sleep").get("seconds", 0)
            prefix = (container.service or "").upper()
            needed = float(sleeps)
            if container.program == f"cortex_{container.service}.main":
                needed += float(environment.get(f"{prefix}_DRAIN_DELAY", 3))
                needed += float(environment.get(f"{prefix}_SHUTDOWN_GRACE", 3))
            if allowed <= needed:
                yield f"{container.where}: is killed after {allowed} s, and drains for {needed:g}"


def pods_of_several_replicas_spread(objects: Sequence[Object]) -> Iterator[str]:
    """What runs in several replicas is spread over nodes, by its own labels, unless it has to be on one."""
    for workload in workloads(objects):
        if at(workload.object, "spec").get("replicas", 1) == 1 or not workload.stays or workload.held_together:
            continue
        spread = workload.spec.get("topologySpreadConstraints", ())
        if not spread:
            yield f"{workload.where}: has no topologySpreadConstraints"
        for constraint in spread:
            wanted = dict(at(constraint, "labelSelector", "matchLabels"))
            if not wanted or any(workload.labels.get(key) != value for key, value in wanted.items()):
                yield f"{workload.where}: topologySpreadConstraints counts other pods than its own"


def roll_outs_keep_all_replicas(objects: Sequence[Object]) -> Iterator[str]:
    """A service's Deployment replaces its pods one by one, the new one first, unless its volume has one writer."""
    for workload in workloads(objects):
        serves = any(each.program == f"cortex_{each.service}.main" for each in workload.containers)
        if workload.object.get("kind") != "Deployment" or not serves:
            continue
        strategy = at(workload.object, "spec", "strategy")
        if strategy.get("type") == "Recreate" and any(
            "persistentVolumeClaim" in v for v in workload.spec.get("volumes", ())
        ):
            continue
        if at(strategy, "rollingUpdate").get("maxUnavailable") not in {0, "0", "0%"}:
            yield f"{workload.where}: strategy.rollingUpdate.maxUnavailable is not 0"


RULES = (
    pods_are_not_root,
    pods_have_seccomp,
    pods_share_nothing_of_the_node,
    pods_have_no_token,
    pods_end_after_their_drain,
    pods_of_several_replicas_spread,
    roll_outs_keep_all_replicas,
)
