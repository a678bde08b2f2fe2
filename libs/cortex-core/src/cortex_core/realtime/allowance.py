"""How much a client may say: a token bucket, driven by the readings it is given."""


class Allowance:
    """At most `burst` at once and `rate` a second in the long run. `now` is a monotonic clock's reading, in seconds.

    The classic token bucket; it is filled when it is asked, so it costs nothing in between.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"rate must be positive and burst at least 1, not {rate} and {burst}")
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more fits now; if so, it is counted."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
