"""The console's files: read once, served under an address that changes with their content.

Owns media types, entity tags and the hash over all of them. One hash for the whole set, not one a file: modules name
each other by relative addresses, and a page never gets modules of two versions. Refuses every name that it did not read
at the start; no path reaches the disk.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from cortex_core.asgi.conditional import not_modified
from cortex_core.kernel import CortexError, Kind

PREFIX: Final = "/console/assets"
UNCOUNTED: Final = ("/", "/console", f"{PREFIX}/*")
"""For the limiter, which does not count the page and its files: a first visit would cost its client a third of a
hundred, and whoever has none left gets a page that says so in place of a bare problem. They are bytes in memory; a page
with its nonce, compressed, takes a tenth of a millisecond."""

FOREVER: Final = "public, max-age=31536000, immutable"
_MEDIA: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class AssetNotFound(CortexError):
    """The console has no such file, or not in this version."""

    code, kind = "console.asset-not-found", Kind.NOT_FOUND

    def __init__(self) -> None:
        super().__init__("the console has no such file; load the page again")


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. `etag` is strong, with its quotes."""

    body: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by name. `version` names the whole set, and is a part of every address."""

    version: str
    by_name: Mapping[str, Asset]

    @classmethod
    def read(cls) -> "Assets":
        found = dict(sorted(_walk(files("cortex_gateway.console") / "assets")))
        whole = hashlib.sha256()
        for name, asset in found.items():
            whole.update(f"{name}\0{asset.etag}\0".encode())
        return cls(whole.hexdigest()[:16], found)

    @property
    def address(self) -> str:
        """Where they are, relative to `/`: right behind any prefix."""
        return f"{PREFIX[1:]}/{self.version}"

    async def respond(self, request: Request) -> Response:
        """GET and HEAD. Raises AssetNotFound."""
        request.scope["cortex.route"] = f"{PREFIX}/{{version}}/{{name}}"
        asset = self.by_name.get(request.path_params["name"])
        if asset is None or request.path_params["version"] != self.version:
            raise AssetNotFound
        headers = {"ETag": asset.etag, "Cache-Control": FOREVER}
        known = request.headers.get("if-none-match")
        if not_modified(if_none_match=known, if_modified_since=None, etag=asset.etag, last_modified=None):
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers, media_type=asset.media_type)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Asset]]:
    for each in folder.iterdir():
        if each.is_dir():
            yield from _walk(each, f"{prefix}{each.name}/")
        elif (media := _MEDIA.get(each.name[each.name.rfind(".") :])) is not None:
            body = each.read_bytes()
            yield f"{prefix}{each.name}", Asset(body, media, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
