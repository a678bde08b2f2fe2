"""What a cache has to say where there is no answer."""

from cortex_core.kernel.errors import CortexError, Kind


class NotCached(CortexError):
    """The client wanted a stored answer or none (`only-if-cached`), and there is none that it may have: 504."""

    code, kind, attempted = "http-cache.not-cached", Kind.TIMEOUT, False

    def __init__(self) -> None:
        super().__init__("only a stored answer was asked for, and none is at hand", retryable=False)


class SharedAnswerTimeout(CortexError):
    """The answer that this request shares with others did not come before its deadline."""

    code, kind, attempted = "http-cache.timeout", Kind.TIMEOUT, False


class SharedAnswerFailed(CortexError):
    """The application failed twice, with `status` (0: it raised), for requests whose answer this one would have shared.
    To ask it once for each who waited would not help it up."""

    code, kind = "http-cache.failed", Kind.UNAVAILABLE

    def __init__(self, status: int, *, retry_after: float | None = None) -> None:
        super().__init__("the application failed twice for others that asked the same", retry_after=retry_after)
        if status:
            self.details = {"status": status}


class RefreshFailed(CortexError):
    """A revalidation behind a client's back was answered with `status`, 0 for nothing."""

    code, kind = "http-cache.refresh-failed", Kind.UNAVAILABLE

    def __init__(self, status: int) -> None:
        super().__init__(f"the application answered {status}" if status else "the application gave no answer")
