"""GATEWAY_METRICS_PORT: figures are for those who run the hub, and the gateway's own port is the world's."""

from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from cortex_core.testing import Issuer, free_port
from cortex_gateway.settings import Settings


async def status_and_text(client: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with client.get(url) as reply:
        return reply.status, await reply.text()


@pytest.fixture
def lane() -> str:
    return "express"


async def test_with_a_port_of_their_own_they_are_there_alone(start_gateway: Any) -> None:
    port = free_port()
    async with start_gateway({"metrics_port": port}) as client:
        status, text = await status_and_text(client, f"http://127.0.0.1:{port}/metrics")
        assert status == 200
        assert "cortex_upstream" in text
        for path in ("/", "/api", "/health/ready", "/docs"):
            assert (await status_and_text(client, f"http://127.0.0.1:{port}{path}"))[0] == 404

        status, text = await status_and_text(client, "/metrics")
        assert (status, "route.not-found" in text) == (404, True)
        assert (await status_and_text(client, "/health/ready"))[0] == 200


@pytest.mark.parametrize(
    ("env", "port", "shown"),
    [
        ("development", 0, True),
        ("test", 0, True),
        ("development", 9464, False),
        ("production", 0, False),
        ("production", 9464, False),
    ],
)
def test_on_the_public_port_only_development_shows_them(env: str, port: int, shown: bool, issuer: Issuer) -> None:
    urls = {f"{name}_url": f"http://{name}" for name in ("order", "notification", "analytics", "storage", "compute")}
    own = {"redis_url": "redis://cache:6379/0", "key_pepper": "0123456789abcdef" * 4, **urls}

    assert Settings(env=env, metrics_port=port, **own).shows_metrics is shown


def test_the_worlds_port_cannot_be_theirs() -> None:
    with pytest.raises(ValidationError, match="GATEWAY_METRICS_PORT must be another than GATEWAY_PORT"):
        Settings(env="test", port=3000, metrics_port=3000)
    Settings(env="test", port=0, metrics_port=0)
