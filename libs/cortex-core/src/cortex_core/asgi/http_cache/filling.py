"""Filling: for who asks the application past the middleware, and keeps its answer by the middleware's rules.

Owns no rule: `request.py`, `storing.py` and `landing.py` have them. The ticket is taken before anybody is asked: what
was asked for before an invalidation is not kept. Refuses stores that take their time, and requests for which something
is stored already, or whose answers vary: those take the middleware's way.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.fields import Fields, lower_names, variant
from cortex_core.asgi.http_cache.flight import Errand
from cortex_core.asgi.http_cache.hooks import AnswerDetails, CacheHooks, Outcome, tell
from cortex_core.asgi.http_cache.landing import Landing, Tags
from cortex_core.asgi.http_cache.memory import MemoryCacheStore
from cortex_core.asgi.http_cache.policy import CachePolicy
from cortex_core.asgi.http_cache.request import Request
from cortex_core.asgi.http_cache.store import Put, Ticket
from cortex_core.asgi.types import Headers, Scope
from cortex_core.kernel.clock import Clock

T = TypeVar("T")

MISSING = "uri-miss"
"""RFC 9211's reason: nothing is stored of that address."""


class Filler:
    """`store`, `policy`, `tags`, `clock` and `hooks` are those of the `HttpCache` beside it. Raises ValueError for a
    policy that gives answers an ETag of its own: those are held until they are whole, which nobody does here."""

    def __init__(
        self, store: MemoryCacheStore, policy: CachePolicy, tags: Tags | None, clock: Clock, hooks: CacheHooks
    ) -> None:
        if policy.etag:
            raise ValueError("answers that get an ETag are the middleware's")
        self.patience = policy.collapse_wait
        self._store = store
        self._policy = policy
        self._hooks = hooks
        self._landing = Landing(store, policy, tags, None, clock, hooks)

    def begin(self, scope: Scope) -> "Filling | None":
        """Before the application is asked for `scope`, a GET without conditions and directives, in its context. None:
        that is the middleware's."""
        request = Request.of(scope, self._policy)
        if request.forward is not None:
            return None
        found = self._store.find(request.key, request.headers)
        if found.answer is not None or found.vary:
            return None
        return Filling(self._landing, request, scope, found.ticket, self._policy.max_body)

    def answered(self, filling: "Filling", status: int, *, collapsed: bool = False) -> None:
        """Counts an answer to a request for what `filling` is about."""
        request = filling.request
        details = AnswerDetails(
            Outcome.MISS, request.tenant, request.method, request.path, status, MISSING, collapsed=collapsed
        )
        tell(self._hooks.on_answer, details)


class Filling:
    """One answer on its way into the store. `scope` has `cortex.route`, or is routed."""

    def __init__(self, landing: Landing, request: Request, scope: Scope, ticket: Ticket | None, max_body: int) -> None:
        self.request = request
        self.scope = scope
        self.errand = Errand(request.key, variant((), request.headers), landing.now(), ticket, None, None)
        self.status = 0
        self.headers: HeaderList = []
        self.received = 0.0
        self.freshened: Answer | None = None
        self._landing = landing
        self._max_body = max_body
        self._body: list[bytes] | None = None
        self._size = 0

    def heard(self, status: int, headers: Headers) -> None:
        """The answer's head is there."""
        self.status, self.headers = status, Fields(lower_names(headers))
        if _at_once(self._landing.heard(self.request, self)).share:
            self._body = []

    def received_part(self, data: bytes) -> None:
        """The next part of its body."""
        if self._body is None:
            return
        self._size += len(data)
        if self._size > self._max_body:
            self._body = None
        else:
            self._body.append(data)

    def land(self) -> Put | None:
        """All of it is there. How storing it went; None: it is not for keeping."""
        body, self._body = self._body, None
        return None if body is None else _at_once(self._landing.land(self.request, self, b"".join(body))).put


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """What has nothing to wait for, done: there is nothing stored to make go, and the store is memory."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("a store in memory made somebody wait")
