"""Rate limit: which requests are counted against which policies, and how the answer says so.

Owns the headers: `X-RateLimit-Limit`, `-Remaining`, `-Reset` (Unix seconds, as most servers have it; here the moment at
which the whole limit is back), `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers, structured
fields), and on a refusal `Retry-After`. Refuses to count: a limiter does, met through a small Protocol. Next:
`limit_keys.py` says whom a limit is for.
"""

import math
import re
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.limit_keys import KeyFunction
from cortex_core.asgi.problems import HEADERS, refuse
from cortex_core.asgi.types import ASGIApp, Message, Receive, Scope, Send
from cortex_core.kernel.errors import CortexError, Kind

EXEMPT: Final = ("/health", "/health/live", "/health/ready", "/metrics")
"""What is asked by machines of ours. Each by its name: what is made up below them costs an answer like any other."""

_OURS: Final = frozenset(
    {b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"ratelimit-policy", b"ratelimit"}
)
_BEGINNINGS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})

_METHOD: Final = re.compile(r"[A-Z][A-Z-]*", re.ASCII)

Pairs = list[tuple[bytes, bytes]]


class Quota(Protocol):
    """A policy, as far as headers tell it: its name, its units, and the seconds they are for."""

    @property
    def name(self) -> str: ...
    @property
    def limit(self) -> int: ...
    @property
    def window(self) -> float: ...


class Verdict(Protocol):
    """A limiter's decision; times are in seconds."""

    @property
    def allowed(self) -> bool: ...
    @property
    def policy(self) -> Any: ...
    @property
    def remaining(self) -> int: ...
    @property
    def reset_after(self) -> float: ...
    @property
    def retry_after(self) -> float: ...


class Counting(Protocol):
    """What counts: a `Limiter` of `cortex_core.ratelimit` is one."""

    async def acquire(self, *demands: Any, cost: int = 1) -> Verdict:
        """A demand is a policy and a key. Raises a CortexError where it cannot tell."""
        ...


Refuse = Callable[[CortexError, Scope, Receive, Send], Awaitable[None]]
"""Answers a request with an error, through the `send` it is given."""


