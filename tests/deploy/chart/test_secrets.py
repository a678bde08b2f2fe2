"""The hub's Secrets: the two ways to make them agree, services take them, and what is there stays."""

import base64
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cortex_core.security.api_keys.peppers import Peppers
from cortex_core.security.jwks import parse_key_set, parse_signing_key
from cortex_core.security.static_tokens import parse_static_tokens

ROOT = Path(__file__).parents[3]
TRIAL = {"payments": {"sandbox": {"enabled": True}}}
Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[[dict[str, Any]], Objects]
BY_JOB = {**TRIAL, "secrets": {"by": "job"}}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "helm/cortex-hub/files" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def job() -> ModuleType:
    return load("make_secrets")


def by_helm(rendered: Objects) -> dict[str, dict[str, str]]:
    return {
        name: {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        for (kind, name), each in rendered.items()
        if kind == "Secret"
    }


def by_job(rendered: Objects, job: ModuleType) -> dict[str, dict[str, str]]:
    wanted = json.loads(rendered["ConfigMap", "hub-secrets"]["data"]["wanted.json"])
    return {each["name"]: job.CONTENTS[each["kind"]](each) for each in wanted}


def test_helm_and_the_job_make_the_same_secrets(objects: Render, job: ModuleType) -> None:
    ours, theirs = by_helm(objects(TRIAL)), by_job(objects(BY_JOB), job)

    def shape(made: dict[str, dict[str, str]]) -> dict[str, dict[str, int]]:
        """Lengths, where they do not depend on how a key is written down."""
        return {
            name: {key: 0 if key.startswith("tls") else len(value) for key, value in data.items()}
            for name, data in made.items()
        }

    assert shape(ours) == shape(theirs)
    assert len(ours) == 8


@pytest.mark.parametrize("way", ["helm", "job"])
def test_services_take_what_was_made(objects: Render, job: ModuleType, way: str) -> None:
    made = by_helm(objects(TRIAL)) if way == "helm" else by_job(objects(BY_JOB), job)

    key = made["hub-internal-key"]
    signing = parse_signing_key(key["tls.key"].encode(), development=False)
    keys, _ = parse_key_set(key["tls.crt"].encode(), development=False)
    assert set(keys) == {signing.kid}
    Peppers.of(made["hub-pepper"]["pepper"])
    assert parse_static_tokens(json.dumps([{**made["hub-token"], "sub": "x", "roles": ["viewer"]}]).encode())
    password = made["hub-postgresql-order"]["password"]
    assert (
        made["hub-postgresql-order"]["url"] == f"postgresql://cortex_order:{password}@hub-postgresql:5432/cortex_order"
    )
    assert made["hub-redis"]["auth.conf"] == f"requirepass {made['hub-redis']['password']}\n"


@pytest.mark.parametrize("values", [TRIAL, BY_JOB], ids=["helm", "job"])
def test_no_rollback_writes_a_secret(objects: Render, values: dict[str, Any]) -> None:
    """It would bring back a token that has leaked: what makes Secrets is a hook, and a rollback runs none."""
    rendered = objects(values)
    making = [
        each
        for (kind, name), each in rendered.items()
        if kind in {"Secret", "Role", "RoleBinding"} or (kind, name) == ("Job", "hub-secrets")
    ]

    assert making
    assert {each["metadata"]["annotations"]["helm.sh/hook"] for each in making} == {"pre-install,pre-upgrade"}


def test_what_is_made_differs_each_time(objects: Render, job: ModuleType) -> None:
    rendered = objects(BY_JOB)

    first, second = by_job(rendered, job), by_job(rendered, job)

    assert all(first[name] != second[name] for name in first)


def test_a_secret_of_yours_is_named_and_not_made(objects: Render) -> None:
    values = {
        **TRIAL,
        "secrets": {"existingInternalKey": "my-key", "existingPepper": "my-pepper", "existingToken": "my-token"},
        "redis": {"existingSecret": "my-redis"},
    }

    rendered = objects(values)

    made = {name for kind, name in rendered if kind == "Secret"}
    assert made == {"hub-postgresql", "hub-postgresql-order", "hub-postgresql-analytics", "hub-postgresql-storage"}
    (volume,) = [
        each
        for each in rendered["Deployment", "hub-gateway"]["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "secrets"
    ]
    mounted = [each["secret"]["name"] for each in volume["projected"]["sources"]]
    assert mounted == ["my-redis", "my-key", "my-pepper", "my-token"]


def test_what_signs_goes_to_the_gateway_alone(objects: Render) -> None:
    for (kind, name), each in objects(TRIAL).items():
        if kind == "Deployment" and name != "hub-gateway":
            assert "tls.key" not in json.dumps(each["spec"]["template"]["spec"]["volumes"])
            assert "pepper" not in json.dumps(each["spec"]["template"]["spec"]["volumes"])


class Server:
    """As much of an API server as the Job asks for."""

    def __init__(self) -> None:
        self.secrets: dict[str, Any] = {}
        self.refuses = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                self._answer(403 if server.refuses else 200 if name in server.secrets else 404)

            def do_POST(self) -> None:
                secret = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.path == "/api/v1/namespaces/here/secrets"
                server.secrets[secret["metadata"]["name"]] = secret
                self._answer(201)

            def _answer(self, status: int) -> None:
                assert self.headers["Authorization"] == "Bearer told"
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def server(job: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    (tmp_path / "namespace").write_text("here")
    (tmp_path / "token").write_text("told\n")
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(job, "ACCOUNT", tmp_path)
    monkeypatch.setattr(job, "SERVER", f"http://127.0.0.1:{made.http.server_port}")
    monkeypatch.setattr(job.ssl, "create_default_context", lambda cafile: None)
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def test_the_job_makes_what_is_missing_and_leaves_what_is_there(
    objects: Render, job: ModuleType, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = tmp_path / "wanted.json"
    wanted.write_text(objects(BY_JOB)["ConfigMap", "hub-secrets"]["data"]["wanted.json"])
    server.secrets["hub-pepper"] = "theirs"

    job.main(str(wanted))

    assert len(server.secrets) == 8
    assert server.secrets["hub-pepper"] == "theirs"
    assert server.secrets["hub-token"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "hub"
    said = capsys.readouterr().out
    assert "hub-pepper: is there, and stays" in said
    assert server.secrets["hub-token"]["stringData"]["token"] not in said


def test_the_job_says_that_it_may_not(job: ModuleType, server: Server, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.json"
    wanted.write_text('[{"name": "hub-pepper", "labels": {}, "kind": "pepper"}]')
    server.refuses = True

    with pytest.raises(SystemExit) as ended:
        job.main(str(wanted))

    assert str(ended.value) == "secrets: the API server refuses GET /api/v1/namespaces/here/secrets/hub-pepper: 403"
