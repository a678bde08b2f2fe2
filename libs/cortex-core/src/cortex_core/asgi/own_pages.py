"""Pages of other origins, where nobody has to say who he is: whatever they may look at, they change nothing.

A browser sends a page's simple requests (a form, a text) anywhere, without asking, and only keeps the answers from it:
CORS is no protection. With a credential that does not matter, for no browser sends ours by itself. Without any, being
able to connect is all that is asked for, and the visitor's browser can. Refuses to judge who is no page: browsers say
where a page is (`Origin`, `Sec-Fetch-Site`), which no page can keep them from, and nothing else does.
"""

from collections.abc import Callable
from typing import Final

from cortex_core.asgi.types import ASGIApp, Headers, Receive, Scope, Send
from cortex_core.kernel.context import current
from cortex_core.kernel.errors import CortexError, Kind

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS: Final = frozenset({b"same-origin", b"none"})
_HOSTS: Final = frozenset({b"host", b"x-forwarded-host"})


class ForeignPage(CortexError):
    """A page of another origin would change something, and nobody has said that he wants it."""

    code, kind = "request.foreign-page", Kind.FORBIDDEN

    def __init__(self, setting: str) -> None:
        named = f", or name its origin in {setting}" if setting else ""
        super().__init__(
            "a page of another origin may change nothing here while nobody has to say who he is: send a credential"
            + named
        )


class OwnPages:
    """The ASGI middleware, inside of `Authentication`. `allows`: the other origins whose pages may ask, which `setting`
    names. Raises ForeignPage before the application is called. Sockets pass: their service judges `Origin`."""

    def __init__(self, app: ASGIApp, *, allows: Callable[[bytes], bool] | None = None, setting: str = "") -> None:
        self.app = app
        self._allows = allows or _none
        self._setting = setting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = scope["type"] == "http" and scope["method"] not in _SAFE
        if changes and _nobody_says() and is_foreign(scope["headers"], self._allows):
            raise ForeignPage(self._setting)
        await self.app(scope, receive, send)


def is_foreign(headers: Headers, allows: Callable[[bytes], bool]) -> bool:
    """Whether a browser says that this comes of a page that is neither of an origin of ours nor allowed. One that
    names its origin as `null` (its policy is to tell nobody) is ours where its browser says so."""
    origins = [value for name, value in headers if name == b"origin"]
    sites = [value for name, value in headers if name == b"sec-fetch-site"]
    if len(origins) > 1 or len(sites) > 1:
        return True
    if origins and allows(origins[0]):
        return False
    if sites and sites[0] not in _OURS:
        return True
    if not origins:
        return False
    if origins[0] == b"null":
        return sites != [b"same-origin"]
    # A page can set neither of these: browsers do not let it, or ask us first.
    hosts = {value.strip().lower() for name, value in headers if name in _HOSTS}
    authority = origins[0].partition(b"://")[2].lower()
    return not authority or authority not in hosts


def _nobody_says() -> bool:
    """Neither a credential nor the gateway, which has judged."""
    context = current()
    principal = context.principal
    return principal is not None and not principal.named and context.principal_token is None


def _none(_origin: bytes) -> bool:
    return False
