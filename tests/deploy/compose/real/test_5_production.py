"""The hub as production, by the commands of docs/deploy/compose.md: secrets of one's own, and everybody is known; on
the volumes of a hub that has run in development, which is everybody's first one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.compose.orders import BODY, all_end, ask
from scripts.compose.page import commands
from scripts.compose.project import Project, clone, run

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs/deploy/compose.md"


def test_production_runs_on_secrets_of_its_own(another: Callable[..., Project], tmp_path: Path, note: Any) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    told = {"CORTEX_ENV": "production", "CORTEX_SANDBOX": "0", "CORTEX_JWKS": "", "CORTEX_SECRETS": str(secrets)}
    project = another("production")
    project.up()
    status, before = ask(project.url, "/api/orders", BODY)
    assert status == 201, before
    assert all_end(project.url, [before["orderId"]]) == {"completed": 1}
    project.compose("down")
    project.env |= {"ORDER_PAYMENT_URL": "http://payments:3010", **told}
    project.shell(commands(PAGE, "In production"), tmp_path)

    took = project.up()
    provider(project)
    token = json.loads((secrets / "static_tokens").read_text())[0]["token"]
    assert ask(project.url, "/api/orders", BODY)[0] == 401
    status, placed = ask(project.url, "/api/orders", BODY, token)
    assert status == 201, placed
    assert all_end(project.url, [before["orderId"], placed["orderId"]], token=token) == {"completed": 2}
    assert ask(project.url, "/metrics", token=token)[0] == 404

    shown = subprocess.run(
        [sys.executable, "-m", "cortex_cli.main", "demo", "--url", project.url],
        cwd=tmp_path,
        env={**os.environ, "CORTEX_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    note(
        "production with secrets of its own", f"healthy after {took:.0f} s; the demonstration with CORTEX_TOKEN passes"
    )
    shown_by_docker = json.dumps(project.inspect(*project.containers())) + project.compose("logs").stdout
    names = ("redis_password", "postgres_password", "order_password", "key_pepper")
    kept = [(secrets / name).read_text().strip() for name in names]
    assert not [secret for secret in (*kept, token) if secret in shown_by_docker]


def test_secrets_are_made_where_env_says_and_never_over_those_that_are_there(tmp_path: Path) -> None:
    own = tmp_path / "my own"
    own.mkdir()
    project = Project(clone(ROOT, tmp_path / "cortex-hub"), "made")
    (project.folder / ".env").write_text(f"CORTEX_SECRETS={own}\n")
    project.shell(commands(PAGE, "In production"), tmp_path)
    made = {path.name: path.read_text() for path in own.iterdir()}
    (own / "redis_password").unlink()
    (own / "key_pepper").write_text("my own pepper, of before")
    project.shell(commands(PAGE, "In production"), tmp_path)
    again = {path.name: path.read_text() for path in own.iterdir()}

    assert len(made) == 10
    assert all(made.values())
    assert again.pop("redis_password") != made.pop("redis_password")
    assert again == {**made, "key_pepper": "my own pepper, of before"}
    assert [path.name for path in (project.folder / "compose/secrets").iterdir()] == [".gitignore"]


def provider(project: Project) -> None:
    """A payment provider, which production has elsewhere."""
    place = [
        f"--network={project.name}_hub",
        "--network-alias=payments",
        f"--label=com.docker.compose.project={project.name}",
    ]
    program = ["-m", "cortex_order.sandbox", "--host", "0.0.0.0", "--port", "3010"]
    run(
        [
            "docker",
            "run",
            "--detach",
            *place,
            "--env=CORTEX_ENV=test",
            "--entrypoint=python",
            f"cortex-hub/order:{project.tag}",
            *program,
        ]
    )
