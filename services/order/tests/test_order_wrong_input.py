"""What a stranger may send: refused by name, quickly, with nothing half-done; and never an error of ours."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cortex_core.chassis.strict_json import MalformedJson, StrictRequest, is_json
from cortex_core.kernel import CortexError
from cortex_core.testing import serving
from cortex_order.api.idempotency import KEY_PATTERN, idempotency_key
from cortex_order.api.preconditions import CONDITION_PATTERN, has_it, wanted_versions
from cortex_order.wiring import build

LINE = {"sku": "book", "quantity": 2, "unitPrice": 1250}


def body(**members: str) -> bytes:
    """An order as text, members replaced by text."""
    told = {
        "customerId": '"cus_1"',
        "currency": '"EUR"',
        "items": '[{"sku":"book","quantity":2,"unitPrice":1250}]',
        "paymentToken": '"tok_canary"',
    }
    return ("{" + ",".join(f'"{name}":{text}' for name, text in (told | members).items()) + "}").encode()


def line(**members: str) -> str:
    told = {"sku": '"book"', "quantity": "2", "unitPrice": "1250"} | members
    return "[{" + ",".join(f'"{name}":{text}' for name, text in told.items()) + "}]"


WRONG = [
    (b"", 422, "request.invalid"),
    (b"{", 400, "request.malformed-json"),
    (b"\xff\xfe{\x00}\x00", 400, "request.malformed-json"),
    (b'{"customerId":"\xc3\x28"}', 400, "request.malformed-json"),
    (b'{"a":' * 100_000, 400, "request.malformed-json"),
    (b"[" * 500_000 + b"]" * 500_000, 400, "request.malformed-json"),
    (b"1" * 5000, 400, "request.malformed-json"),
    (body(items="NaN"), 400, "request.malformed-json"),
    (body(items=line(quantity="Infinity")), 400, "request.malformed-json"),
    (body(items=line(quantity="-Infinity")), 400, "request.malformed-json"),
    (body(items=line(quantity="1e400")), 422, "request.invalid"),
    (body(items=line(quantity="2e0")), 422, "request.invalid"),
    (body(items=line(quantity=str(2**70))), 422, "order.invalid-quantity"),
    (body(items=line(unitPrice=str(-(2**70)))), 422, "order.invalid-price"),
    (body(items=line(quantity="1000000", unitPrice="1000000000000")), 422, "order.total-out-of-bounds"),
    (body(items="[" + ",".join([line(unitPrice="1000000000000")[1:-1]] * 100) + "]"), 422, "order.total-out-of-bounds"),
    (body(items=line(currency='"USD"')), 422, "order.currency-mismatch"),
    (body(items=line(currency='"eur"')), 422, "order.currency-mismatch"),
    (body(items=line(currency='""')), 422, "order.currency-mismatch"),
    (body(items=line(currency="5")), 422, "request.invalid"),
    (body(currency='"XYZ"', items=line(currency='"XYZ"')), 422, "order.unknown-currency"),
    (body(customerId='"cus 1"'), 422, "order.invalid-customer"),
    (body(customerId='"\\u0000"'), 422, "order.invalid-customer"),
    (body(customerId='"cus_1\\n"'), 422, "order.invalid-customer"),
    (body(customerId='"\\ud800"'), 422, "order.invalid-customer"),
    (body(customerId='"' + "c" * 65 + '"'), 422, "order.invalid-customer"),
    (body(customerId='"\xd0\xb0"'), 422, "order.invalid-customer"),
    (body(items=line(sku='"\\ud83d\\udca5"')), 422, "order.invalid-sku"),
    (body(items="[]"), 422, "order.empty"),
    (body(items="[" + ",".join(["7"] * 10_000) + "]"), 422, "order.too-many-items"),
    (body(items=json.dumps([LINE] * 10_000)), 422, "order.too-many-items"),
    (body(items=json.dumps([LINE] * 30_000)), 413, "request.too-large"),
    (body(surprise="1"), 422, "request.invalid"),
    (body(**{"\\ud800": "1"}), 422, "request.invalid"),
    (body(items=line(surprise="1")), 422, "request.invalid"),
    (body(customerId='"a","customerId":"b"'), 400, "request.duplicate-member"),
    (body(items=line(quantity='2,"quantity":2')), 400, "request.duplicate-member"),
    (body(**{"\\u0063urrency": '"EUR"'}), 400, "request.duplicate-member"),
    (body(**{"": '1,"":2'}), 400, "request.duplicate-member"),
]


@pytest.mark.parametrize(("text", "status", "code"), WRONG, ids=[f"{code} {text[:60]!r}" for text, _, code in WRONG])
async def test_what_makes_no_sense_is_refused_by_name_and_leaves_nothing(
    api: Any, payments: Any, text: bytes, status: int, code: str
) -> None:
    reply = await api.post("/orders", text)

    assert reply.code == (status, code)
    assert (await api.get("/orders")).body["orders"] == []
    assert payments.calls == 0


async def test_an_item_may_say_the_orders_currency(api: Any) -> None:
    assert (await api.post("/orders", body(items=line(currency='"EUR"')))).status == 201
    assert (await api.post("/orders", body(items=line(currency="null")))).status == 201


async def test_a_refusal_says_which_item_has_the_other_currency(api: Any) -> None:
    items = [LINE, {**LINE, "currency": "EUR"}, {**LINE, "currency": "USD"}]

    reply = await api.place(items=items)

    assert (reply.body["code"], reply.body["pointer"]) == ("order.currency-mismatch", "#/items/2")


async def test_a_mark_of_the_byte_order_is_passed_over(api: Any) -> None:
    assert (await api.post("/orders", b"\xef\xbb\xbf" + body())).status == 201


@pytest.mark.parametrize("media", ["application/json", "APPLICATION/JSON; charset=utf-8", "application/order+json"])
async def test_json_is_told_by_its_type(api: Any, media: str) -> None:
    assert (await api.post("/orders", body(), media=media)).status == 201


@pytest.mark.parametrize(
    "media", ["", "text/plain", "text/json", "application/x-www-form-urlencoded", "application/jsonp", "json", "\xe9"]
)
async def test_any_other_type_is_refused_whatever_is_in_it(api: Any, media: str) -> None:
    reply = await api.post("/orders", body(), media=media)

    assert reply.code == (415, "request.unsupported-media-type")
    assert reply.headers["Accept"] == "application/json"
    assert (await api.get("/orders")).body["orders"] == []


@pytest.mark.parametrize("name", ["customerId", "currency", "items", "paymentToken"])
@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}, "", "x" * 100_000, "\0", "\ud800"], ids=ascii)
async def test_no_value_in_no_place_is_an_error_of_ours(api: Any, name: str, value: Any) -> None:
    reply = await api.place(**{name: value})

    assert reply.code[0] in {413, 422}


@pytest.mark.parametrize(
    "path",
    [
        "/orders/..%2f..%2fetc",
        "/orders/%2e%2e",
        "/orders/ord_%EF%BC%90",
        "/orders/ord_" + "0" * 31 + "%0A",
        "/orders/%01/events",
        "/orders/'%20OR%201=1--/events",
    ],
)
async def test_an_id_with_odd_characters_names_no_order(api: Any, path: str) -> None:
    reply = await api.get(path)

    assert reply.status == 404
    assert reply.body["code"] in {"order.not-found", "route.not-found"}


@pytest.mark.parametrize("path", ["/orders/%ff", "/orders/%00", "/orders/%00/events"])
async def test_what_is_no_path_at_all_reaches_no_route(api: Any, path: str) -> None:
    reply = await api.get(path)

    assert (reply.status, reply.body["code"]) == (400, "http.bad-target")


async def test_a_cursor_of_another_tenant_is_refused(settings: Any, bus: Any, payments: Any, api_of: Any) -> None:
    both = settings.model_copy(update={"tenants": frozenset({"public", "acme"})})
    async with serving(build(both, bus=bus, payments=payments)) as client:
        for _ in range(2):
            await api_of(client).placed()
        cursor = (await api_of(client).get("/orders?limit=1")).body["nextCursor"]
        client.headers["X-Cortex-Tenant"] = "acme"

        reply = await api_of(client).get(f"/orders?limit=1&cursor={cursor}")

    assert reply.code == (400, "order.invalid-cursor")


class TestNothingUnforeseen:
    """Whatever comes in: an answer, or a refusal with a code."""

    @given(st.text(max_size=300) | st.from_regex(r'[" \\!-~]*', fullmatch=True))
    def test_of_a_key(self, told: str) -> None:
        try:
            key = idempotency_key([told])
        except CortexError as error:
            assert error.code == "idempotency.invalid-key"
        else:
            assert key is not None
            assert 1 <= len(key) <= 255
            assert all("!" <= each <= "~" for each in key)

    @given(st.lists(st.text(max_size=100) | st.from_regex(r'((W/)?"(v\d+)?",? ?)*', fullmatch=True), max_size=3))
    def test_of_a_condition(self, lines: list[str]) -> None:
        has_it(lines, 1)
        try:
            versions = wanted_versions(lines)
        except CortexError as error:
            assert error.code == "request.invalid-precondition"
        else:
            assert versions is None or all(0 <= version < 10**9 for version in versions)

    @given(st.from_regex(CONDITION_PATTERN, fullmatch=True).filter(lambda told: len(told) < 8_000))
    def test_of_a_condition_as_the_document_has_it(self, told: str) -> None:
        wanted_versions([told])

    @given(st.from_regex(KEY_PATTERN, fullmatch=True).filter(lambda told: len(told) <= 255))
    def test_of_a_key_as_the_document_has_it(self, told: str) -> None:
        assert idempotency_key([told])

    @given(st.integers(1, 10**9 - 1), st.sets(st.integers(1, 10**9 - 1), max_size=3))
    def test_a_version_that_is_named_is_found_again(self, version: int, others: set[int]) -> None:
        told = ", ".join(f'"v{each}"' for each in [version, *others])

        assert wanted_versions([told]) == {version, *others}
        assert has_it([told], version)

    @given(
        st.binary(max_size=200)
        | st.lists(
            st.sampled_from(["{", "}", "[", "]", ":", ",", '"a"', '"\\ud800"', "1", "-", "NaN", "1e999", " "])
        ).map(lambda parts: "".join(parts).encode())
    )
    def test_of_a_body(self, text: bytes) -> None:
        try:
            read = asyncio.run(_read(text))
        except CortexError as error:
            assert error.code in {"request.malformed-json", "request.duplicate-member"}
        except json.JSONDecodeError:
            pass
        else:
            assert read == json.loads(text)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    async def test_of_an_order(self, api: Any, data: st.DataObject) -> None:
        anything = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
            max_leaves=5,
        )
        items = st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys((*LINE, "currency", "x"), anything)), max_size=3
        )
        changes = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "customerId": anything,
                    "currency": anything,
                    "items": items | anything,
                    "paymentToken": anything,
                },
            )
        )

        reply = await api.place(**changes)

        assert reply.status == 201 or reply.code[0] in {400, 422}


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b"\xff", b"[Infinity]"])
async def test_what_cannot_be_read_is_malformed_and_no_error_of_pythons(text: bytes) -> None:
    with pytest.raises(MalformedJson):
        await _read(text)


async def _read(text: bytes) -> Any:
    async def receive() -> Any:
        return {"type": "http.request", "body": text, "more_body": False}

    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
    return await StrictRequest(scope, receive).json()


@pytest.mark.parametrize(
    ("media", "is_it"),
    [
        ("application/json", True),
        ("application/json;a=b", True),
        (" application/vnd.x+json ", True),
        ("text/x+json", False),
    ],
)
def test_what_counts_as_json(media: str, is_it: bool) -> None:
    assert is_json(media) is is_it
