"""Lengths of time as people write them: `90`, `90s`, `15m`, `1h`, `30d`."""

import re
from typing import Final

from cortex_cli.refusal import Refusal

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd]?)", re.ASCII)


def seconds(text: str, option: str) -> int:
    """Raises Refusal, which names `option`."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Refusal(f"{option} is a number of seconds, or 90s, 15m, 1h, 30d; not {text[:40]!r}", status=2)
    return int(found[1]) * _UNITS[found[2]]
