"""The real hub, asked by schemathesis whatever its own document allows, and what it does not: through the gateway, in
both lanes, no answer is a server's error, none is undocumented, and all look as the document says.

`make test` asks a little of every operation; `make fuzz` asks FUZZ_EXAMPLES times.
"""

import json
import os
import re
import shutil
import tempfile
import urllib.request
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its dependencies are warned of is not ours to mend
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi import checks as openapi
    from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(3600)]

EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "8"))
CHECKS: Final[list[Any]] = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
    openapi.response_headers_conformance,
]
NAMES: Final = (
    *("Accept", "Accept-Encoding", "If-None-Match", "If-Match", "If-Modified-Since", "If-Range", "Range", "Expect"),
    *("Cache-Control", "Content-Encoding", "X-Cortex-Tenant", "X-API-Key", "Authorization", "Idempotency-Key"),
    *("traceparent", "X-Request-Id", "X-Retry-Budget", "Origin", "X-Cortex-Principal", "X-Forwarded-For"),
)
VALUES: Final = (
    *("gzip", "identity;q=0, *;q=0", 'W/"v1"', '"v1"', "*", "bytes=0-3", "bytes=99999999-", "public", "nobody", "x"),
    *("Bearer x", "ck_bad", "0", "no-cache", "only-if-cached", "100-continue", "text/html", "null", "a\xe4"),
    *("Sun, 06 Nov 1994 08:49:37 GMT", "00-00000000000000000000000000000000-0000000000000000-00"),
)
STRANGE: Final = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=2)
KEY: Final = b'{"name": "fuzz", "scopes": ["orders:read"]}'
SHOWN: Final = {"Authorization", "X-API-Key"}  # both at once say nothing
NOT_FOR_THE_CLIENT: Final = {("Accept-Encoding", "*")}  # `requests` cannot read all that it then accepts


WITHOUT_LIMITS: Final = {"GATEWAY_PLANS": "standard=1000000/s", "GATEWAY_FAILED_ATTEMPTS_PER_MINUTE": "1000000"}


@pytest.fixture(scope="module")
def hub() -> "Iterator[RealHub]":
    """The limits are there, and never in the way: a 429 would hide what is behind it."""
    from tests.e2e.conftest import RealHub

    folder = Path(tempfile.mkdtemp(prefix="hub-"))
    hub = RealHub(folder, **WITHOUT_LIMITS)
    hub.up()
    yield hub
    hub.cortex("down")
    shutil.rmtree(folder)


def document_of(base: str) -> Any:
    with urllib.request.urlopen(f"{base}/openapi.json", timeout=10) as answer:
        return json.load(answer)


def test_the_hub_answers_as_its_document_says(hub: "RealHub") -> None:
    base = hub.url("gateway")
    document = hub.eventually(lambda: (told := document_of(base))["x-cortex-unavailable"] == [] and told)
    found: dict[Any, str] = {}
    seen: Counter[tuple[str, int]] = Counter()

    told = hub.cortex("token", "--sub", "fuzz", "--role", "admin")
    assert told.returncode == 0, told.stderr
    admin = {"Authorization": f"Bearer {told.stdout.strip()}"}
    known = {
        "orderId": [hub.place(token) for token in ("tok_ok", "tok_declined")],
        "cid": [_posted(f"{base}/api/storage/files", b"hello, hub", {"Content-Type": "text/plain"})["cid"]],
        "keyId": [_posted(f"{base}/api/keys", KEY, {"Content-Type": "application/json", **admin})["keyId"]],
    }

    with requests.Session() as session:
        for result in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = result.ok()
            if not operation.definition.raw.get("x-websocket"):
                _ask(operation, session, base, known, admin, found, seen)

    assert not found, "\n\n".join(found.values())
    asked = {label for label, _ in seen}
    assert {"POST /api/orders", "GET /api/orders/{orderId}", "GET /api", "POST /api/compute/images"} <= asked
    assert _lanes(base).keys() == {"express", "asgi"}


def _ask(
    operation: Any,
    session: requests.Session,
    base: str,
    known: dict[str, list[str]],
    admin: dict[str, str],
    found: dict[Any, str],
    seen: Counter[tuple[str, int]],
) -> None:
    proper = operation.as_strategy()
    wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=st.one_of(proper, wrong),
        headers=st.one_of(st.just({}), st.just(admin), STRANGE),
        real=st.booleans(),
        data=st.data(),
    )
    def ask(case: Any, headers: dict[str, str], real: bool, data: Any) -> None:
        for name in case.path_parameters or {}:
            if real and name in known:
                case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
        told = {name: value for name, value in headers.items() if (name, value) not in NOT_FOR_THE_CLIENT}
        if told.keys() & admin.keys():
            case.headers = {name: value for name, value in (case.headers or {}).items() if name not in SHOWN}
        reply = case.call(base_url=base, session=session, headers=told)
        seen[operation.label, reply.status_code] += 1
        for check in CHECKS:
            if check is not_a_server_error and _wished_for(told, reply):
                continue
            try:
                case.validate_response(reply, checks=[check])
            except FailureGroup as failure:  # all are wanted: a run is dear
                text = f"{operation.label} {reply.status_code} {check.__name__} {told}: {failure.args}"
                found.setdefault((operation.label, reply.status_code, check.__name__), text + _causes(failure))

    ask()


def _wished_for(told: dict[str, str], reply: Any) -> bool:
    """Whether it is the 504 of who wants a stored answer or none (RFC 9111, section 5.2.1.7)."""
    return told.get("Cache-Control") == "only-if-cached" and reply.status_code == 504 and b"not-cached" in reply.content


def _causes(failure: Any) -> str:
    return "".join(f"\n{each}" for each in failure.exceptions)


def _posted(url: str, body: bytes, headers: dict[str, str]) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return json.load(answer)


def _lanes(base: str) -> dict[str, float]:
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {lane: float(count) for lane, count in re.findall(r'cortex_gateway_lane_total\{lane="(\w+)"\} (\S+)', text)}


def test_the_document_is_openapi_3_1_and_sound(hub: "RealHub") -> None:
    document = hub.eventually(lambda: (told := document_of(hub.url("gateway")))["x-cortex-unavailable"] == [] and told)

    assert document["openapi"].startswith("3.1")
    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    operations = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "patch", "delete", "head", "options"}
    ]
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
        place = document
        for part in reference.split("/"):
            place = place[part]
    forwarded = [operation for path, _, operation in operations if path.startswith("/api/") or path == "/ws"]
    assert all(operation["security"] for operation in forwarded)
