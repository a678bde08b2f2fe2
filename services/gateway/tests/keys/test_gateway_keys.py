"""`/api/keys`: who may make and see keys, and what they are told."""

from typing import Any

import pytest
from aiohttp import ClientSession

from cortex_core.security.api_keys import PATTERN, KeyDesk

from .callers import SCOPES, WISH, Caller, caller


class TestMaking:
    async def test_the_answer_has_the_secret_and_nobody_may_keep_it(self, root: Caller, client: ClientSession) -> None:
        status, key = await root("POST", body={**WISH, "subject": "export", "plan": "pro", "expiresIn": 3600})

        assert status == 201
        assert PATTERN.fullmatch(key.pop("secret"))
        assert key == {
            "keyId": key["keyId"],
            "name": "nightly export",
            "subject": "export",
            "scopes": ["orders:read"],
            "plan": "pro",
            "status": "active",
            "createdAt": "2026-11-23T12:00:00.000000Z",
            "createdBy": root.key_id,
            "expiresAt": "2026-11-23T13:00:00.000000Z",
            "lastUsedAt": None,
            "rotatedAt": None,
            "rotatedBy": None,
            "revokedAt": None,
            "revokedBy": None,
        }
        assert root.headers["Cache-Control"] == "no-store"
        assert root.headers["Location"] == f"keys/{key['keyId']}"

    async def test_what_was_made_opens_what_it_says(
        self, root: Caller, client: ClientSession, start_gateway: Any
    ) -> None:
        _, key = await root("POST", body={"name": "second", "scopes": ["keys:admin"]})

        status, listed = await Caller(client, key["secret"])("GET")

        assert status == 200
        assert key["keyId"] in [each["keyId"] for each in listed["keys"]]

    async def test_nobody_hands_out_what_they_do_not_have(self, root: Caller) -> None:
        status, told = await root("POST", body={**WISH, "scopes": ["orders:read", "orders:write", "images:write"]})

        assert (status, told["code"]) == (403, "key.scopes-exceeded")
        assert told["scopes"] == ["images:write", "orders:write"]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "request.invalid"),
            ({**WISH, "extra": 1}, "request.invalid"),
            ({**WISH, "scopes": "orders:read"}, "request.invalid"),
            ({**WISH, "scopes": [1]}, "request.invalid"),
            ({**WISH, "expiresIn": "60"}, "request.invalid"),
            ({**WISH, "expiresIn": True}, "request.invalid"),
            ({**WISH, "expiresIn": 1}, "key.invalid"),
            ({**WISH, "expiresIn": -(10**400)}, "key.invalid"),
            ({**WISH, "expiresIn": 10**400}, "key.invalid"),
            ({**WISH, "scopes": []}, "key.invalid"),
            ({**WISH, "scopes": ["orders:burn"]}, "key.invalid"),
            ({**WISH, "scopes": ["\ud800"]}, "key.invalid"),
            ({**WISH, "name": ""}, "key.invalid"),
            ({**WISH, "name": "\ud800"}, "key.invalid"),
            ({**WISH, "name": "x" * 1000}, "key.invalid"),
            ({**WISH, "plan": "gold"}, "key.invalid"),
            ({**WISH, "subject": "\x00"}, "key.invalid"),
        ],
    )
    async def test_what_cannot_be_is_said(self, root: Caller, body: Any, code: str) -> None:
        status, told = await root("POST", body=body)

        assert (status, told["code"]) == (422, code)

    @pytest.mark.parametrize(
        ("data", "content_type", "status", "code"),
        [
            (b'{"name":"a","name":"b","scopes":[]}', "application/json", 400, "request.duplicate-member"),
            (b'{"name":"a","scopes":[NaN]}', "application/json", 400, "request.malformed-json"),
            (b'{"name":', "application/json", 400, "request.malformed-json"),
            (b'{"name":"a","scopes":["orders:read"]}', "text/plain", 415, "request.unsupported-media-type"),
            (b'"' + b"x" * 20_000 + b'"', "application/json", 413, "request.too-large"),
        ],
    )
    async def test_a_body_is_strict_json_of_a_reasonable_size(
        self, root: Caller, data: bytes, content_type: str, status: int, code: str
    ) -> None:
        found, told = await root("POST", data=data, Content_Type=content_type)

        assert (found, told["code"]) == (status, code)


