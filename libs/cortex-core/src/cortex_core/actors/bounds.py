"""What a setting may be. Bad ones are refused where they are given, by their name."""

import math


def whole(name: str, value: object, *, least: int) -> None:
    """Raises ValueError unless `value` is an int from `least`."""
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")


def seconds(name: str, value: object, *, or_zero: bool = False) -> None:
    """Raises ValueError unless `value` is a finite number of seconds above 0, or from 0."""
    if type(value) not in {int, float} or not 0 <= value < math.inf or (value == 0 and not or_zero):  # type: ignore[operator]  # a number: right before
        raise ValueError(f"{name} must be a number of seconds {'from' if or_zero else 'above'} 0, not {value!r}")
