"""Authentication under FastAPI: the authenticator that the settings describe, and `requires` on a route.

Owns where keys come from (files, an issuer's address) and what is counted. Refuses to verify anything itself.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, Request, Response, params
from fastapi.requests import HTTPConnection
from fastapi.routing import APIRoute

from cortex_core.chassis.openapi import SECURITY_SCHEMES, Responses, both, problems
from cortex_core.chassis.settings import Config, is_url
from cortex_core.kernel import Principal, current
from cortex_core.kernel.clock import Clock
from cortex_core.observability import Logger, MetricsCollector
from cortex_core.security import (
    ANONYMOUS,
    SCOPES,
    AmbiguousCredentials,
    AttemptDetails,
    AuthenticationUnavailable,
    Authenticator,
    Forbidden,
    InternalTokens,
    InvalidCredential,
    KeySetDetails,
    Memo,
    Session,
    TokenReader,
    Unauthenticated,
    admit,
    internal_reader,
)

if TYPE_CHECKING:
    from cortex_core.security.jwks import Fetch, RotatingKeys

_FETCH_SECONDS: Final = 3.0
REFUSALS: Final = problems(
    AmbiguousCredentials, Unauthenticated, InvalidCredential, Forbidden, AuthenticationUnavailable
)
"""What a route that asks for a scope may answer."""


def requires(scope: str) -> Any:
    """`Depends` for a route, or a router, that needs `scope`: raises what stands against who asks.

    Raises ValueError, where the route is declared, for a scope that there is not.
    """
    if scope not in SCOPES:
        raise ValueError(f"{scope!r} is no scope; see security/scopes.py")

    return Depends(_Required(scope))


def session_of(connection: HTTPConnection) -> AbstractContextManager[Session]:
    """The right of a WebSocket to go on, until the credential of its opening ends. A service minds the end of what was
    shown to itself; of a caller whom the gateway vouches for, the gateway does: its own token is over in a minute."""
    context = current()
    shown_here = context.principal if context.principal_token is None else None
    return connection.app.state.platform.sessions.open(connection.scope["headers"], shown_here)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class _Required:
    scope: str

    async def __call__(self, connection: HTTPConnection) -> Principal:
        return admit(connection.scope, self.scope)


def required_scopes(dependencies: Iterable[params.Depends]) -> list[str]:
    """The scopes that those made by `requires` ask for."""
    return [each.dependency.scope for each in dependencies if isinstance(each.dependency, _Required)]


class ProtectedRoute(APIRoute):
    """`APIRouter(route_class=ProtectedRoute)`: what `dependencies=[requires(…)]` asks for is looked at before the body
    is read, which FastAPI does before any dependency: nobody unknown makes us parse anything. The document says what
    is asked for, and how it is refused."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        dependencies: Sequence[params.Depends] | None = None,
        responses: Responses | None = None,
        openapi_extra: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if scopes := required_scopes(dependencies or ()):
            responses = both(responses or {}, REFUSALS)
            openapi_extra = {**(openapi_extra or {}), "security": [{name: scopes} for name in SECURITY_SCHEMES]}
        super().__init__(
            path, endpoint, dependencies=dependencies, responses=responses, openapi_extra=openapi_extra, **options
        )

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        wanted = required_scopes(self.dependencies)

        async def guarded(request: Request) -> Response:
            for scope in wanted:
                admit(request.scope, scope)
            return await handle(request)

        return guarded


def make_authenticator(settings: Config, clock: Clock, metrics: MetricsCollector, logger: Logger) -> Authenticator:
    """What the settings give no keys for is not accepted. API keys are plugged in by whoever stores them."""
    reporter = AuthenticationReporter(metrics, logger)
    memo = Memo(clock)
    rotating = _rotating(settings, clock, memo, reporter) if settings.jwks else None
    internal = None if settings.at_the_edge else _internal(settings, clock)
    return Authenticator(
        memo,
        jwt=_jwt(settings, clock, rotating) if rotating else None,
        internal=internal,
        anonymous=ANONYMOUS if settings.serves_anonymous else None,
        edge=settings.at_the_edge,
        tenants=settings.tenants,
        hooks=reporter,
        closing=[rotating.aclose] if rotating else [],
    )