class TestWhoMay:
    METHODS = (("POST", ""), ("GET", ""), ("GET", "/KEY"), ("DELETE", "/KEY"), ("POST", "/KEY/rotate"), ("HEAD", ""))

    @pytest.mark.parametrize(("method", "path"), METHODS)
    async def test_nobody_without_the_scope(
        self, client: ClientSession, desk: KeyDesk, root: Caller, method: str, path: str
    ) -> None:
        key_id = (await root("POST", body=WISH))[1]["keyId"]
        reader = await caller(client, desk, "orders:read")

        status, told = await reader(method, path.replace("KEY", key_id), body=WISH if method == "POST" else None)

        assert status == 403
        if method != "HEAD":
            assert (told["code"], told["scope"]) == ("auth.insufficient-scope", "keys:admin")
        assert 'scope="keys:admin"' in reader.headers["WWW-Authenticate"]
        assert (await root("GET", f"/{key_id}"))[1]["status"] == "active"

    @pytest.mark.parametrize(("method", "path"), METHODS)
    async def test_not_the_anonymous_caller_of_development(self, client: ClientSession, method: str, path: str) -> None:
        status, _ = await Caller(client, None)(method, path, body=WISH if method == "POST" else None)

        assert status == 403

    async def test_another_tenants_keys_are_not_there(self, client: ClientSession, desk: KeyDesk, root: Caller) -> None:
        key_id = (await root("POST", body=WISH))[1]["keyId"]
        acme = await caller(client, desk, *SCOPES, tenant="acme")

        found = [await acme(*call) for call in (("GET", f"/{key_id}"), ("DELETE", f"/{key_id}"))]
        found.append(await acme("POST", f"/{key_id}/rotate"))
        _, listed = await acme("GET", X_Cortex_Tenant="public")

        assert [(status, told["code"]) for status, told in found] == [(404, "key.not-found")] * 3
        assert key_id not in [each["keyId"] for each in listed["keys"]]
        assert (await root("GET", f"/{key_id}"))[1]["status"] == "active"


class TestListing:
    async def test_pages_have_the_newest_first_and_all_of_them_once(self, root: Caller) -> None:
        made = [(await root("POST", body={**WISH, "name": f"k{n}"}))[1]["keyId"] for n in range(5)]
        found, cursor = [], ""
        while True:
            status, page = await root("GET", f"?limit=2&cursor={cursor}")
            assert status == 200
            found += [key["keyId"] for key in page["keys"]]
            cursor = page["nextCursor"]
            if cursor is None:
                break

        assert found[:5] == made[::-1]
        assert len(found) == len(set(found)) == 6

    async def test_no_secret_and_no_hash_is_in_it(self, root: Caller) -> None:
        secret = (await root("POST", body=WISH))[1]["secret"]

        _, listed = await root("GET")

        assert {"secret", "secrets", "digest", "pepper"} & {name for key in listed["keys"] for name in key} == set()
        assert secret[36:] not in str(listed)
        assert root.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x"])
    async def test_a_page_has_bounds(self, root: Caller, query: str) -> None:
        assert (await root("GET", f"?{query}"))[1]["code"] == "request.invalid"

    @pytest.mark.parametrize("cursor", ["x", "A" * 32, "%00" * 32, "A" * 5000, "🔑"])
    async def test_a_cursor_that_is_none_is_said(self, root: Caller, cursor: str) -> None:
        status, told = await root("GET", f"?cursor={cursor}")

        assert (status, told["code"]) == (400, "key.invalid-cursor")
