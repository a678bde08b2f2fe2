"""What may be done with a stored answer for this request, now (RFC 9111, section 4)."""

from dataclasses import dataclass
from enum import StrEnum

from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.directives import FOREVER, Directives, cache_control
from cortex_core.asgi.http_cache.fields import joined
from cortex_core.asgi.http_cache.freshness import current_age, lifetime, may_be_stale, stale_window


class Use(StrEnum):
    """What to do with it."""

    SERVE = "serve"  # as it is
    REFRESH = "refresh"  # serve it, and revalidate it behind the client's back
    VALIDATE = "validate"  # ask the application first


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fresh`: the answer's own opinion, whatever the request wants. `ttl`: seconds left of its lifetime, negative when
    over. `on_error`: it may be served where the application fails."""

    use: Use
    fresh: bool
    age: float
    ttl: float
    on_error: bool


def request_directives(headers: HeaderList) -> Directives:
    """`Cache-Control` of a request; where it has none, `Pragma: no-cache` is `no-cache` (RFC 9111, 5.4)."""
    said = joined(headers, b"cache-control")
    if said is None:
        pragma = cache_control(joined(headers, b"pragma"))
        return pragma if "no-cache" in pragma else cache_control(None)
    return cache_control(said)


def judge(answer: Answer, wants: Directives, now: float, *, stale_if_error: float = 0.0) -> Verdict:
    """`wants` are the request's directives; `stale_if_error` (seconds) applies where the answer says nothing of it."""
    age, lasts = current_age(answer, now), lifetime(answer)
    fresh = lasts > age and "no-cache" not in answer.directives
    stale = max(0.0, age - lasts)
    return Verdict(
        use=_use(answer, wants, age, lasts, fresh=fresh),
        fresh=fresh,
        age=age,
        ttl=lasts - age,
        on_error=stale < stale_window(answer.directives, "stale-if-error", stale_if_error),
    )


def _use(answer: Answer, wants: Directives, age: float, lasts: float, *, fresh: bool) -> Use:
    oldest = wants.seconds("max-age")
    if "no-cache" in wants or oldest == 0 or (oldest is not None and age > oldest):
        return Use.VALIDATE
    if fresh:
        return Use.SERVE if lasts - age >= (wants.valid_seconds("min-fresh") or 0) else Use.VALIDATE
    if "min-fresh" in wants:
        return Use.VALIDATE
    stale = age - lasts
    if may_be_stale(answer.directives) and stale <= _tolerated(wants):
        return Use.SERVE
    return Use.REFRESH if stale < stale_window(answer.directives, "stale-while-revalidate") else Use.VALIDATE


def _tolerated(wants: Directives) -> float:
    """Seconds past its lifetime that `max-stale` accepts; without an argument, any. Negative: none."""
    if "max-stale" not in wants:
        return -1.0
    if wants.argument("max-stale") is None:
        return float(FOREVER)
    seconds = wants.valid_seconds("max-stale")
    return -1.0 if seconds is None else float(seconds)
