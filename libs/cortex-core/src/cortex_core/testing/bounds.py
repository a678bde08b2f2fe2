"""Promised bounds on the real clock.

`make test` shares the machine among many tests: a figure taken there would speak of them. So it checks the behaviour,
and `make reliability` runs the tests marked `bound` once more, alone and with CORTEX_BOUNDS=1, and holds them to the
figure.
"""

import os


def assert_bound(seconds: float, at_most: float) -> None:
    """What took `seconds` was promised to take no more than `at_most`. Asserted under CORTEX_BOUNDS=1 only."""
    if os.environ.get("CORTEX_BOUNDS") == "1" and seconds > at_most:
        raise AssertionError(f"took {seconds:.3f} s; {at_most} s were promised")
