"""Secrets of API keys: in the answer that makes one, and nowhere else."""

import pickle
import traceback
from dataclasses import replace
from typing import Any

import pytest

from cortex_core.kernel import Principal
from cortex_core.security import InvalidCredential
from cortex_core.security.api_keys import KeyDesk, KeyWish, MemoryApiKeys, Peppers, StoredKeys, UseNotes, read_key
from cortex_gateway.api.key_models import IssuedKeyView
from cortex_gateway.settings import Settings

PEPPER = "canary-pepper-" + "0123456789abcdef" * 2
ROOT = Principal("root", "public", frozenset({"keys:admin"}), method="jwt")


async def test_no_log_line_no_metric_and_no_refusal_shows_a_secret(
    start_gateway: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    store = MemoryApiKeys()
    desk = KeyDesk(store, Peppers.of(PEPPER))
    first = (await desk.create(ROOT, KeyWish("n", ROOT.scopes))).secret
    secrets = [first]
    told: list[str] = []
    async with start_gateway({"key_pepper": PEPPER}, {"api_keys": store}) as client:

        async def ask(method: str, path: str, secret: str, body: Any = None) -> Any:
            async with client.request(method, path, json=body, headers={"X-API-Key": secret}) as answer:
                text = await answer.text()
                told.append(f"{answer.headers} {text}")
                return await answer.json(content_type=None) if text.startswith("{") else None

        made = await ask("POST", "/api/keys", first, {"name": "second", "scopes": ["keys:admin"]})
        told.pop()
        rotated = await ask("POST", f"/api/keys/{made['keyId']}/rotate", first)
        told.pop()
        secrets += [made["secret"], rotated["secret"]]
        wrong = first[:-1] + ("0" if first[-1] != "0" else "1")
        for secret in (*secrets, wrong):
            for path in ("/api/keys", f"/api/keys/{made['keyId']}", "/api/keys/?limit=x", f"/api/keys/{secret[:40]}"):
                await ask("GET", path, secret)
            await ask("POST", "/api/keys", secret, {"name": 1})
        await ask("GET", "/metrics", first)
    logged = "".join(capfd.readouterr())

    assert "/api/keys" in logged
    for hidden in [*(secret[36:] for secret in secrets), "canary-pepper"]:
        assert hidden not in logged
        assert not [answer for answer in told if hidden in answer]


async def test_a_key_put_into_a_path_is_logged_by_neither_lane(
    start_gateway: Any, recorder: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    store, peppers = MemoryApiKeys(), Peppers.of(PEPPER)
    scopes = frozenset({"keys:admin", "orders:read"})
    secret = (await KeyDesk(store, peppers).create(replace(ROOT, scopes=scopes), KeyWish("n", scopes))).secret
    async with start_gateway({"key_pepper": PEPPER}, {"api_keys": store}, order=recorder()) as client:
        for path in (f"/api/keys/{secret}", *[f"/api/orders/{secret}"] * 2):
            async with client.get(path, headers={"X-API-Key": secret}) as answer:
                told = await answer.json(content_type=None)
            assert "orders" in path or (told["code"], secret in told["detail"]) == ("key.not-found", False)
    logged = "".join(capfd.readouterr())

    assert logged.count("/api/orders/[redacted]") == 2
    assert secret[36:] not in logged


async def test_no_representation_and_no_traceback_shows_one() -> None:
    store, peppers = MemoryApiKeys(), Peppers.of(PEPPER)
    desk = KeyDesk(store, peppers)
    issued = await desk.create(ROOT, KeyWish("n", ROOT.scopes))
    checker = StoredKeys(store, peppers, UseNotes(store))
    settings = Settings(env="test", key_pepper=PEPPER)
    shown = [repr(each) for each in (issued, issued.key, read_key(issued.secret), peppers, desk, checker, settings)]
    shown.append(repr(IssuedKeyView.of_issued(issued, desk)))
    try:
        await checker.check(issued.secret[:-1])
    except InvalidCredential as error:
        shown.append("".join(traceback.format_exception(error)))

    assert len(shown) == 9
    for text in shown:
        assert issued.secret[36:-1] not in text
        assert "canary-pepper" not in text


async def test_what_the_store_keeps_is_no_key_and_is_not_made_into_one() -> None:
    store = MemoryApiKeys()
    issued = await KeyDesk(store, Peppers.of(PEPPER)).create(ROOT, KeyWish("n", ROOT.scopes))

    kept = pickle.dumps(await store.find(issued.key.id))

    assert issued.secret[36:].encode() not in kept
    with pytest.raises(ValueError, match="pepper"):
        Peppers.of("")
