"""The hub as it comes: a hundred requests a minute for one client, and a demonstration that lives within that."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(240)]


def test_the_default_limit_holds_and_the_demonstration_lives_within_it(own_hub: "RealHub") -> None:
    del own_hub.env["GATEWAY_RATE_LIMIT_PER_MINUTE"]
    own_hub.up()

    shown = own_hub.cortex("demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "asks to wait" not in shown.stdout

    answers = [own_hub.ask("gateway", "/api/orders") for _ in range(101)]
    assert answers[0][0] == 200
    status, headers, told = answers[-1]
    assert (status, told["code"], headers["x-ratelimit-limit"]) == (429, "rate-limit.exceeded", "100")
    assert 1 <= int(headers["retry-after"]) <= 60
    assert own_hub.ask("gateway", "/health")[0] == 200  # never limited
    assert own_hub.ask("order", "/orders")[0] == 200  # the limit is the gateway's
