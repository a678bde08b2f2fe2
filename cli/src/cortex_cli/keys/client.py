"""The gateway's `/api/keys`, asked one thing at a time. What it refuses reaches the person as one line."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from cortex_cli.refusal import Refusal

_PATIENCE: Final = aiohttp.ClientTimeout(total=15, sock_connect=3)


@dataclass(frozen=True, slots=True, repr=False)
class KeysOf:
    """The keys of the hub whose gateway is at `url`, as who has `token` may see them."""

    url: str
    token: str

    def create(self, wish: Mapping[str, Any]) -> Any:
        return self._ask("POST", "", dict(wish))

    def page(self, cursor: str | None) -> Any:
        return self._ask("GET", f"?limit=100{f'&cursor={quote(cursor)}' if cursor else ''}")

    def revoke(self, key_id: str) -> Any:
        return self._ask("DELETE", f"/{quote(key_id, safe='')}")

    def rotate(self, key_id: str, grace: int) -> Any:
        return self._ask("POST", f"/{quote(key_id, safe='')}/rotate", {"grace": grace})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises Refusal."""
        return asyncio.run(self._asked(method, path, body))

    async def _asked(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=_PATIENCE, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(
                    method, f"{self.url}/api/keys{path}", json=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                told = await answer.json(content_type=None)
                if answer.status >= 300:
                    raise Refusal(_refusal(answer.status, told))
                return told
        except aiohttp.ClientConnectorError:
            raise Refusal(f"nothing answers at {self.url}: start the hub with `cortex up`, or pass --url") from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise Refusal("--url is no URL; it looks like http://127.0.0.1:3000", status=2) from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refusal(f"no answer that can be understood from {self.url}: {type(error).__name__}") from None


def _refusal(status: int, told: Any) -> str:
    if not isinstance(told, dict) or "detail" not in told:
        return f"the gateway answered {status}"
    return f"{str(told['detail'])[:500]} ({told.get('code', status)})"
