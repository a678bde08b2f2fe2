"""The page at `/`, and the policy it lives under.

Owns the nonce and the links to dashboards. The policy names no other host, allows no inline script or style and no
sink that makes markup of text (Trusted Types without any policy): what the API says reaches the page as text or not at
all. `connect-src 'self'` is the WebSocket of the same origin, too (CSP3, section 6.7.2.8).
"""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from cortex_core.asgi import CSPBuilder
from cortex_core.asgi.csp import new_nonce
from cortex_gateway.console.assets import PREFIX, Assets

POLICY: Final = (
    CSPBuilder()
    .default_src("'none'")
    .script_src("'self'")
    .style_src("'self'")
    .img_src("'self'", "blob:")
    .connect_src("'self'")
    .form_action("'none'")
    .frame_ancestors("'none'")
    .require_trusted_types_for("'script'")
    .trusted_types("'none'")
    .build()
)
_HEADER: Final = POLICY.name.decode()


class Page:
    """The page, with everything but the nonce filled in. `dashboards`: a name and its address each."""

    def __init__(self, assets: Assets, dashboards: Mapping[str, str]) -> None:
        source = (files("cortex_gateway.console") / "index.html").read_text(encoding="utf-8")
        modules = sorted(name for name in assets.by_name if name.endswith(".js") and name != "theme.js")
        self._template = Template(
            Template(source).safe_substitute(
                assets=assets.address,
                preloads="\n".join(
                    f'<link rel="modulepreload" nonce="$nonce" href="{assets.address}/{name}">' for name in modules
                ),
                dashboards=_links(dashboards),
            )
        )

    async def respond(self, request: Request) -> Response:
        request.scope["cortex.route"] = "/"
        nonce = new_nonce()
        headers = {"Cache-Control": "no-store", _HEADER: POLICY.render(nonce.encode()).decode()}
        return HTMLResponse(self._template.substitute(nonce=nonce), headers=headers)


def _links(dashboards: Mapping[str, str]) -> str:
    """Nothing at all where there are none: an empty heading promises what is not there."""
    if not dashboards:
        return ""
    items = "\n".join(
        f'<li><a href="{_literal(address)}" rel="noreferrer">{_literal(name)}</a></li>'
        for name, address in dashboards.items()
    )
    return f'<h2 class="nav-heading">Dashboards</h2>\n<ul class="links" id="dashboards">\n{items}\n</ul>'


def _literal(text: str) -> str:
    """For a place in the page that is a template once more."""
    return escape(text).replace("$", "$$")


def console_routes(dashboards: Mapping[str, str]) -> Sequence[BaseRoute]:
    """`/`, and what it loads. HEAD is served with GET; nothing of it is in the OpenAPI document."""
    assets = Assets.read()
    page = Page(assets, dashboards)

    async def home(request: Request) -> Response:
        request.scope["cortex.route"] = "/console"
        return RedirectResponse("./", status_code=308)  # relative: right behind any prefix

    return [
        Route("/", page.respond, methods=["GET"], include_in_schema=False),
        Route("/console", home, methods=["GET"], include_in_schema=False),
        Route(f"{PREFIX}/{{version}}/{{name:path}}", assets.respond, methods=["GET"], include_in_schema=False),
    ]
