"""Hypothesis state machines, as long as they are wanted.

`make test` walks a tenth of the way, `make machines` the whole one: CORTEX_STATE_STEPS, 100,000 steps a machine.
"""

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypothesis import settings

_EACH: Final = 50  # steps a run: long enough for every state to be met several times


def machine_settings() -> "settings":
    """`TestBreaker.settings = machine_settings()`: runs of 50 steps, CORTEX_STATE_STEPS in all (10,000 if unset)."""
    from hypothesis import HealthCheck, settings

    steps = int(os.environ.get("CORTEX_STATE_STEPS", "10000"))
    return settings(
        max_examples=max(1, steps // _EACH),
        stateful_step_count=_EACH,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
