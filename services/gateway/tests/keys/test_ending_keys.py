"""`/api/keys`: who may revoke and rotate keys, what is beside them, and what is said in trouble."""

import re
from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.security.api_keys import KeyDesk, KeysUnavailable, MemoryApiKeys
from cortex_core.testing import FakeClock, eventually

from .callers import WISH, Caller, caller


@pytest.fixture
async def heard(bus: MemoryEventBus) -> list[CloudEvent]:
    """What is said of keys from now on."""
    events: list[CloudEvent] = []

    async def hear(event: CloudEvent) -> None:
        events.append(event)

    await bus.subscribe({"key"}, hear)
    return events


class TestEnding:
    async def test_a_revoked_key_is_kept_and_opens_nothing(
        self, root: Caller, client: ClientSession, heard: list[CloudEvent]
    ) -> None:
        _, key = await root("POST", body={"name": "second", "scopes": ["keys:admin"]})
        second = Caller(client, key["secret"])
        assert (await second("GET"))[0] == 200

        status, revoked = await root("DELETE", f"/{key['keyId']}")

        assert (status, revoked["status"], revoked["revokedBy"]) == (200, "revoked", root.key_id)
        status, told = await second("GET")
        assert (status, told["code"]) == (401, "auth.invalid-credential"), "here at once, without waiting for the event"
        assert told["detail"] == "this API key was revoked"
        assert (await root("DELETE", f"/{key['keyId']}"))[1] == revoked
        assert (await root("POST", f"/{key['keyId']}/rotate"))[1]["code"] == "key.revoked"
        event = await eventually(lambda: heard and heard[0])
        assert (event.type, event.subject, event.tenant) == ("key.revoked", key["keyId"], "public")
        assert event.data == {"keyId": key["keyId"], "revokedBy": root.key_id}

    async def test_rotation_gives_another_secret_and_the_old_one_its_grace(
        self, root: Caller, client: ClientSession, clock: FakeClock, heard: list[CloudEvent]
    ) -> None:
        _, key = await root("POST", body={"name": "second", "scopes": ["keys:admin"]})

        status, rotated = await root("POST", f"/{key['keyId']}/rotate", body={"grace": 30})

        assert status == 200
        assert (rotated["keyId"], rotated["rotatedBy"]) == (key["keyId"], root.key_id)
        assert root.headers["Cache-Control"] == "no-store"
        old, new = Caller(client, key["secret"]), Caller(client, rotated["secret"])
        assert [(await each("GET"))[0] for each in (old, new)] == [200, 200]
        await eventually(lambda: heard)
        assert heard[0].data == {"keyId": key["keyId"], "rotatedBy": root.key_id, "grace": 30.0}
        await clock.advance(30)
        assert [(await each("GET"))[0] for each in (old, new)] == [401, 200]

    async def test_a_second_rotation_leaves_the_first_secret_its_grace_and_a_third_is_refused(
        self, root: Caller, client: ClientSession, clock: FakeClock, heard: list[CloudEvent]
    ) -> None:
        _, key = await root("POST", body={"name": "second", "scopes": ["keys:admin"]})
        rotate = f"/{key['keyId']}/rotate"
        _, second = await root("POST", rotate, body={"grace": 30})
        _, third = await root("POST", rotate, body={"grace": 20})
        callers = [Caller(client, each["secret"]) for each in (key, second, third)]

        status, told = await root("POST", rotate, body={"grace": 10})
        assert (status, told["code"]) == (409, "key.too-many-secrets")
        assert [(await each("GET"))[0] for each in callers] == [200, 200, 200]
        await eventually(lambda: len(heard) == 2)
        assert [event.data["grace"] for event in heard] == [30.0, 20.0], "of the secret that was replaced"

        await clock.advance(20)
        assert [(await each("GET"))[0] for each in callers] == [200, 401, 200]
        assert (await root("POST", rotate))[0] == 200
        assert [(await each("GET"))[0] for each in callers] == [401, 401, 401], "without a grace all end"

    @pytest.mark.parametrize("body", [{"grace": -1}, {"grace": 10**400}, {"grace": 1.5}, {"grace": None}, {"x": 1}, []])
    async def test_a_grace_has_bounds(self, root: Caller, body: Any) -> None:
        _, key = await root("POST", body=WISH)

        assert (await root("POST", f"/{key['keyId']}/rotate", body=body))[0] == 422

    async def test_of_a_key_that_may_more_nobody_gets_the_secret_by_rotating_it(
        self, client: ClientSession, desk: KeyDesk, root: Caller
    ) -> None:
        _, key = await root("POST", body={"name": "more", "scopes": ["orders:read", "keys:admin"]})
        small = await caller(client, desk, "keys:admin")

        status, told = await small("POST", f"/{key['keyId']}/rotate")

        assert (status, told["code"], told["scopes"]) == (403, "key.scopes-exceeded", ["orders:read"])


