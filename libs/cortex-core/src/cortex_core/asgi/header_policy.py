"""What a browser is told beside the content: one frozen value a kind of page, checked when it is made.

Owns the headers' values; the defaults follow OWASP's "HTTP Headers Cheat Sheet". Next: security_headers.py sends them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.csp import ContentSecurityPolicy, CSPBuilder

_REFERRER: Final = frozenset(
    {
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    }
)
_OPENER: Final = frozenset({"same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"})
_RESOURCE: Final = frozenset({"same-origin", "same-site", "cross-origin"})
_EMBEDDER: Final = frozenset({"require-corp", "credentialless", "unsafe-none"})
_FRAME: Final = frozenset({"DENY", "SAMEORIGIN"})
_FEATURE: Final = re.compile(r"[a-z][a-z0-9-]*", re.ASCII)
_ORIGIN: Final = re.compile(r"https?://(?:\*\.)?[A-Za-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII)
_PRELOAD: Final = 31_536_000  # seconds: what https://hstspreload.org/ asks for

NO_CONTENT: Final = CSPBuilder().default_src("'none'").form_action("'none'").frame_ancestors("'none'").build()
"""For what is data and no page: a browser that shows it all the same loads and runs nothing."""

NO_FEATURES: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    dict.fromkeys(
        (
            "accelerometer",
            "camera",
            "display-capture",
            "geolocation",
            "gyroscope",
            "hid",
            "magnetometer",
            "microphone",
            "midi",
            "payment",
            "serial",
            "usb",
        ),
        (),
    )
)
"""What a page would have to ask its user for, asked by nobody."""


@dataclass(frozen=True, slots=True)
class Hsts:
    """Strict-Transport-Security (RFC 6797): for `max_age` seconds (0: forget it) a browser comes by TLS only.

    `preload` asks for a place in the browsers' own lists, which takes months to leave: it needs a year, and subdomains.
    """

    max_age: int = 31_536_000
    include_subdomains: bool = False
    preload: bool = False

    def __post_init__(self) -> None:
        check_whole("max_age", self.max_age, least=0, unit="seconds")
        if self.preload and not (self.include_subdomains and self.max_age >= _PRELOAD):
            raise ValueError("preload needs include_subdomains and a max_age of a year")

    def __str__(self) -> str:
        subdomains = "; includeSubDomains" if self.include_subdomains else ""
        return f"max-age={self.max_age}{subdomains}{'; preload' if self.preload else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderPolicy:
    """The headers of one kind of answer; None leaves one out. The defaults suit data (JSON) that no other site embeds.

    `permissions` maps a feature to who may use it: `"self"`, `"*"`, origins; nobody: an empty sequence. `frame_options`
    is for browsers that do not know `frame-ancestors`. Raises ValueError, naming the argument, for a value that the
    header does not have. `dataclasses.replace` makes a variant.
    """

    csp: ContentSecurityPolicy | None = NO_CONTENT
    csp_report_only: ContentSecurityPolicy | None = None
    hsts: Hsts | None = Hsts()
    referrer: str | None = "no-referrer"
    permissions: Mapping[str, Sequence[str]] | None = field(default_factory=lambda: NO_FEATURES)
    opener: str | None = "same-origin"
    resource: str | None = "same-origin"
    embedder: str | None = None
    frame_options: str | None = "DENY"
    nosniff: bool = True
    origin_agent_cluster: bool = True

    def __post_init__(self) -> None:
        _check_one_of("referrer", self.referrer, _REFERRER)
        _check_one_of("opener", self.opener, _OPENER)
        _check_one_of("resource", self.resource, _RESOURCE)
        _check_one_of("embedder", self.embedder, _EMBEDDER)
        _check_one_of("frame_options", self.frame_options, _FRAME)
        if self.csp is not None and self.csp.name != b"content-security-policy":
            raise ValueError("csp: that policy was built with report_only=True; it belongs to csp_report_only")
        if self.csp_report_only is not None and not self.csp_report_only.name.endswith(b"-report-only"):
            raise ValueError("csp_report_only: build the policy with report_only=True")
        for feature, allowed in (self.permissions or {}).items():
            _check_permission(feature, allowed)
        _check_groups(self.policies)

    @property
    def policies(self) -> tuple[ContentSecurityPolicy, ...]:
        return tuple(policy for policy in (self.csp, self.csp_report_only) if policy is not None)

    def headers(self) -> dict[bytes, bytes]:
        """All but the content policies and HSTS: what is the same for every answer."""
        values = {
            "referrer-policy": self.referrer,
            "permissions-policy": _permissions(self.permissions),
            "cross-origin-opener-policy": self.opener,
            "cross-origin-resource-policy": self.resource,
            "cross-origin-embedder-policy": self.embedder,
            "x-frame-options": self.frame_options,
            "x-content-type-options": "nosniff" if self.nosniff else None,
            "origin-agent-cluster": "?1" if self.origin_agent_cluster else None,
            "reporting-endpoints": _endpoints(self.policies),
        }
        return {name.encode(): value.encode() for name, value in values.items() if value}


def _check_one_of(argument: str, value: str | None, known: frozenset[str]) -> None:
    if value is not None and value not in known:
        raise ValueError(f"{argument}: {value!r} is none of {', '.join(sorted(known))}")


def _check_permission(feature: str, allowed: Sequence[str]) -> None:
    if not _FEATURE.fullmatch(feature):
        raise ValueError(f"permissions: {feature!r} is no name of a feature")
    if isinstance(allowed, str):  # a sequence of letters
        raise ValueError(f"permissions: {feature} is for a sequence; write [{allowed!r}]")  # noqa: TRY004 - a setting
    for who in allowed:
        if who not in {"self", "*"} and not _ORIGIN.fullmatch(who):
            raise ValueError(f"permissions: {feature} is for 'self', '*' or an origin, not {who!r}")


def _check_groups(policies: Sequence[ContentSecurityPolicy]) -> None:
    urls: dict[str, str] = {}
    for group, url in (endpoint for policy in policies for endpoint in policy.endpoints):
        if urls.setdefault(group, url) != url:
            raise ValueError(
                f"csp_report_only: its reports go to {url}, those of csp to {urls[group]}, both as {group}"
            )


def _permissions(permissions: Mapping[str, Sequence[str]] | None) -> str:
    """A dictionary of structured fields (RFC 8941): tokens bare, origins as strings."""
    written = (f"{feature}=({' '.join(map(_member, who))})" for feature, who in sorted((permissions or {}).items()))
    return ", ".join(written)


def _member(who: str) -> str:
    return who if who in {"self", "*"} else f'"{who}"'


def _endpoints(policies: Sequence[ContentSecurityPolicy]) -> str:
    named = dict(endpoint for policy in policies for endpoint in policy.endpoints)
    return ", ".join(f'{group}="{url}"' for group, url in named.items())