def make_internal_tokens(settings: Config, clock: Clock) -> InternalTokens | None:
    """What the gateway signs with; None where it has no key, and services see the caller's own credential."""
    if settings.internal_signing_key is None:
        return None
    from cortex_core.security.jwks import parse_signing_key

    data = settings.internal_signing_key.read_bytes()
    return InternalTokens(parse_signing_key(data, development=settings.env != "production"), clock)


def _internal(settings: Config, clock: Clock) -> TokenReader | None:
    if settings.internal_keys is None:
        return None
    from cortex_core.security.jwks import FixedKeys, parse_key_set

    keys, _ = parse_key_set(settings.internal_keys.read_bytes(), development=settings.env != "production")
    return internal_reader(FixedKeys(keys), clock)


def _jwt(settings: Config, clock: Clock, keys: "RotatingKeys") -> TokenReader:
    from cortex_core.security.claims import principal_of
    from cortex_core.security.jwt import JwtReader

    return JwtReader(
        keys, issuer=settings.token_issuer, audience=settings.token_audience, clock=clock, principal=principal_of
    )


def _rotating(settings: Config, clock: Clock, memo: Memo, hooks: "AuthenticationReporter") -> "RotatingKeys":
    from cortex_core.security.jwks import RotatingKeys

    place = settings.jwks or ""
    fetch = fetching(place) if is_url(place) else _reading(Path(place))
    development = settings.env != "production"
    return RotatingKeys(fetch, clock, development=development, hooks=hooks, on_removed=memo.clear)


def _reading(file: Path) -> "Fetch":
    async def read() -> bytes:
        return file.read_bytes()  # noqa: ASYNC240 - some KiB, once in five minutes

    return read


def fetching(url: str) -> "Fetch":
    """Gets what is at `url`: within 3 s, no more than a key set may have, and from nowhere else: a redirect is an
    error. Raises OSError."""

    async def fetch() -> bytes:
        import aiohttp  # late: most processes have files

        from cortex_core.security.jwks import MAX_BYTES

        timeout = aiohttp.ClientTimeout(total=_FETCH_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, allow_redirects=False) as got,
            ):
                if got.status != 200:
                    raise OSError(f"the issuer's keys: status {got.status}")
                data = bytearray()
                async for part in got.content.iter_any():
                    data += part
                    if len(data) > MAX_BYTES:
                        raise OSError(f"the issuer's keys: more than {MAX_BYTES} bytes")
        except aiohttp.ClientError as error:
            raise OSError(f"the issuer's keys: {type(error).__name__}") from error
        return bytes(data)

    return fetch


class AuthenticationReporter:
    """Implements `security.AuthenticationHooks`."""

    def __init__(self, metrics: MetricsCollector, logger: Logger) -> None:
        self._logger = logger
        self._attempts = metrics.create_counter(
            "cortex_auth_total", "Credentials looked at, by what they are and what came of it", ("method", "outcome")
        )
        self._failures = metrics.create_counter(
            "cortex_auth_failures_total", "Credentials refused, by why", ("reason",)
        )
        self._keys = metrics.create_gauge("cortex_auth_keys", "Keys of the issuer that are known")

    def on_attempt(self, details: AttemptDetails, /) -> None:
        self._attempts.labels(method=details.method, outcome=details.outcome).inc()
        if details.outcome != "accepted":
            self._failures.labels(reason=details.reason).inc()

    def on_key_set(self, details: KeySetDetails, /) -> None:
        self._keys.set(details.keys)
        if details.error is not None:
            self._logger.warning("the issuer's keys cannot be had", error=details.error, known=details.keys)
        elif details.ignored:
            self._logger.warning("some of the issuer's keys are not used", why=sorted(set(details.ignored)))
