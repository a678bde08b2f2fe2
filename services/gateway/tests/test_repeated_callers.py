"""Who asks is asked anew where it may have changed, however much the request is like the last one."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from cortex_core.events import CloudEvent, MemoryEventBus
from cortex_core.kernel import Principal
from cortex_core.security.api_keys import KeyDesk, KeyWish, MemoryApiKeys, Peppers
from cortex_core.testing import FakeClock, Issuer

from .repeated_requests import LIST, asking

PEPPER: Final = "0123456789abcdef" * 4
ROOT: Final = Principal("root", scopes=frozenset({"files:read"}), method="jwt")


@pytest.mark.parametrize("heard", [True, False])
async def test_a_key_that_was_revoked_in_between_is_refused(start_express: Any, recorder: Any, heard: bool) -> None:
    bus, clock = MemoryEventBus(), FakeClock()
    store = MemoryApiKeys(clock=clock)
    desk = KeyDesk(store, Peppers.of(PEPPER), clock=clock)
    issued = await desk.create(ROOT, KeyWish("n", frozenset({"files:read"})))
    head = LIST + b"X-API-Key: %b\r\n\r\n" % issued.secret.encode()
    settings, parts = {"key_pepper": PEPPER, "anonymous": False}, {"api_keys": store, "clock": clock, "bus": bus}
    async with start_express(settings, parts, storage=recorder()) as client, asking(client) as ask:
        before = [(await ask(head))[0][9:12] for _ in range(3)]
        await desk.revoke(ROOT, issued.key.id)
        if heard:
            key = issued.key.id
            await bus.publish([CloudEvent("key.revoked", "/gateway", key, {"keyId": key})])
        else:
            await clock.advance(61)  # longer than anybody is remembered
        for _ in range(200):  # until the event was heard
            if (after := (await ask(head))[0][9:12]) == b"401":
                break
            await asyncio.sleep(0.005)

    assert (before, after) == ([b"200"] * 3, b"401")


async def test_a_token_that_expired_in_between_is_refused(start_express: Any, recorder: Any, tmp_path: Path) -> None:
    clock = FakeClock()
    issuer = Issuer(tmp_path, clock)
    expires = int(clock.now().timestamp()) + 20
    token = issuer.token(scope="files:read", exp=expires)
    head = LIST + b"Authorization: Bearer %b\r\n\r\n" % token.encode()
    settings = issuer.settings(gateway=True)
    async with start_express(settings, {"clock": clock}, storage=recorder()) as client, asking(client) as ask:
        before = [(await ask(head))[0][9:12] for _ in range(3)]
        await clock.advance(120)
        after = (await ask(head))[0][9:12]

    assert (before, after) == ([b"200"] * 3, b"401")


async def test_two_callers_on_one_connection_are_two(start_express: Any, recorder: Any, tmp_path: Path) -> None:
    issuer, storage = Issuer(tmp_path), recorder()
    one, other = (issuer.token(scope="files:read", sub=name).encode() for name in ("one", "other"))
    heads = [LIST + b"Authorization: Bearer %b\r\n\r\n" % token for token in (one, one, one, other, other, one)]
    async with start_express(issuer.settings(gateway=True), storage=storage) as client, asking(client) as ask:
        for head in heads:
            assert (await ask(head))[0][9:12] == b"200"

    told = [dict(each["headers"])[b"x-cortex-principal"] for each in storage.requests]
    assert told == [told[0]] * 3 + [told[3]] * 2 + [told[0]]
    assert told[0] != told[3]


async def test_two_tenants_on_one_connection_are_two(start_express: Any, recorder: Any, tmp_path: Path) -> None:
    issuer, storage = Issuer(tmp_path), recorder()
    one, other = (issuer.token(scope="files:read", tenant=name).encode() for name in ("public", "acme"))
    heads = [LIST + b"Authorization: Bearer %b\r\n\r\n" % token for token in (one, one, other, other, one)]
    settings = {**issuer.settings(gateway=True), "tenants": frozenset({"public", "acme"})}
    async with start_express(settings, storage=storage) as client, asking(client) as ask:
        for head in heads:
            assert (await ask(head))[0][9:12] == b"200"

    told = [dict(each["headers"])[b"x-cortex-tenant"] for each in storage.requests]
    assert told == [b"public"] * 2 + [b"acme"] * 2 + [b"public"]


async def test_once_a_key_has_left_its_issuers_set_who_asks_is_asked_for_again(
    start_express: Any, recorder: Any, tmp_path: Path, unparsed: list[bytes], connections: list[Any]
) -> None:
    issuer = Issuer(tmp_path)
    head = LIST + b"Authorization: Bearer %b\r\n\r\n" % issuer.token(scope="files:read").encode()
    counts = []
    async with start_express(issuer.settings(gateway=True), storage=recorder()) as client, asking(client) as ask:
        for number in range(8):
            if number == 4:
                connections[-1].plane.epoch.clear()  # as `RotatingKeys` does
            assert (await ask(head))[0][9:12] == b"200"
            counts.append(len(unparsed))

    assert counts[3] > counts[2]
    assert counts[5] == counts[4] == counts[3]  # who is not known is the application's, and the next one is parsed
    assert counts[7] > counts[6]
