"""Where a request came from, as its service is told: by a trusted proxy's word, and by nobody else's; in both lanes."""

from typing import Any, Final

import pytest

from cortex_gateway.domain.provenance import Provenance, Source

from .repeated_requests import asking
from .test_gateway_sockets import EchoService

BEHIND: Final = {"trusted_proxies": "127.0.0.0/8,10.0.0.0/8"}
CLAIMS: Final = {
    "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.0.0.2",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "hub.example",
}
ELEMENTS: Final = 'for=6.6.6.6;host=evil, for="203.0.113.9:4711";proto=https;host=hub.example, for=10.0.0.2;proto=http'


def told(headers: Any) -> tuple[list[str], ...]:
    """Address, scheme, host and whatever else a service may take for them."""
    names = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-real-ip")
    return tuple([value.decode() for key, value in headers if key == name] for name in names)


def own(client: Any) -> str:
    return f"{client._base_url.host}:{client._base_url.port}"


def element(client: Any, scheme: str = "http") -> str:
    return f'for=127.0.0.1;host="{own(client)}";proto={scheme}'


async def seen(client: Any, service: Any, headers: dict[str, str], path: str = "/api/storage/files") -> Any:
    async with client.get(path, headers=headers) as reply:
        assert reply.status == 200
    return told(service.requests[-1]["headers"])


@pytest.mark.parametrize(("said", "scheme"), [({}, "http"), ({"scheme": "https"}, "https"), ({"scheme": "ws"}, "ws")])
def test_a_server_need_not_name_the_scheme(said: dict[str, str], scheme: str) -> None:
    assert Provenance()({"headers": [], **said}) == (None, scheme, b"")


@pytest.mark.parametrize(
    ("source", "written"),
    [
        (Source("192.0.2.1", "http", b"hub"), b"for=192.0.2.1;host=hub;proto=http"),
        (Source("2001:db8::1", "https", b"hub:8443"), b'for="[2001:db8::1]";host="hub:8443";proto=https'),
        (Source("fe80::1%eth0", "ws", b"[::1]:3000"), b'for="[fe80::1]";host="[::1]:3000";proto=ws'),
        (Source(None, "http", b""), b"for=unknown;proto=http"),
        (Source("unix", "http", b'a"b'), b'for=unknown;host="a\\"b";proto=http'),
    ],
)
def test_the_standard_field_says_the_same(source: Source, written: bytes) -> None:
    assert source.forwarded() == written


class TestRequests:
    async def test_behind_a_trusted_proxy_the_service_is_told_who_asks_and_how(
        self, start_gateway: Any, recorder: Any
    ) -> None:
        storage = recorder()
        async with start_gateway(BEHIND, storage=storage) as client:
            found = await seen(client, storage, {**CLAIMS, "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6"})

        assert found == (
            ["203.0.113.9"],
            ["https"],
            ["hub.example"],
            ["for=203.0.113.9;host=hub.example;proto=https"],
            [],
        )

    @pytest.mark.parametrize("settings", [{}, {"trusted_proxies": "10.0.0.0/8"}])
    async def test_who_is_not_trusted_says_nothing_of_himself(
        self, start_gateway: Any, recorder: Any, settings: Any
    ) -> None:
        storage = recorder()
        async with start_gateway(settings, storage=storage) as client:
            found = await seen(client, storage, {**CLAIMS, "X-Real-IP": "6.6.6.6", "Forwarded": ELEMENTS})

            assert found == (["127.0.0.1"], ["http"], [own(client)], [element(client)], [])

    async def test_a_proxy_that_says_nothing_is_who_asks(self, start_gateway: Any, recorder: Any) -> None:
        storage = recorder()
        async with start_gateway(BEHIND, storage=storage) as client:
            assert await seen(client, storage, {}) == (["127.0.0.1"], ["http"], [own(client)], [element(client)], [])

    async def test_a_proxy_may_write_the_other_header(self, start_gateway: Any, recorder: Any) -> None:
        storage = recorder()
        settings = {**BEHIND, "proxy_header": "forwarded"}
        async with start_gateway(settings, storage=storage) as client:
            claims = {**CLAIMS, "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil"}
            found = await seen(client, storage, {**claims, "Forwarded": ELEMENTS})

        assert found == (
            ["203.0.113.9"],
            ["https"],
            ["hub.example"],
            ["for=203.0.113.9;host=hub.example;proto=https"],
            [],
        )

    async def test_where_tls_is_in_front_the_scheme_is_https(self, start_gateway: Any, recorder: Any) -> None:
        storage = recorder()
        async with start_gateway({"tls_in_front": True}, storage=storage) as client:
            found = await seen(client, storage, {"X-Forwarded-Proto": "http"})

            assert found == (["127.0.0.1"], ["https"], [own(client)], [element(client, "https")], [])

    async def test_an_unusual_request_is_told_alike(self, start_gateway: Any, recorder: Any) -> None:
        storage = recorder()
        async with start_gateway(BEHIND, storage=storage) as client:
            found = await seen(client, storage, CLAIMS, "/api/storage/files/a%20b")

        assert found[:3] == (["203.0.113.9"], ["https"], ["hub.example"])

    async def test_clients_of_a_proxys_connection_are_told_apart(
        self, start_express: Any, recorder: Any, unparsed: list[bytes]
    ) -> None:
        storage = recorder(200, b"{}", [(b"content-length", b"2")])
        line = b"GET /api/storage/files HTTP/1.1\r\nHost: hub\r\nX-Forwarded-For: 203.0.113.%d\r\n\r\n"
        async with start_express(BEHIND, storage=storage) as client, asking(client) as ask:
            for number in (1, 1, 2, 2):
                await ask(line % number)

        found = [told(request["headers"])[0] for request in storage.requests]
        assert found == [["203.0.113.1"]] * 2 + [["203.0.113.2"]] * 2
        assert len(unparsed) == 2, "what came before is not parsed again"


class TestSockets:
    async def told(self, start_gateway: Any, settings: Any) -> tuple[Any, Any]:
        service = EchoService()
        async with (
            start_gateway(settings, notification=service) as client,
            client.ws_connect("/ws", headers={**CLAIMS, "Forwarded": ELEMENTS}),
        ):
            return told(service.scope["headers"]), client

    async def test_behind_a_trusted_proxy_the_service_is_told_who_connects_and_how(self, start_gateway: Any) -> None:
        found, _ = await self.told(start_gateway, BEHIND)

        assert found == (["203.0.113.9"], ["wss"], ["hub.example"], ["for=203.0.113.9;host=hub.example;proto=wss"], [])

    async def test_who_is_not_trusted_says_nothing_of_himself(self, start_gateway: Any) -> None:
        found, client = await self.told(start_gateway, {})

        assert found == (["127.0.0.1"], ["ws"], [own(client)], [element(client, "ws")], [])