class TestPaths:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PUT", "", "GET, HEAD, OPTIONS, POST"),
            ("DELETE", "", "GET, HEAD, OPTIONS, POST"),
            ("PATCH", "/key_1", "DELETE, GET, HEAD, OPTIONS"),
            ("GET", "/key_1/rotate", "OPTIONS, POST"),
        ],
    )
    async def test_a_method_that_is_not_served_is_told_which_are(
        self, root: Caller, method: str, path: str, allow: str
    ) -> None:
        status, told = await root(method, path)

        assert (status, told["code"], root.headers["Allow"]) == (405, "route.method-not-allowed", allow)

    @pytest.mark.parametrize("path", ["/", "/key_1/other", "/key_1/rotate/"])
    async def test_beside_them_there_is_nothing(self, root: Caller, path: str) -> None:
        assert (await root("GET", path))[1]["code"] == "route.not-found"

    @pytest.mark.parametrize("key_id", ["key_1", "ck_x", "..%2f", "%C3%A9", "x" * 3000])
    async def test_what_is_no_keys_id_is_no_key(self, root: Caller, key_id: str) -> None:
        status, told = await root("GET", f"/{key_id}")

        assert status == 404
        assert told["code"] in {"key.not-found", "route.not-found"}

    async def test_head_is_get_without_its_body(self, root: Caller) -> None:
        assert await root("HEAD") == (200, None)
        assert root.headers["Cache-Control"] == "no-store"


class TestTrouble:
    async def test_a_store_that_is_away_is_said_to_be(
        self, root: Caller, store: MemoryApiKeys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await root("GET")

        async def away(*_: Any, **__: Any) -> Any:
            raise KeysUnavailable("away", retry_after=0.5)

        for name in ("add", "get", "page", "revoke"):
            monkeypatch.setattr(store, name, away)

        found = [
            await root("POST", body=WISH),
            await root("GET"),
            await root("GET", f"/key_{'0' * 32}"),
            await root("DELETE", f"/key_{'0' * 32}"),
        ]

        assert [(status, told["code"]) for status, told in found] == [(503, "key.unavailable")] * 4
        assert root.headers["Retry-After"] == "1"

    async def test_a_bus_that_is_away_does_not_undo_a_revocation(
        self, root: Caller, client: ClientSession, bus: MemoryEventBus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, key = await root("POST", body={"name": "second", "scopes": ["keys:admin"]})
        second = Caller(client, key["secret"])
        assert (await second("GET"))[0] == 200

        async def away(*_: Any, **__: Any) -> None:
            raise KeysUnavailable("away")

        monkeypatch.setattr(bus, "publish", away)

        assert (await root("DELETE", f"/{key['keyId']}"))[1]["status"] == "revoked"
        assert (await second("GET"))[0] == 401, "this replica knows without the bus"

    async def test_without_a_pepper_there_are_no_keys(self, start_gateway: Any) -> None:
        """Nobody can be somebody there; the scope is asked for first."""
        async with start_gateway() as client:
            assert (await Caller(client, None)("GET"))[0] == 403


async def test_the_document_says_all_of_it(client: ClientSession) -> None:
    async with client.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]

    ours = {
        f"{method} {path}": item for path, each in paths.items() for method, item in each.items() if "/keys" in path
    }
    assert set(ours) == {
        "post /api/keys",
        "get /api/keys",
        "get /api/keys/{keyId}",
        "delete /api/keys/{keyId}",
        "post /api/keys/{keyId}/rotate",
    }
    for operation in ours.values():
        assert {"401", "403", "503"} <= operation["responses"].keys()
        assert operation["security"] == [{"bearer": ["keys:admin"]}, {"apiKey": ["keys:admin"]}]
        assert re.search(r"`key\.", str(operation["responses"]))
