"""Who asks `/api/keys` in these tests."""

from dataclasses import replace
from typing import Any

from aiohttp import ClientSession

from cortex_core.kernel import Principal
from cortex_core.security.api_keys import KeyDesk, KeyWish

PEPPER = "0123456789abcdef" * 4
SCOPES = frozenset({"keys:admin", "orders:read", "files:read"})
ROOT = Principal("root", "public", SCOPES, method="jwt")
WISH = {"name": "nightly export", "scopes": ["orders:read"]}


class Caller:
    """Asks with one credential."""

    def __init__(self, client: ClientSession, secret: str | None) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self.headers: Any = {}

    @property
    def key_id(self) -> str:
        return f"key_{self._headers['Authorization'][10:42]}"

    async def __call__(
        self, method: str, path: str = "", body: Any = None, data: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self._client.request(method, f"/api/keys{path}", json=body, data=data, headers=sent) as answer:
            self.headers = answer.headers
            text = await answer.text()
            return answer.status, await answer.json(content_type=None) if text else None


async def caller(client: ClientSession, desk: KeyDesk, *scopes: str, tenant: str = "public") -> Caller:
    everything = replace(ROOT, tenant=tenant, scopes=SCOPES | set(scopes))
    issued = await desk.create(everything, KeyWish("caller", frozenset(scopes), subject="root"))
    return Caller(client, issued.secret)
