"""While nobody has to say who he is, pages of other origins change nothing, in either lane."""

from pathlib import Path
from typing import Any

import pytest

from cortex_core.chassis.http_protocol import ConnectionLimits
from cortex_core.testing import Issuer

EVIL = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
FRIEND = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
TEXT = {"Content-Type": "text/plain"}
FILES = "/api/storage/files"


def told_of_pages(service: Any) -> list[str]:
    """What of a browser's words on its page reached the service."""
    (request,) = service.requests
    return [name.decode() for name, _ in request["headers"] if name in {b"origin", b"sec-fetch-site"}]


@pytest.mark.parametrize("page", [EVIL, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_a_foreign_page_changes_nothing(start_gateway: Any, recorder: Any, page: dict[str, str]) -> None:
    storage = recorder(201)
    async with start_gateway(storage=storage) as client:
        for _ in range(3):  # what the connection remembers of the first is not what lets in the third
            async with client.post(FILES, data=b"hello", headers=TEXT) as reply:
                assert reply.status == 201
            async with client.post(FILES, data=b"hello", headers={**TEXT, **page}) as reply:
                problem = await reply.json()
                assert (reply.status, problem["code"]) == (403, "request.foreign-page")
                assert "GATEWAY_CORS_ORIGINS" in problem["detail"]

    assert len(storage.requests) == 3


@pytest.mark.parametrize("method", ["DELETE", "POST"])
async def test_not_by_a_route_of_another_method_either(start_gateway: Any, recorder: Any, method: str) -> None:
    storage, order = recorder(), recorder()
    path = f"{FILES}/bafy" if method == "DELETE" else "/api/orders/ord_1/cancel"
    async with (
        start_gateway(storage=storage, order=order) as client,
        client.request(method, path, headers=EVIL) as reply,
    ):
        assert reply.status == 403
    assert not storage.requests
    assert not order.requests


async def test_our_own_page_does(start_gateway: Any, recorder: Any) -> None:
    storage = recorder(201)
    async with start_gateway(storage=storage) as client:
        own = {"Origin": str(client._base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        async with client.post(FILES, data=b"hello", headers=own) as reply:
            assert reply.status == 201


async def test_a_page_that_may_ask_does_and_its_service_need_not_judge(start_gateway: Any, recorder: Any) -> None:
    storage = recorder(201)
    async with (
        start_gateway({"cors_origins": ("https://app.example",)}, storage=storage) as client,
        client.post(FILES, data=b"hello", headers=FRIEND) as reply,
    ):
        assert reply.status == 201
    assert told_of_pages(storage) == []


async def test_a_foreign_page_may_look(start_gateway: Any, recorder: Any) -> None:
    """Its browser keeps the answer from it."""
    storage = recorder(200)
    async with start_gateway(storage=storage) as client, client.get(FILES, headers=EVIL) as reply:
        assert reply.status == 200
    assert told_of_pages(storage) == ["origin", "sec-fetch-site"]


async def test_where_everybody_says_who_he_is_no_page_can_send_that(
    start_gateway: Any, recorder: Any, tmp_path: Path
) -> None:
    storage, issuer = recorder(201), Issuer(tmp_path)
    settings = {**issuer.settings(gateway=True), "anonymous": False}
    async with start_gateway(settings, storage=storage) as client:
        async with client.post(FILES, data=b"hello", headers={**EVIL, **issuer.headers(scope="files:write")}) as reply:
            assert reply.status == 201
        async with client.post(FILES, data=b"hello", headers=EVIL) as reply:
            assert (reply.status, (await reply.json())["code"]) == (401, "auth.required")


async def test_a_name_that_a_page_had_led_here_is_not_served(start_gateway: Any, recorder: Any) -> None:
    order, limits = recorder(), ConnectionLimits(hosts_setting="GATEWAY_HOSTS")
    async with start_gateway(limits=limits, order=order) as client:
        for host, status in (("localhost", 200), ("hub-gateway:3000", 200), ("evil.example", 421)):
            for _ in range(2):
                async with client.get("/api/orders", headers={"Host": host}) as reply:
                    assert reply.status == status
