"""What is set wrongly is said in one line, by a container that ends or stays not ready: never by tracebacks."""

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.compose.project import Project, run

NAMES = [
    "redis_password", "postgres_password", "order_password", "analytics_password", "storage_password",
    "grafana_password", "internal_signing_key", "internal_keys", "jwks", "key_pepper", "static_tokens",
]  # fmt: skip


def _lines(text: str, service: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith((f"{service}:", f"{service}-1"))]


def test_values_of_the_example_can_be_uncommented_and_emptied(fresh: Path, tmp_path: Path) -> None:
    """As Compose itself reads them."""
    example = (fresh / ".env.example").read_text()
    extra = (
        "COMPOSE_PROFILES|OTEL_|ORDER_PAYMENT_URL|GATEWAY_(?:GRAFANA|PROMETHEUS|JAEGER)_URL"  # no default, or another
    )

    def understood(env: str) -> str:
        (tmp_path / "env").write_text(env)
        words = ["--env-file", str(tmp_path / "env"), "--profile", "*", "config"]
        kept = {name: os.environ[name] for name in ("PATH", "HOME")}
        return run(["docker", "compose", *words], cwd=fresh, env=kept).stdout

    uncommented = re.sub(rf"^#(?!{extra})([A-Z_]+=)", r"\1", example, flags=re.MULTILINE)
    emptied = re.sub(r"^#([A-Z_]+=)\S*", r"\1", example, flags=re.MULTILINE)

    assert understood(uncommented) == understood("")
    assert "#" not in understood(emptied)


def test_an_occupied_port_is_named(another: Callable[..., Project], note: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        project = another("port", CORTEX_PORT=str(port))
        # created alone, without what it waits for: the port is asked for at its start
        done = project.compose("up", "--detach", "--no-deps", "gateway", good=False)

    assert done.returncode != 0
    assert str(port) in done.stderr
    assert "address already in use" in done.stderr or "port is already allocated" in done.stderr
    note("an occupied port", done.stderr.strip().splitlines()[-1][:110])


def test_production_without_secrets_does_not_start(another: Callable[..., Project], note: Any) -> None:
    project = another("bare", CORTEX_ENV="production")
    done = project.compose("up", "--detach", "--wait", good=False)
    said = project.compose("logs", "--no-log-prefix", "init").stdout.strip().splitlines()

    assert done.returncode != 0
    assert len(said) == 1, said
    assert "production needs redis_password, postgres_password" in said[0]
    assert project.state("init")["ExitCode"] == 78
    assert not any(each["State"]["Running"] for each in project.inspect(*project.containers("gateway", "order")))
    note("production without secrets", said[0][:110])


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"CORTEX_ENV": "prod"}, "CORTEX_ENV must be one of"),
        ({"CORTEX_SECRETS": "/not/there"}, "bind source path does not exist"),
    ],
)
def test_a_word_that_is_wrong_makes_nothing(another: Callable[..., Project], told: dict[str, str], says: str) -> None:
    project = another("word", **told)
    done = project.compose("up", "--detach", "--wait", good=False)
    said = done.stderr + project.compose("logs", "--no-log-prefix", "init").stdout

    assert done.returncode != 0
    assert says in said
    assert not project.containers("postgres") or project.state("postgres")["Status"] == "created"


def test_images_that_are_not_there_are_asked_of_no_registry(another: Callable[..., Project]) -> None:
    project = another("absent")
    project.env["CORTEX_TAG"] = f"{project.name}-absent"
    ours = ("gateway", "order", "notification", "analytics", "storage", "compute", "payments", "init", "order-migrate")
    pulled = project.compose("pull", *ours)
    ran = project.compose("run", "--rm", "--no-deps", "init", good=False)

    assert "Pulling" not in pulled.stderr
    assert ran.returncode != 0
    assert "No such image" in ran.stderr
    assert "registry" not in ran.stderr
    assert "pull access denied" not in ran.stderr


