"""What a setting that bounds something must be. NaN is neither more nor less than anything: it bounds nothing."""

import math
from typing import Any


def check_whole(name: str, value: Any, *, least: int = 1, unit: str = "") -> None:
    """Raises ValueError, naming the argument, for what is no whole number from `least` on."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be a whole number{unit and f' of {unit}'} from {least}, not {value!r}")


def check_positive(name: str, value: Any, *, unit: str = "") -> None:
    """Raises ValueError, naming the argument, for what is no finite number above 0."""
    if type(value) not in {int, float} or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number{unit and f' of {unit}'} above 0, not {value!r}")
