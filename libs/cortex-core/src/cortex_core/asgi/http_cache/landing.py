"""What comes of an answer from the application: stored, or not, or a stored one made fresh again."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from hashlib import blake2b
from typing import Final, Protocol

from cortex_core.asgi.access_log import route_of
from cortex_core.asgi.http_cache.answer import Answer, HeaderList
from cortex_core.asgi.http_cache.fields import Fields, end_to_end, joined, variant, vary_names
from cortex_core.asgi.http_cache.flight import Errand, Landed, Plan
from cortex_core.asgi.http_cache.freshness import has_validator, heuristic_lifetime, worth_keeping
from cortex_core.asgi.http_cache.hooks import CacheErrorDetails, CacheHooks, InvalidatedDetails, StoredDetails, tell
from cortex_core.asgi.http_cache.policy import CachePolicy
from cortex_core.asgi.http_cache.request import Request, same_origin_keys
from cortex_core.asgi.http_cache.serving import dated
from cortex_core.asgi.http_cache.store import CacheStore, CacheUnavailable, Put
from cortex_core.asgi.http_cache.storing import Asked, length_matches, may_store, tags_of
from cortex_core.asgi.http_cache.validation import freshened
from cortex_core.asgi.types import Scope
from cortex_core.kernel.clock import Clock

Tags = Callable[[Scope], Iterable[str]]
_NOTHING: Final = Landed()
_GONE: Final = frozenset({404, 410})


class Arrival(Protocol):
    """What is read of an answer that came, and written to it: a `Flight`, or a `Filling`."""

    errand: Errand
    scope: Scope
    status: int
    headers: HeaderList
    received: float
    freshened: Answer | None


class Landing:
    """The cache's dealings with its store."""

    def __init__(
        self,
        store: CacheStore,
        policy: CachePolicy,
        tags: Tags | None,
        changes: Tags | None,
        clock: Clock,
        hooks: CacheHooks,
    ) -> None:
        self._store = store
        self._policy = policy
        self._tags = tags
        self._changes = changes
        self._clock = clock
        self._hooks = hooks
        self._tag_header = policy.tag_header.lower().encode("latin-1")
        tags_too = set() if policy.expose_tags else {self._tag_header}
        self._unstored = frozenset(name.encode("latin-1") for name in policy.unstored) | tags_too

    def now(self) -> float:
        """Wall time in seconds since 1970."""
        return self._clock.now().timestamp()

    async def heard(self, request: Request, flight: Arrival) -> Plan:
        """What to do with an answer whose head came in just now. One that puts the stored one out of date without
        being fit to take its place makes it go."""
        flight.received = self.now()
        stored = flight.errand.stored
        if flight.status == 304 and stored is not None:
            return Plan(share=True, collect=True, whole=True)
        fits = _fits(flight.headers, self._policy.max_body)
        share = (
            fits is not False
            and flight.errand.ticket is not None
            and self._storable(request, flight.status, flight.headers, flight.received)
        )
        if stored is not None and not share and (flight.status < 400 or flight.status in _GONE):
            await self.invalidate(request.tenant, keys=[request.key])
        whole = fits is True and self._wants_etag(flight)
        return Plan(share=share, collect=share or whole, whole=whole)

    async def land(self, request: Request, flight: Arrival, body: bytes) -> Landed:
        """All of the answer is there."""
        if flight.status == 304 and flight.errand.stored is not None:
            return await self._refresh(request, flight, flight.errand.stored)
        if not length_matches(flight.headers, len(body)):
            return _NOTHING
        anew = self._wants_etag(flight)
        if anew:
            tag = b'"%s"' % blake2b(body, digest_size=16).hexdigest().encode()
            flight.headers = Fields([*flight.headers, (b"etag", tag)])
        tags = self._tags_of(request, flight)
        if tags is None:
            return _NOTHING
        if anew and not self._storable(request, flight.status, flight.headers, flight.received):
            return _NOTHING  # else `heard` has looked
        return await self._keep(request, flight, self._answer(request, flight, body, tags))

    async def invalidate(self, tenant: str, *, keys: Iterable[str] = (), tags: Iterable[str] = ()) -> bool:
        """After a change that somebody was told of already: where the store is away, only the hook learns of it."""
        try:
            count = await self._store.invalidate(keys=list(keys), tags=list(tags))
        except CacheUnavailable as error:
            tell(self._hooks.on_error, CacheErrorDetails("invalidate", error))
            return False
        tell(self._hooks.on_invalidated, InvalidatedDetails(tenant, (), count))
        return True

    def changed(self, request: Request, scope: Scope, headers: HeaderList) -> tuple[list[str], list[str]]:
        """The keys and tags of what an unsafe request that succeeded may have changed (RFC 9111, 4.4)."""
        about = (joined(headers, b"location"), joined(headers, b"content-location"))
        keys = [request.key, *same_origin_keys(scope, self._policy, request.tenant, about)]
        tags = self._changes(scope) if self._changes is not None else ()
        return keys, [tag_key(request.tenant, tag) for tag in tags]

    def without_tags(self, headers: HeaderList) -> HeaderList:
        """What a client sees of an answer's headers."""
        if self._policy.expose_tags:
            return headers
        return [(name, value) for name, value in headers if name != self._tag_header]

    def _storable(self, request: Request, status: int, headers: HeaderList, received: float) -> bool:
        return may_store(
            Asked(request.headers, request.credentials),
            status,
            headers,
            assigned=self._assigned(request, status, headers, received),
            received=received,
            cookies=self._policy.cookies,
            surrogate=request.rule.surrogate and status < 400,
        )

    def _assigned(self, request: Request, status: int, headers: HeaderList, received: float) -> float:
        if status >= 400 or request.text(b"cookie") is not None:
            return 0.0  # what a cookie has to do with an answer is the application's to say
        if request.rule.ttl is not None:
            return request.rule.ttl
        return heuristic_lifetime(headers, received, self._policy.heuristic)

    def _wants_etag(self, flight: Arrival) -> bool:
        return self._policy.etag and flight.status == 200 and not has_validator(flight.headers)

    def _answer(self, request: Request, flight: Arrival, body: bytes, tags: tuple[str, ...]) -> Answer:
        names = vary_names(flight.headers) or ()
        kept = end_to_end(flight.headers, self._unstored)
        return Answer(
            status=flight.status,
            headers=Fields(dated(kept, flight.received)),
            body=body,
            requested=flight.errand.requested,
            received=flight.received,
            assigned=self._assigned(request, flight.status, flight.headers, flight.received),
            vary=names,
            variant=variant(names, request.headers),
            tags=tags,
            route=route_of(flight.scope),
            surrogate=request.rule.surrogate and flight.status < 400,
        )

    async def _keep(self, request: Request, flight: Arrival, answer: Answer) -> Landed:
        keep = worth_keeping(
            answer, self.now(), validation=self._policy.validation, stale_if_error=self._policy.stale_if_error
        )
        if flight.errand.ticket is None or keep <= 0:
            return _NOTHING
        put = await self._store.put(request.key, answer, flight.errand.ticket, keep)
        tell(self._hooks.on_stored, StoredDetails(request.tenant, request.path, answer.size, keep, put is Put.STORED))
        return Landed(answer, put)

    async def _refresh(self, request: Request, flight: Arrival, stored: Answer) -> Landed:
        headers = end_to_end(flight.headers, self._unstored)
        answer = freshened(stored, headers, requested=flight.errand.requested, received=flight.received)
        if answer is None:
            return _NOTHING
        tags = self._tags_of(request, flight)
        if joined(flight.headers, self._tag_header) is not None and tags is not None:
            answer = replace(answer, tags=tags)
        flight.freshened = answer
        if tags is None or not self._storable(request, answer.status, answer.headers, answer.received):
            await self.invalidate(request.tenant, keys=[request.key])
            return _NOTHING
        return await self._keep(request, flight, answer)

    def _tags_of(self, request: Request, flight: Arrival) -> tuple[str, ...] | None:
        tags = tags_of(flight.headers, self._tag_header, [*self._tags(flight.scope)] if self._tags else ())
        return None if tags is None else tuple(tag_key(request.tenant, tag) for tag in tags)


def tag_key(tenant: str, tag: str) -> str:
    """A tag is its tenant's own."""
    return repr((tenant, tag))


def _fits(headers: HeaderList, max_body: int) -> bool | None:
    """Whether the declared length is within `max_body`; None where none is declared."""
    declared = joined(headers, b"content-length")
    if declared is None:
        return None
    return len(declared) < 16 and declared.isascii() and declared.isdigit() and int(declared) <= max_body