def test_production_refuses_developments_secrets(
    hub: Project, another: Callable[..., Project], tmp_path: Path, note: Any
) -> None:
    tmp_path.chmod(0o755)
    names = [name for name in NAMES if name.endswith("_password")]
    script = f"import json; print(json.dumps([open('/made/' + name).read() for name in {names}]))"
    told = hub.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "init", "-c", script).stdout
    for name, text in zip(names, json.loads(told), strict=True):
        (tmp_path / name).write_text(text)
    for name in set(NAMES) - set(names):
        (tmp_path / name).write_text("x")
    project = another("refused", CORTEX_ENV="production", CORTEX_SECRETS=str(tmp_path))
    done = project.compose("run", "--rm", "--no-deps", "init", good=False)

    assert done.returncode == 78
    (said,) = _lines(done.stderr, "init")
    assert "redis_password was made for development" in said
    note("production with development's", said)


@pytest.mark.parametrize(
    ("service", "missing", "variable"),
    [
        ("order", "redis_url", "CORTEX_REDIS_URL_FILE"),
        ("order", "database_url", "ORDER_DATABASE_URL_FILE"),
        ("compute", "internal_keys", "CORTEX_INTERNAL_KEYS"),
        ("gateway", "internal_signing_key", "CORTEX_INTERNAL_SIGNING_KEY"),
        ("gateway", "key_pepper", "CORTEX_KEY_PEPPER_FILE"),
    ],
)
def test_a_missing_secret_is_named(hub: Project, note: Any, service: str, missing: str, variable: str) -> None:
    place = f"{variable}=/run/secrets/not-there"
    done = hub.compose("run", "--rm", "--no-deps", "-T", "-e", place, service, good=False, seconds=60)

    assert done.returncode == 78, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith(f"{service}:")]
    assert len(said) == 1, done.stderr
    assert variable in said[0]
    assert "Traceback" not in done.stderr
    note(f"{service} without {missing}", said[0][:110])


def test_a_wrong_database_password_is_said_and_not_shown(hub: Project, note: Any) -> None:
    def alter(password: str) -> None:
        hub.compose(
            "exec", "-T", "postgres", "psql", "-qX", "-U", "postgres", "-c", f"ALTER ROLE storage PASSWORD {password}"
        )

    alter("'another-0123456789'")
    try:
        done = hub.compose("run", "--rm", "--no-deps", "-T", "storage-migrate", good=False, seconds=120)
    finally:
        hub.compose("run", "--rm", "databases")  # sets it back to what the secrets say

    assert done.returncode == 69, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("storage:")]
    assert len(said) == 1, done.stderr
    assert "dev-" not in done.stderr
    assert "Traceback" not in done.stderr
    note("a wrong database password", said[0][:110])
    assert hub.compose("run", "--rm", "--no-deps", "-T", "storage-migrate").returncode == 0


def test_wrong_values_are_named_a_line_each(hub: Project, note: Any) -> None:
    wrong = {"GATEWAY_RATE_LIMIT_PER_MINUTE": "many", "CORTEX_LOG_LEVEL": "loud"}
    options = [word for name, value in wrong.items() for word in ("-e", f"{name}={value}")]
    done = hub.compose("run", "--rm", "--no-deps", "-T", *options, "gateway", good=False, seconds=60)

    assert done.returncode == 78
    said = [line for line in done.stderr.splitlines() if line.startswith("gateway:")]
    assert len(said) == len(wrong), done.stderr
    assert all(any(name in line for line in said) for name in wrong)
    note("a wrong value", said[0][:110])


def test_the_sandbox_refuses_production(hub: Project) -> None:
    done = hub.compose(
        "run", "--rm", "--no-deps", "-T", "-e", "CORTEX_ENV=production", "payments", good=False, seconds=60
    )

    assert done.returncode == 78
    assert [line for line in done.stderr.splitlines() if line.startswith("payments: a sandbox moves no money")]
