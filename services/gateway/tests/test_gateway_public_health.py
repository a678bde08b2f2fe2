"""In production anybody may ask how the six are, and nobody what they stand on: that is told where figures are."""

from pathlib import Path
from typing import Any

import pytest

from cortex_core.testing import Issuer, free_port
from cortex_gateway.settings import Settings

from .test_gateway_health_and_docs import service

SIX = {"gateway", "order", "notification", "analytics", "storage", "compute"}
LIMPING = {
    "status": "degraded",
    "timestamp": "2026-11-23T12:00:00.000000Z",
    "checks": {"event-bus": {"status": "down"}, "memory": {"status": "up", "rssBytes": 1}},
}


@pytest.fixture
def lane() -> str:
    return "express"


@pytest.fixture
def production(tmp_path: Path) -> dict[str, Any]:
    own = {"env": "production", "redis_url": "redis://127.0.0.1:1/0", "drain_delay": 0}
    return {**Issuer(tmp_path).settings(gateway=True), **own}


async def test_it_is_the_state_of_each_and_what_each_took(start_gateway: Any, production: dict[str, Any]) -> None:
    async with (
        start_gateway(production, order=service(), storage=service(LIMPING)) as client,
        client.get("/health") as reply,
    ):
        report = await reply.json()

    assert (reply.status, report["status"], report.keys()) == (200, "degraded", {"status", "timestamp", "checks"})
    assert report["checks"].keys() == SIX
    assert all(check.keys() == {"status", "durationMs"} for check in report["checks"].values())
    told = {name: report["checks"][name]["status"] for name in ("gateway", "order", "storage", "compute")}
    assert told == {"gateway": "up", "order": "up", "storage": "degraded", "compute": "down"}


async def test_probes_are_told_no_more_than_they_ask_for(start_gateway: Any, production: dict[str, Any]) -> None:
    async with start_gateway(production) as client, client.get("/health/ready") as reply:
        report = await reply.json()

    assert (reply.status, report["status"], report["checks"]) == (200, "up", {})


async def test_the_whole_of_it_is_where_the_figures_are(start_gateway: Any, production: dict[str, Any]) -> None:
    port = free_port()
    async with start_gateway({**production, "metrics_port": port}, storage=service(LIMPING)) as client:
        async with client.get(f"http://127.0.0.1:{port}/health") as reply:
            report = await reply.json()
            assert (reply.status, reply.content_type) == (200, "application/json")
        async with client.post(f"http://127.0.0.1:{port}/health") as reply:
            assert reply.status == 405

    assert report["checks"].keys() > SIX
    assert report["checks"]["memory"]["rssBytes"] > 0
    assert report["checks"]["storage"]["checks"] == {"event-bus": "down", "memory": "up"}
    assert "error" in report["checks"]["compute"]


@pytest.mark.parametrize(("env", "shown"), [("development", True), ("test", True), ("production", False)])
def test_elsewhere_whoever_asks_is_told_all(env: str, shown: bool, production: dict[str, Any]) -> None:
    urls = {f"{name}_url": f"http://{name}" for name in SIX - {"gateway"}}

    assert Settings(**{**production, **urls, "env": env}).shows_details is shown
