"""How old an answer is, how old it may get, and what may be done with it then (RFC 9111, 4.2; RFC 5861)."""

import re
from typing import Final

from cortex_core.asgi.conditional import entity_tag, http_date
from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.directives import FOREVER, Directives, cache_control
from cortex_core.asgi.http_cache.fields import joined

_AGE = re.compile(r"[ \t]*([0-9]+)[ \t]*(?:,|\Z)", re.ASCII)
_NO_STALE: Final = ("no-cache", "must-revalidate", "proxy-revalidate", "s-maxage")


def age_field(text: str | None) -> int:
    """Seconds of an `Age` field: the first of several (RFC 9111, 5.1), 0 where it is none, at most 2³¹."""
    match = _AGE.match(text or "")
    if match is None:
        return 0
    return FOREVER if len(match[1]) > 10 else min(int(match[1]), FOREVER)


def current_age(answer: Answer, now: float) -> float:
    """Seconds since the origin made or validated it (RFC 9111, 4.2.3). Never negative, whatever the clocks do.

    As a surrogate we have asked the origin ourselves: its `Date`, which knows no parts of a second, would cost a
    lifetime of one second half of it.
    """
    made = None if answer.surrogate else http_date(answer.text(b"date"))
    apparent = max(0.0, answer.received - made) if made is not None else 0.0
    corrected = age_field(answer.text(b"age")) + max(0.0, answer.received - answer.requested)
    return max(apparent, corrected) + max(0.0, now - answer.received)


def explicit_lifetime(headers: HeaderList, received: float) -> float | None:
    """Seconds it is fresh for (RFC 9111, 4.2.1): s-maxage, else max-age, else Expires less Date; None where none says.

    An `Expires` that is no date is a moment in the past (5.3).
    """
    directives = cache_control(joined(headers, b"cache-control"))
    for name in ("s-maxage", "max-age"):
        if (seconds := directives.seconds(name)) is not None:
            return float(seconds)
    expires = joined(headers, b"expires")
    if expires is None:
        return None
    until, made = http_date(expires), http_date(joined(headers, b"date"))
    return 0.0 if until is None else max(0.0, until - (received if made is None else made))


def lifetime(answer: Answer) -> float:
    """Seconds it is fresh for: what it says, else what our configuration assigned; of a surrogate's, that alone."""
    explicit = None if answer.surrogate else explicit_lifetime(answer.headers, answer.received)
    return answer.assigned if explicit is None else explicit


def heuristic_lifetime(headers: HeaderList, received: float, fraction: float) -> float:
    """`fraction` of how long it has not changed (RFC 9111, 4.2.2), at most a day; 0 where `Last-Modified` is none."""
    changed, made = http_date(joined(headers, b"last-modified")), http_date(joined(headers, b"date"))
    if changed is None:
        return 0.0
    return min(86_400.0, max(0.0, ((received if made is None else made) - changed) * fraction))


def may_be_stale(directives: Directives) -> bool:
    """Whether it may be used past its lifetime at all (RFC 9111, 4.2.4). `s-maxage` implies `proxy-revalidate`."""
    return not any(name in directives for name in _NO_STALE)


def stale_window(directives: Directives, name: str, default: float = 0.0) -> float:
    """Seconds past its lifetime that `stale-while-revalidate` or `stale-if-error` allow; 0: none."""
    if not may_be_stale(directives):
        return 0.0
    seconds = directives.seconds(name)
    return default if seconds is None else float(seconds)


def worth_keeping(answer: Answer, now: float, *, validation: float, stale_if_error: float) -> float:
    """Seconds from `now` during which it can still be of use: fresh, allowed to be stale, or for `validation` seconds
    past its lifetime, to be validated."""
    directives = answer.directives
    past = max(
        stale_window(directives, "stale-while-revalidate"),
        stale_window(directives, "stale-if-error", stale_if_error),
        validation if has_validator(answer.headers) else 0.0,
    )
    return max(0.0, lifetime(answer) - current_age(answer, now)) + past


def has_validator(headers: HeaderList) -> bool:
    """Whether it can be asked for conditionally later."""
    return entity_tag(joined(headers, b"etag")) is not None or http_date(joined(headers, b"last-modified")) is not None
