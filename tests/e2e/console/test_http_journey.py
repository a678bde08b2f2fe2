"""The same hub without a browser: the demonstration, which checks each of its steps itself."""

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import RealHub

pytestmark = [pytest.mark.hub, pytest.mark.timeout(180)]


def test_the_demonstration_passes(hub: "RealHub") -> None:
    result = hub.cortex("demo", "--json")

    told = json.loads(result.stdout)
    assert result.returncode == 0, told["steps"]
    assert told["ok"] is True
