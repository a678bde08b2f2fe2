"""What the gateway makes of an ASGI scope."""

import pytest

from cortex_gateway.api import _incoming


@pytest.mark.parametrize(("told", "scheme"), [({}, "http"), ({"scheme": "https"}, "https")])
def test_a_server_need_not_name_the_scheme(told: dict[str, str], scheme: str) -> None:
    scope = {"path": "/api/orders", "query_string": b"", "headers": [], **told}

    assert _incoming(scope, "GET").scheme == scheme
