"""The external metrics API while a test needs it: a pod beside the release, registered with the API server."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scripts.kubernetes.cluster import Failed, Object, eventually, run

from .release import ROOT, Release, job

_PROGRAM = ROOT / "scripts" / "kubernetes" / "programs" / "external_metrics.py"
_SERVICE = "v1beta1.external.metrics.k8s.io"


@contextmanager
def external_metrics(hub: Release, *, same: str) -> Iterator[None]:
    """Raises Failed where the cluster has an external metrics API already: that one is somebody's."""
    space = hub.namespace
    certificate, key = _pair()
    run(["kubectl", "create", "-f", "-"], given=json.dumps(_registration(space.name)), timeout=30)
    try:
        pod = job(
            "metrics-api",
            hub.image("gateway"),
            ["python", "/load/program/external_metrics.py", "/load/secret/tls.crt", "/load/secret/tls.key"],
            {"HUB_NAMESPACE": space.name, "HUB_SAME": same},
            program="metrics-api",
        )["spec"]["template"]
        pod["spec"] |= {"serviceAccountName": "metrics-api", "automountServiceAccountToken": True}
        pod["spec"]["volumes"].append({"name": "pair", "secret": {"secretName": "metrics-api"}})
        pod["spec"]["containers"][0]["volumeMounts"].append({"name": "pair", "mountPath": "/load/secret"})
        space.apply(
            _named("ConfigMap", data={"external_metrics.py": _PROGRAM.read_text()}),
            _named("Secret", type="kubernetes.io/tls", data={"tls.crt": certificate, "tls.key": key}),
            _named("ServiceAccount"),
            _named(
                "Role",
                "rbac.authorization.k8s.io/v1",
                rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}],
            ),
            _named(
                "RoleBinding",
                "rbac.authorization.k8s.io/v1",
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "metrics-api"},
                subjects=[{"kind": "ServiceAccount", "name": "metrics-api"}],
            ),
            _named("Service", spec={"selector": {"app": "metrics-api"}, "ports": [{"port": 443, "targetPort": 6443}]}),
            {**_named("Pod"), "metadata": {"name": "metrics-api", **pod["metadata"]}, "spec": pod["spec"]},
        )
        eventually(_answers, within=60, what="the external metrics API to answer")
        yield
    finally:
        run(["kubectl", "delete", "apiservice", _SERVICE, "--ignore-not-found"], timeout=60)
        kinds = "pod,service,configmap,secret,serviceaccount,role,rolebinding"
        for kind in kinds.split(","):
            space.kubectl("delete", kind, "metrics-api", "--ignore-not-found", "--grace-period=1")


def _answers() -> bool:
    try:
        run(["kubectl", "get", "--raw", "/apis/external.metrics.k8s.io/v1beta1"], timeout=10)
    except Failed:
        return False
    return True


def _named(kind: str, version: str = "v1", **more: object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "metrics-api"}, **more}


def _registration(namespace: str) -> Object:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _SERVICE},
        "spec": {
            "group": "external.metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,  # the pair lives as long as the test
            "service": {"name": "metrics-api", "namespace": namespace},
        },
    }


def _pair() -> tuple[str, str]:
    """A certificate of its own and its key, as a Secret has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "metrics-api")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(made).decode(), base64.b64encode(private).decode()
