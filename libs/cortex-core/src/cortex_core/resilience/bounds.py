"""What an argument may be. Bad ones are refused where a block is built, by their name, and not where they first hurt.

Owns that a number is a number: not a text, nor a truth value, nor the NaN that every comparison lets pass.
"""

import math


def whole(name: str, value: object, *, least: int = 1, most: float = math.inf) -> None:
    """Raises ValueError unless `value` is an int from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        upper = "" if most == math.inf else f" to {most}"
        raise ValueError(f"{name} must be a whole number from {least}{upper}, not {value!r}")


def number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    unit: str = "",
) -> None:
    """Raises ValueError unless `value` is a finite int or float within all that is given. `unit` is for the message."""
    finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if finite and least <= value <= most and above < value < below:  # type: ignore[operator]  # a number: right above
        return
    bounds = (("at least", least), ("above", above), ("at most", most), ("below", below))
    said = " and ".join(f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound))
    raise ValueError(f"{name} must be a finite number {unit and f'of {unit} '}{said}, not {value!r}")


def seconds(name: str, value: object, *, or_zero: bool = False) -> None:
    """Raises ValueError unless `value` is a finite number of seconds above 0, or from 0."""
    if or_zero:
        number(name, value, least=0, unit="seconds")
    else:
        number(name, value, above=0, unit="seconds")
