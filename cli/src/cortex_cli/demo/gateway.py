"""The hub's way in, as a client sees it: requests, and one WebSocket. Waits where the gateway asks it to."""

import asyncio
import io
import json
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from cortex_cli.demo.expectation import Unmet
from cortex_cli.refusal import Refusal

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_PATIENCE: Final = 30.0  # seconds for one answer
SCOPES: Final = (
    "orders:read",
    "orders:write",
    "notifications:read",
    "analytics:read",
    "files:read",
    "files:write",
    "images:write",
)
"""What the demonstration's token has to allow."""

_LONGEST_WAIT: Final = 70  # seconds that a limiter may ask us to wait: its window is a minute


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises Unmet where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Unmet("a JSON body", self.body[:200]) from error

    @property
    def brief(self) -> str:
        """For a report of what was found instead."""
        return f"{self.status} {self.body[:300].decode('utf-8', 'replace')}"


class Gateway:
    """One session with the hub at `url`. `requests` counts what was asked, against the limit of 100 a minute."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, on_wait: Callable[[int], None], token: str | None = None
    ) -> None:
        self.url = url
        self.requests = 0
        self._token = token
        self._session = session
        self._on_wait = on_wait

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, on_wait: Callable[[int], None]) -> AsyncIterator["Gateway"]:
        """`on_wait` is told when the limiter makes us wait, and how many seconds. Who CORTEX_TOKEN names asks; without
        one, nobody in particular: development lets him."""
        token = os.environ.get("CORTEX_TOKEN", "").strip()
        if token and not _TOKEN.fullmatch(token):
            raise Refusal("CORTEX_TOKEN is no token: letters, figures and . _ ~ + / - alone, no blanks")
        headers = {"Authorization": f"Bearer {token}"} if token else None
        timeout = aiohttp.ClientTimeout(total=_PATIENCE, sock_connect=3)
        async with aiohttp.ClientSession(
            timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), headers=headers
        ) as session:
            yield cls(url.rstrip("/"), session, on_wait, token or None)

    async def get(self, path: str) -> Reply:
        return await self._ask("GET", path)

    async def post(self, path: str, body: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._ask("POST", path, body, {"Content-Type": content_type, **(headers or {})})

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """As a page opens it, which cannot set a header: the token is offered as a subprotocol. Raises Unmet where the
        hub does not open it, Refusal where it does not let us."""
        offered = ["cortex.events", f"cortex.bearer.{self._token}"] if self._token else []
        try:
            async with self._session.ws_connect(f"{self.url}{path}", protocols=offered) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            self._refuse(error.status, {}, f"GET {path}")
            raise Unmet(f"a WebSocket at {path}", f"status {error.status}") from error

    async def _ask(self, method: str, path: str, body: bytes | None = None, headers: Any = None) -> Reply:
        while True:
            reply = await self._once(method, path, body, headers)
            wait = _seconds_to_wait(reply)
            if wait is None:
                self._refuse(reply.status, _problem(reply), f"{method} {path.partition('?')[0]}")
                return reply
            self._on_wait(wait)
            await asyncio.sleep(wait)

    def _refuse(self, status: int, problem: Mapping[str, Any], asked: str) -> None:
        """Raises Refusal where it is the token's fault, or for want of one."""
        if status == 401 and self._token is None:
            raise Refusal(
                f"{self.url} wants to know who asks: set CORTEX_TOKEN to a token with the scopes {' '.join(SCOPES)}"
            )
        if status == 401:
            raise Refusal(f"{self.url} does not accept CORTEX_TOKEN: {problem.get('detail', 'status 401')}")
        if status == 403:
            lacks = problem.get("scope") or f"what is needed; all scopes it needs are {' '.join(SCOPES)}"
            whose = "CORTEX_TOKEN" if self._token else "who has no token"
            raise Refusal(f"{whose} may not {asked} at {self.url}: the token lacks {lacks}")

    async def _once(self, method: str, path: str, body: bytes | None, headers: Any) -> Reply:
        self.requests += 1
        data = io.BytesIO(body) if body is not None else None  # sent in pieces, with its length told
        try:
            async with self._session.request(method, f"{self.url}{path}", data=data, headers=headers) as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        except aiohttp.ClientConnectorError as error:
            raise Refusal(f"nothing answers at {self.url}: start the hub with `cortex up`, or pass --url") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise Refusal(f"{self.url} is no URL; pass --url http://127.0.0.1:3000", status=2) from error
        except TimeoutError as error:
            raise Unmet(f"an answer to {method} {path} within {_PATIENCE:g} s", "none") from error
        except aiohttp.ClientError as error:
            raise Unmet(f"an answer to {method} {path}", f"{type(error).__name__}: {error}") from error


def _problem(reply: Reply) -> Mapping[str, Any]:
    """What RFC 9457 has of a refusal; nothing where it is none."""
    if reply.status < 400:
        return {}
    try:
        found = json.loads(reply.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds_to_wait(reply: Reply) -> int | None:
    if reply.status != 429:
        return None
    try:
        wait = math.ceil(float(reply.headers.get("Retry-After", "")))
    except ValueError:
        return None
    return max(1, wait) if wait <= _LONGEST_WAIT else None
