"""Who asks, in both lanes: the first time the application finds out, and from then on the express lane knows."""

import re
from pathlib import Path
from typing import Any

import pytest

from cortex_core.kernel import Principal
from cortex_core.security.api_keys import KeyDesk, KeyWish, MemoryApiKeys, Peppers
from cortex_core.testing import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


async def express(client: Any) -> float:
    async with client.get("/metrics") as page:
        found = re.search(r'cortex_gateway_lane_total\{lane="express"\} ([0-9.]+)', await page.text())
    return float(found[1]) if found else 0.0


async def test_a_caller_who_is_known_is_told_to_the_service_and_its_credential_is_not(
    start_gateway: Any, recorder: Any, issuer: Issuer, lane: str
) -> None:
    storage = recorder()
    sent = issuer.headers(scope="files:read") | {"X-Cortex-Principal": "root"}
    async with start_gateway(issuer.settings(gateway=True), storage=storage) as client:
        for _ in range(3):
            async with client.get("/api/storage/files", headers=sent) as reply:
                assert reply.status == 200, await reply.text()
                assert "auth=jwt" in reply.headers["Cortex-Policy"]
        assert await express(client) == (2.0 if lane == "express" else 0.0)

    seen = [dict(request["headers"]) for request in storage.requests]
    assert len({each[b"x-cortex-principal"] for each in seen}) == 1
    assert seen[0][b"x-cortex-principal"] not in {b"root", b""}
    assert not any(b"authorization" in each for each in seen)


async def test_who_has_not_the_scope_is_refused_by_its_name(start_gateway: Any, recorder: Any, issuer: Issuer) -> None:
    storage = recorder()
    async with start_gateway(issuer.settings(gateway=True), storage=storage) as client:
        for _ in range(2):
            async with client.get("/api/storage/files", headers=issuer.headers(scope="orders:read")) as reply:
                assert (reply.status, (await reply.json())["scope"]) == (403, "files:read")
        async with client.get("/api/storage/files") as reply:
            assert (reply.status, "WWW-Authenticate" in reply.headers) == (401, True)
        assert await express(client) == 0.0

    assert storage.requests == []


async def test_what_a_key_asks_is_logged_as_the_keys_whomever_it_names(
    start_gateway: Any, recorder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    store, pepper = MemoryApiKeys(), "0123456789abcdef" * 4
    root = Principal("lim", scopes=frozenset({"files:read"}), method="jwt")
    wish = KeyWish("n", frozenset({"files:read"}), subject="root")
    issued = await KeyDesk(store, Peppers.of(pepper)).create(root, wish)
    async with start_gateway({"key_pepper": pepper}, {"api_keys": store}, storage=recorder()) as client:
        for _ in range(2):
            async with client.get("/api/storage/files", headers={"X-API-Key": issued.secret}) as reply:
                assert reply.status == 200

    lines = [line for line in "".join(capsys.readouterr()).splitlines() if '"path":"/api/storage/files"' in line]
    said = f'"principal":"root","principal_key":"{issued.key.id}"'
    assert [line.count(said) for line in lines] == [1, 1]
