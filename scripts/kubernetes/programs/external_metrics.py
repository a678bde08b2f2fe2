"""The external metrics API of a test's cluster: what autoscalers ask, answered from the hub's own /metrics.

Standard library alone: it runs in the gateway's image, behind an APIService. In production a Prometheus adapter does
this; here no Prometheus stands between, so that an autoscaler's number is what a pod said a moment ago. Series of
replicas that tell the same (a group's lag: `HUB_SAME`, by commas) count once, at their highest; others are added up.

    HUB_NAMESPACE=hub HUB_SAME=cortex_bus_lag_entries python external_metrics.py CERTIFICATE KEY
"""

import json
import os
import re
import ssl
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

GROUP = "/apis/external.metrics.k8s.io/v1beta1"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = os.environ["HUB_NAMESPACE"]
SAME = frozenset(os.environ.get("HUB_SAME", "").split(","))
SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def pods() -> list[tuple[str, str]]:
    """(service, address of its metrics) of every pod that runs."""
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    url = f"https://kubernetes.default.svc/api/v1/namespaces/{NAMESPACE}/pods"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"})
    with urllib.request.urlopen(request, timeout=5, context=context) as answer:
        items = json.loads(answer.read())["items"]
    found = []
    for pod in items:
        ports = {port.get("name"): port["containerPort"] for port in pod["spec"]["containers"][0].get("ports", ())}
        service = pod["metadata"]["labels"].get("app.kubernetes.io/component", "")
        port = ports.get("metrics", ports.get("http"))
        if pod["status"].get("phase") == "Running" and port is not None and service != "payments":
            found.append((service, f"http://{pod['status']['podIP']}:{port}/metrics"))
    return found


def values(metric: str, wanted: dict[str, str]) -> dict[tuple[tuple[str, str], ...], float]:
    """By labels, over all pods. A pod that does not answer just now is one that says nothing."""
    found: dict[tuple[tuple[str, str], ...], float] = {}
    for service, url in pods():
        if wanted.get("service", service) != service:
            continue
        try:
            text = urllib.request.urlopen(url, timeout=2).read().decode()
        except OSError:
            continue
        for line in text.splitlines():
            series = SERIES.fullmatch(line)
            if series is None or series[1] != metric:
                continue
            labels = {**dict(LABEL.findall(series[2] or "")), "service": service}
            if all(labels.get(key) == value for key, value in wanted.items()):
                key, value = tuple(sorted(labels.items())), float(series[3])
                before = found.get(key, 0.0)
                found[key] = max(before, value) if metric in SAME else before + value
    return found


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        found = re.fullmatch(rf"{GROUP}/namespaces/([^/]+)/([^/]+)", url.path)
        if url.path == GROUP:
            self._say(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": GROUP.removeprefix("/apis/"),
                    "resources": [],
                }
            )
        elif found and found[1] == NAMESPACE:
            selector = parse_qs(url.query).get("labelSelector", [""])[0]
            wanted = dict(part.split("=", 1) for part in selector.split(",") if "=" in part)
            self._say(self._list(found[2], wanted))
        else:
            self._say({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}, 404)

    def _list(self, metric: str, wanted: dict[str, str]) -> dict[str, object]:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        items = [
            {"metricName": metric, "metricLabels": dict(labels), "timestamp": now, "value": f"{round(value * 1000)}m"}
            for labels, value in values(metric, wanted).items()
        ]
        return {
            "kind": "ExternalMetricValueList",
            "apiVersion": "external.metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": items,
        }

    def _say(self, what: dict[str, object], status: int = 200) -> None:
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("0.0.0.0", 6443), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