class RateLimited(CortexError):
    """The caller has asked too often. `retry_after` is in whole seconds, at least 1."""

    code, kind = "rate-limit.exceeded", Kind.RATE_LIMITED
    attempted = False

    def __init__(self, verdict: Verdict, policy: Quota) -> None:
        super().__init__(
            f"more than {policy.limit} in {policy.window:g} s; wait before you ask again",
            retry_after=float(_whole(verdict.retry_after)),
            policy=policy.name,
            limit=policy.limit,
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests whose path is `prefix` or below it, whose method is one of `methods` (None: any) and of which `when` is
    true, cost `cost` units under each of `limits`: policies, and whom they are for.

    GET is HEAD as well, and a WebSocket's handshake counts as GET. Where no key function finds anybody, the request is
    not limited. Raises ValueError for a rule without limits, a `prefix` without its slash, `methods` that are no set of
    names in capitals, and a `cost` that is no whole number from 1 to the least limit.
    """

    limits: Sequence[tuple[Quota, KeyFunction]]
    prefix: str = "/"
    methods: Collection[str] | None = None
    when: Callable[[Scope], bool] | None = None
    cost: int = 1

    def __post_init__(self) -> None:
        if not self.limits:
            raise ValueError("limits must hold at least one policy and key function")
        if not self.prefix.startswith("/"):
            raise ValueError(f"prefix must begin with a slash, not {self.prefix!r}")
        if self.methods is not None and not _are_methods(self.methods):
            raise ValueError(f"methods must be a set of names in capitals, such as {{'GET'}}, not {self.methods!r}")
        check_whole("cost", self.cost)
        if self.cost > min(policy.limit for policy, _ in self.limits):
            raise ValueError(f"cost must be from 1 to the least limit, not {self.cost}")

    def covers(self, scope: Scope) -> bool:
        return (
            _is_below(scope["path"], self.prefix)
            and (self.methods is None or self._takes(scope.get("method", "GET"), self.methods))
            and (self.when is None or self.when(scope))
        )

    @staticmethod
    def _takes(method: str, methods: Collection[str]) -> bool:
        return method in methods or (method == "HEAD" and "GET" in methods)


class RateLimit:
    """The first of `rules` that covers a request decides; put the special ones first. All its policies admit, or none
    is charged; the tightest is what the headers tell.

    `exempt` paths are never limited; a trailing `*` takes all that begins so. `refuse` answers a refusal, and a limiter
    that cannot tell (503), by default as `Problems` would; None raises them (RateLimited, or the limiter's own error)
    to whoever is outside, with the headers in `scope["cortex.headers"]`. `now` is the wall clock, in Unix seconds, for
    `X-RateLimit-Reset` alone. Raises ValueError for an `exempt` that is no sequence of paths.
    """

    def __init__(
        self,
        app: ASGIApp,
        limiter: Counting,
        rules: Sequence[Rule],
        *,
        exempt: Sequence[str] = EXEMPT,
        refuse: Refuse | None = refuse,
        now: Callable[[], float] = time.time,
    ) -> None:
        if isinstance(exempt, str) or not all(str(each).startswith("/") for each in exempt):
            raise ValueError(f"exempt must be a sequence of paths that begin with a slash, not {exempt!r}")
        self.app = app
        self.limiter = limiter
        self.rules = tuple(rules)
        self.refuse = refuse
        self.now = now
        self._exempt = frozenset(path for path in exempt if not path.endswith("*"))
        self._exempt_beginnings = tuple(path[:-1] for path in exempt if path.endswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._rule(scope) if scope["type"] in {"http", "websocket"} else None
        if rule is None:
            return await self.app(scope, receive, send)
        demands = [(policy, key) for policy, find in rule.limits if (key := find(scope)) is not None]
        if not demands:
            return await self.app(scope, receive, send)

        try:
            verdict = await self.limiter.acquire(*demands, cost=rule.cost)
        except CortexError as error:
            return await self._refuse(error, scope, receive, send)
        policies = [policy for policy, _ in demands]
        headers = limit_headers(policies, verdict, self.now())
        scope[HEADERS] = [*scope.get(HEADERS, ()), *headers]
        sending = _with_headers(send, headers)
        if not verdict.allowed:
            return await self._refuse(RateLimited(verdict, _declared(policies, verdict)), scope, receive, sending)
        await self.app(scope, receive, sending)

    def _rule(self, scope: Scope) -> Rule | None:
        path: str = scope["path"]
        if path in self._exempt or path.startswith(self._exempt_beginnings):
            return None
        return next((rule for rule in self.rules if rule.covers(scope)), None)

    async def _refuse(self, error: CortexError, scope: Scope, receive: Receive, send: Send) -> None:
        if self.refuse is None:
            raise error
        await self.refuse(error, scope, receive, send)


def limit_headers(policies: Sequence[Quota], verdict: Verdict, now: float) -> Pairs:
    """What an answer says of its limits. `policies` are all that applied; `now` is in Unix seconds."""
    tightest = _declared(policies, verdict)
    remaining, reset = max(0, verdict.remaining), math.ceil(verdict.reset_after)
    quotas = dict.fromkeys(f'"{policy.name}";q={policy.limit};w={_whole(policy.window)}' for policy in policies)
    return [
        (b"x-ratelimit-limit", b"%d" % tightest.limit),
        (b"x-ratelimit-remaining", b"%d" % remaining),
        (b"x-ratelimit-reset", b"%d" % math.ceil(now + verdict.reset_after)),
        (b"ratelimit-policy", ", ".join(quotas).encode()),
        (b"ratelimit", f'"{tightest.name}";r={remaining};t={reset}'.encode()),
    ]


def limit_template(policies: Sequence[Quota], verdict: Verdict) -> bytes:
    """`limit_headers` as lines that end in CRLF, for all verdicts of the same policy: `%` it with what remains, the
    reset in Unix seconds, what remains again, and the seconds to the reset."""
    names = {b"x-ratelimit-remaining": b"%d", b"x-ratelimit-reset": b"%d"}
    lines = []
    for name, value in limit_headers(policies, verdict, 0.0):
        filled = value.replace(b"%", b"%%")
        if name == b"ratelimit":
            filled = filled.rpartition(b";r=")[0] + b";r=%d;t=%d"
        lines.append(name + b": " + names.get(name, filled) + b"\r\n")
    return b"".join(lines)


def _declared(policies: Sequence[Quota], verdict: Verdict) -> Quota:
    """The verdict's policy as it was declared: while a limiter counts alone, it decides by a share, of which a client
    knows nothing, and what remains of that remains of the whole."""
    decided: Quota = verdict.policy
    if decided in policies:
        return decided
    named = (policy for policy in policies if policy.name == decided.name)
    return min(named, key=lambda policy: abs(policy.window - decided.window), default=decided)


def _with_headers(send: Send, headers: Pairs) -> Send:
    """Ours in place of what a service behind us may have said of its own limits."""

    async def sending(message: Message) -> None:
        if message["type"] in _BEGINNINGS:
            others = [pair for pair in message.get("headers", ()) if pair[0].lower() not in _OURS]
            message = {**message, "headers": [*others, *headers]}
        await send(message)

    return sending


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _are_methods(methods: Collection[str]) -> bool:
    named = bool(methods) and not isinstance(methods, str)
    return named and all(_METHOD.fullmatch(str(each)) for each in methods)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
