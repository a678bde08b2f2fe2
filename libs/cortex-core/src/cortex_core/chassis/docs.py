"""`/docs`: Swagger UI over `openapi.json`, by relative links, so that it works behind any prefix; its assets are ours.

Owns the page and the content policy it lives under: our scripts and styles alone, by a nonce. What Swagger UI styles by
itself goes through the CSSOM, which no policy forbids; it needs neither `'unsafe-inline'` nor `'unsafe-eval'`.
"""

import json
from collections.abc import Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from cortex_core.asgi import CSPBuilder, HeaderPolicy
from cortex_core.asgi.security_headers import NONCE

ASSETS: Final = "/docs/assets"

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="docs/assets/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script nonce="$nonce" src="docs/assets/swagger-ui-bundle.js"></script>
<script nonce="$nonce">SwaggerUIBundle($options)</script>
</body>
</html>
""")
_OPTIONS: Final = json.dumps(
    {
        "url": "openapi.json",
        "dom_id": "#swagger-ui",
        "deepLinking": True,
        "showExtensions": True,
        "showCommonExtensions": True,
        "validatorUrl": None,  # else the document would be sent to somebody else to be judged
    }
)
_POLICY: Final = (
    CSPBuilder()
    .default_src("'none'")
    .script_src("'self'")
    .style_src("'self'")
    .img_src("'self'", "data:")
    .connect_src("'self'")
    .form_action("'none'")
    .frame_ancestors("'none'")
    .build()
)

HEADERS: Final[Mapping[str, HeaderPolicy]] = MappingProxyType(
    {"/docs": HeaderPolicy(csp=_POLICY), ASSETS: HeaderPolicy()}
)
"""What `SecurityHeaders` sends with the page, and with what it loads."""


def docs(title: str) -> APIRouter:
    """The page. It is made for each request: a nonce is used once."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def page(request: Request) -> HTMLResponse:
        nonce = escape(request.scope.get(NONCE, ""))
        text = _PAGE.substitute(title=escape(title), nonce=nonce, options=_OPTIONS)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    return router


def docs_assets() -> StaticFiles:
    """Swagger UI's files, from the package that ships them; found without importing it."""
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:  # pragma: no cover - a broken installation
        raise RuntimeError("fastapi-offline is not installed: install cortex-core[chassis]")
    return StaticFiles(directory=Path(found.origin).parent / "static")
