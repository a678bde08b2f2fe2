"""The OpenAPI document tells the truth: whatever is sent, the answer is one that it lists."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ORDERS, ORDER = "/orders", "/orders/{orderId}"
CANCEL, EVENTS = "/orders/{orderId}/cancel", "/orders/{orderId}/events"
BUSY = {"actor.mailbox-full", "actor.too-many-active", "actor.system-draining", "actor.stopped"}

ANYWHERE = {"400": {"auth.ambiguous"}, "503": {"auth.unavailable"}}
"""What a route that asks for a scope may say of who asks."""

ENCODED = {"400": {"request.bad-encoding"}, "415": {"request.unsupported-encoding"}}
"""What a route that takes a body may say of its `Content-Encoding`."""

CODES = {
    ("post", ORDERS, "400"): {
        "request.malformed-json",
        "request.duplicate-member",
        "idempotency.invalid-key",
    },
    ("post", ORDERS, "409"): {"idempotency.in-progress"},
    ("post", ORDERS, "413"): {"request.too-large"},
    ("post", ORDERS, "415"): {"request.unsupported-media-type"},
    ("post", ORDERS, "422"): {
        "idempotency.key-reused",
        "order.empty",
        "order.too-many-items",
        "order.invalid-sku",
        "order.invalid-quantity",
        "order.invalid-price",
        "order.unknown-currency",
        "order.currency-mismatch",
        "order.total-out-of-bounds",
        "order.invalid-customer",
        "order.invalid-payment-token",
        "request.invalid",
    },
    ("post", ORDERS, "503"): {"event-store.unavailable", *BUSY},
    ("post", ORDERS, "504"): {"actor.ask-timeout"},
    ("post", CANCEL, "503"): {"event-store.unavailable", *BUSY},
    ("post", CANCEL, "504"): {"actor.ask-timeout"},
    ("get", ORDER, "503"): {"event-store.unavailable"},
    ("get", ORDERS, "400"): {"order.invalid-cursor", "request.invalid"},
    ("get", ORDER, "404"): {"order.not-found", "order.version-not-found"},
    ("get", ORDER, "500"): {"event-store.corrupt-event", "internal"},
    ("get", EVENTS, "404"): {"order.not-found"},
    ("get", EVENTS, "422"): {"request.invalid"},
    ("post", CANCEL, "400"): {"request.malformed-json", "request.duplicate-member", "request.invalid-precondition"},
    ("post", CANCEL, "404"): {"order.not-found"},
    ("post", CANCEL, "409"): {"order.illegal-transition", "event-store.stale-version"},
    ("post", CANCEL, "412"): {"order.stale-version"},
    ("post", CANCEL, "415"): {"request.unsupported-media-type"},
}


@pytest.mark.parametrize(("place", "codes"), CODES.items(), ids=[" ".join(place) for place in CODES])
async def test_every_code_is_listed_where_it_may_come(api: Any, place: tuple[str, str, str], codes: set[str]) -> None:
    method, path, status = place
    paths = (await api.get("/openapi.json")).body["paths"]

    listed = set(re.findall(r"`([a-z-]+\.[a-z-]+|internal)`", paths[path][method]["responses"][status]["description"]))

    encoded = ENCODED.get(status, set()) if method == "post" else set()
    assert listed == codes | ANYWHERE.get(status, set()) | encoded


async def test_every_header_is_listed(api: Any) -> None:
    paths = (await api.get("/openapi.json")).body["paths"]

    def taken(method: str, path: str) -> set[str]:
        return {each["name"] for each in paths[path][method]["parameters"] if each["in"] == "header"}

    def given_(method: str, path: str, status: str) -> set[str]:
        return set(paths[path][method]["responses"][status]["headers"])

    assert taken("post", ORDERS) == {"Idempotency-Key"}
    assert taken("get", ORDER) == {"If-None-Match"}
    assert taken("post", CANCEL) == {"If-Match"}
    assert given_("post", ORDERS, "201") == {"Location", "ETag", "Idempotency-Replayed"}
    assert given_("get", ORDER, "200") == given_("get", ORDER, "304") == {"ETag", "Cache-Control"}
    assert given_("post", CANCEL, "200") == {"ETag", "Content-Location"}
    assert "requestBody" not in paths[ORDER]["get"]
    assert not paths[CANCEL]["post"]["requestBody"].get("required")


async def test_the_document_tells_the_domains_bounds(api: Any) -> None:
    document = (await api.get("/openapi.json")).body

    parameters = {each["name"]: each["schema"] for each in document["paths"]["/orders"]["get"]["parameters"]}
    body, line = (document["components"]["schemas"][name]["properties"] for name in ("PlaceOrderBody", "ItemBody"))
    assert {"minimum": 1, "maximum": 100, "default": 20, "type": "integer"}.items() <= parameters["limit"].items()
    assert not {"ge", "le"} & parameters["limit"].keys()
    assert (body["items"]["minItems"], body["items"]["maxItems"]) == (1, 100)
    assert (line["quantity"]["minimum"], line["quantity"]["maximum"]) == (1, 1_000_000)
    assert (line["unitPrice"]["minimum"], line["unitPrice"]["maximum"]) == (0, 10**12)
    examples = [
        (line["sku"], "a.B_c-9", "a b"),
        (line["sku"], "a" * 64, "a" * 65),
        (body["customerId"], "c" * 64, "c" * 65),
        (body["customerId"], "cus_1", "cus.1"),
        (body["currency"], "EUR", "eur"),
        (body["paymentToken"], "tok_" + "a" * 60, "tok_" + "a" * 61),
    ]
    for schema, good, bad in examples:
        assert re.search(schema["pattern"], good), good  # search: a JSON Schema's pattern is anchored by itself only
        assert not re.search(schema["pattern"], bad), bad


ODD = st.sampled_from(["", "*", '"v1"', 'W/"v1", "v2"', "abc", '"abc"', "a b", '"', "x" * 300, "\xe9", ","])
NUMBER = st.integers(-2, 200).map(str) | st.sampled_from(["", "x", "1.5", str(2**70), "%00", "NaN"])
VALUE = st.none() | st.integers() | st.text(max_size=8) | st.just([]) | st.just({})
BODY = st.fixed_dictionaries(
    {},
    optional={
        "customerId": st.just("cus_1") | VALUE,
        "currency": st.just("EUR") | VALUE,
        "items": st.just([{"sku": "book", "quantity": 2, "unitPrice": 1250}]) | VALUE,
        "paymentToken": st.just("tok_ok") | VALUE,
        "more": VALUE,
    },
)
MEDIA = st.sampled_from(["application/json"] * 4 + ["text/plain", ""])


@pytest.mark.timeout(600)  # 150 examples, each of several requests, beside whatever else the machine does
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_whatever_is_sent_the_answer_is_one_that_the_document_lists(api: Any, data: st.DataObject) -> None:
    document = (await api.get("/openapi.json")).body
    order_id = await api.placed() if data.draw(st.booleans()) else quote(data.draw(st.text(max_size=40)), safe="")
    path, method = data.draw(
        st.sampled_from([(ORDERS, "post"), (ORDERS, "get"), (ORDER, "get"), (EVENTS, "get"), (CANCEL, "post")])
    )
    names = {"query": [], "header": []} | {}
    for each in document["paths"][path][method].get("parameters", []):
        names.setdefault(each["in"], []).append(each["name"])
    query = "&".join(f"{name}={data.draw(NUMBER)}" for name in names["query"] if data.draw(st.booleans()))
    headers = {name: data.draw(ODD) for name in names["header"] if data.draw(st.booleans())}
    url = f"{path.format(orderId=order_id)}?{query}"

    if method == "get":
        reply = await api.get(url, headers)
    else:
        body = data.draw(BODY if path == ORDERS else st.just({}) | BODY)
        reply = await api.post(url, data.draw(st.just(b"")) if body == {} else body, headers, data.draw(MEDIA))

    if reply.body and reply.body.get("code", "").startswith(
        ("route.", "http.")
    ):  # no route of this document's: `//`, `/./`, `%00`
        return
    listed = document["paths"][path][method]["responses"]
    assert str(reply.status) in listed, reply
    assert reply.status < 500
    if reply.status >= 400:
        assert f"`{reply.body['code']}`" in listed[str(reply.status)]["description"], reply
