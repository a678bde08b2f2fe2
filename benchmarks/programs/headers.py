"""Security headers on a small answer: ours, the `secure` package's middleware, and a BaseHTTPMiddleware.

All send what ours sends, name for name and value for value. With `nonce` in its name a side makes a new CSP nonce a
response, which `secure` cannot.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from benchmarks.programs.calls import BARE, main
from cortex_core.asgi import CSPBuilder, HeaderPolicy, SecurityHeaders

BODY: Final = b'{"orderId":"ord_1","status":"completed","total":2500,"currency":"EUR"}'
_PLAIN: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
_SCOPE: Final = {"type": "http", "method": "GET", "path": "/", "scheme": "https", "headers": [(b"host", b"localhost")]}
_PAGE: Final = HeaderPolicy(csp=CSPBuilder().default_src("'self'").build())
_NONCE: Final = "{nonce}"


async def app(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": list(_PLAIN)})
    await send({"type": "http.response.body", "body": BODY})


def bare() -> Any:
    return app


def ours() -> Any:
    return SecurityHeaders(app, tls_in_front=True)


def ours_nonce() -> Any:
    return SecurityHeaders(app, policy=_PAGE, tls_in_front=True)


def secure() -> Any:
    from secure import CustomHeader, Secure
    from secure.middleware import SecureASGIMiddleware

    return SecureASGIMiddleware(app, secure=Secure(custom=[CustomHeader(*each) for each in sent_by(ours())]))


def starlette() -> Any:
    """As Starlette's documentation adds a header: https://www.starlette.io/middleware/#basehttpmiddleware."""
    fixed = sent_by(ours())

    async def dispatch(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        for name, value in fixed:
            response.headers[name] = value
        return response

    return _based(dispatch)


def starlette_nonce() -> Any:
    fixed = [pair for pair in sent_by(ours_nonce()) if pair[0] != "content-security-policy"]
    template = str(_PAGE.csp).replace("…", _NONCE)

    async def dispatch(request: Any, call_next: Any) -> Any:
        nonce = request.scope["csp_nonce"] = secrets.token_urlsafe(16)
        response = await call_next(request)
        for name, value in fixed:
            response.headers[name] = value
        response.headers["content-security-policy"] = template.replace(_NONCE, nonce)
        return response

    return _based(dispatch)


def _based(dispatch: Any) -> Any:
    from starlette.middleware.base import BaseHTTPMiddleware

    return BaseHTTPMiddleware(app, dispatch=dispatch)


def sent_by(side: Any) -> list[tuple[str, str]]:
    """The headers that a side adds to the application's."""
    found: list[tuple[str, str]] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.extend((k.decode(), v.decode()) for k, v in message["headers"] if (k, v) not in _PLAIN)

    # A thread of its own: uvicorn calls the factories where its loop already runs.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, side(dict(_SCOPE), receive, send)).result()
    return found


async def receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def discard(_message: Any) -> None:
    """The server's part, at no cost."""


async def answer(side: Any) -> None:
    await side(dict(_SCOPE), receive, discard)


SIDES: Final = {
    BARE: bare,
    "ours": ours,
    "secure": secure,
    "BaseHTTPMiddleware": starlette,
    "ours, nonce": ours_nonce,
    "BaseHTTPMiddleware, nonce": starlette_nonce,
}

if __name__ == "__main__":
    main({name: (answer, (factory(),)) for name, factory in SIDES.items()}, {})
