"""Content Security Policy (https://www.w3.org/TR/CSP3/): which scripts and styles a page may run, said so that an
injected one is not among them.

Owns the building of a policy: each directive once, in one order, sources checked. Strict unless told otherwise: scripts
run by a nonce and what they load by `'strict-dynamic'` (Weichselbaum et al., "CSP Is Dead, Long Live CSP!", CCS 2016),
styles by the nonce. Refuses `'unsafe-inline'`. Next: security_headers.py sends it, csp_reports.py hears of violations.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from cortex_core.asgi.csp_sources import (
    NONE,
    SANDBOX,
    SCRIPT_KEYWORDS,
    SCRIPTS,
    STRICT_DYNAMIC,
    UNSAFE_INLINE,
    check_source,
    is_hash,
)

DIRECTIVES: Final = (
    "default-src",
    "script-src",
    "script-src-elem",
    "script-src-attr",
    "style-src",
    "style-src-elem",
    "style-src-attr",
    "img-src",
    "font-src",
    "connect-src",
    "media-src",
    "object-src",
    "manifest-src",
    "frame-src",
    "child-src",
    "worker-src",
    "base-uri",
    "form-action",
    "frame-ancestors",
    "sandbox",
    "webrtc",
    "require-trusted-types-for",
    "trusted-types",
    "upgrade-insecure-requests",
    "report-uri",
    "report-to",
)
"""In the order in which they are written."""

_NONCED: Final = ("script-src", "script-src-elem", "style-src", "style-src-elem")
_ONLY_ENFORCED: Final = frozenset({"sandbox", "upgrade-insecure-requests"})  # a browser ignores them in report-only
_NONCE: Final = "'nonce-\0'"  # where the nonce goes: no source can have this character
_TRUSTED_TYPE: Final = re.compile(r"[A-Za-z0-9\-#=_/@.%]+|\*|'allow-duplicates'|'none'", re.ASCII)
_URL: Final = re.compile(r"(?:https?://|/(?!/))[!#-+\--:<-\[\]-~]*", re.ASCII)  # neither `;` nor `,` nor `"` nor `\`
_GROUP: Final = re.compile(r"[a-z*][a-z0-9_.*-]*", re.ASCII)  # RFC 8941, section 3.1.2: a dictionary's key


def new_nonce() -> str:
    """128 random bits as text. One a response, never two (CSP3, section 7.1)."""
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class ContentSecurityPolicy:
    """A built policy: the header's `name`, its value in `parts` (between two of them goes the nonce), and the
    `endpoints` (group, URL) that `Reporting-Endpoints` must name."""

    name: bytes
    parts: tuple[bytes, ...]
    endpoints: tuple[tuple[str, str], ...] = ()

    @property
    def uses_nonce(self) -> bool:
        return len(self.parts) > 1

    def render(self, nonce: bytes = b"") -> bytes:
        """The header's value. Raises ValueError where the policy needs a `nonce` and gets none."""
        if not nonce and self.uses_nonce:
            raise ValueError("nonce: this policy needs a new one for each response")
        return nonce.join(self.parts)

    def __str__(self) -> str:
        return b"\xe2\x80\xa6".join(self.parts).decode()


class CSPBuilder:
    """`CSPBuilder().default_src("'self'").img_src("'self'", "data:").build()`.

    A directive named twice is written once, with the sources of both. `build` adds what makes it strict:

    - scripts and styles get a nonce, scripts `'strict-dynamic'`. Where only `default-src` is given, they are written
      out with its sources. `nonces=False`: no nonce, and `'strict-dynamic'` only beside a hash. `strict_dynamic=False`:
      scripts load no others than the policy names. What is `'none'` stays `'none'`.
    - where scripts are ruled, `object-src 'none'` and `base-uri 'none'`, unless they are given.

    Keywords are quoted (`"'self'"`). `'unsafe-inline'`, `'unsafe-eval'`, `'unsafe-hashes'`, and whole schemes or `*`
    for what runs, are refused unless `allow_unsafe=True`; a directive with `'unsafe-inline'` gets no nonce, which would
    undo it. Every method raises ValueError for a source that must not stand there.
    """

    def __init__(self, *, nonces: bool = True, strict_dynamic: bool = True, allow_unsafe: bool = False) -> None:
        self._nonces = nonces
        self._strict_dynamic = strict_dynamic
        self._allow_unsafe = allow_unsafe
        self._directives: dict[str, list[str]] = {}
        self._endpoints: dict[str, str] = {}

    def default_src(self, *sources: str) -> Self:
        return self._sources("default-src", sources)

    def script_src(self, *sources: str) -> Self:
        return self._sources("script-src", sources)

    def script_src_elem(self, *sources: str) -> Self:
        return self._sources("script-src-elem", sources)

    def script_src_attr(self, *sources: str) -> Self:
        return self._sources("script-src-attr", sources)

    def style_src(self, *sources: str) -> Self:
        return self._sources("style-src", sources)

    def style_src_elem(self, *sources: str) -> Self:
        return self._sources("style-src-elem", sources)

    def style_src_attr(self, *sources: str) -> Self:
        return self._sources("style-src-attr", sources)

    def img_src(self, *sources: str) -> Self:
        return self._sources("img-src", sources)

    def font_src(self, *sources: str) -> Self:
        return self._sources("font-src", sources)

    def connect_src(self, *sources: str) -> Self:
        return self._sources("connect-src", sources)

    def media_src(self, *sources: str) -> Self:
        return self._sources("media-src", sources)

    def object_src(self, *sources: str) -> Self:
        return self._sources("object-src", sources)

    def manifest_src(self, *sources: str) -> Self:
        return self._sources("manifest-src", sources)

    def frame_src(self, *sources: str) -> Self:
        return self._sources("frame-src", sources)

    def child_src(self, *sources: str) -> Self:
        return self._sources("child-src", sources)

    def worker_src(self, *sources: str) -> Self:
        return self._sources("worker-src", sources)

    def base_uri(self, *sources: str) -> Self:
        return self._sources("base-uri", sources)

    def form_action(self, *sources: str) -> Self:
        return self._sources("form-action", sources)

    def frame_ancestors(self, *sources: str) -> Self:
        return self._sources("frame-ancestors", sources)

    def sandbox(self, *allowances: str) -> Self:
        """`"allow-scripts"` …; none: everything is taken away."""
        for allowance in allowances:
            if allowance not in SANDBOX:
                raise ValueError(f"sandbox: {allowance!r} is none of {', '.join(sorted(SANDBOX))}")
        return self._add("sandbox", allowances)

    def webrtc(self, value: str) -> Self:
        """`"'allow'"` or `"'block'"`."""
        if value not in {"'allow'", "'block'"}:
            raise ValueError(f"webrtc: \"'allow'\" or \"'block'\", not {value!r}")
        self._directives["webrtc"] = [value]
        return self

    def require_trusted_types_for(self, *sinks: str) -> Self:
        """`"'script'"`, the only group of sinks there is (https://www.w3.org/TR/trusted-types/)."""
        if set(sinks) != {"'script'"}:
            raise ValueError(f"require_trusted_types_for: \"'script'\", not {sinks!r}")
        return self._add("require-trusted-types-for", sinks)

    def trusted_types(self, *policies: str) -> Self:
        """Names of policies, `*`, `"'allow-duplicates'"`, `"'none'"`; nothing: no policy may be made."""
        for policy in policies:
            if not _TRUSTED_TYPE.fullmatch(policy):
                raise ValueError(f"trusted_types: {policy!r} is no name of a policy")
        return self._exclusive("trusted-types", policies)

    def upgrade_insecure_requests(self) -> Self:
        return self._add("upgrade-insecure-requests", ())

    def report_uri(self, *urls: str) -> Self:
        """Where browsers without the Reporting API send violations (Firefox)."""
        for url in urls:
            _check_url("report_uri", url)
        if not urls:
            raise ValueError("report_uri: at least one URL")
        return self._add("report-uri", urls)

    def report_to(self, group: str, url: str | None = None) -> Self:
        """The endpoint of the Reporting API. With `url` the policy brings the `Reporting-Endpoints` header too."""
        if not _GROUP.fullmatch(group):
            raise ValueError(f"report_to: {group!r} is no name of a group (a-z, figures, _ - . *)")
        if url is not None:
            _check_url("report_to", url)
        self._directives["report-to"] = [group]
        self._endpoints = {} if url is None else {group: url}
        return self

    def reports(self, url: str, group: str = "csp") -> Self:
        """Violations go to `url`, from browsers old and new. `csp_reports.CspReports` listens there."""
        return self.report_uri(url).report_to(group, url)

    def build(self, *, report_only: bool = False) -> ContentSecurityPolicy:
        """The policy as it is now; the builder can go on. `report_only`: nothing is blocked, only reported; `sandbox`
        and `upgrade-insecure-requests`, which a browser then ignores, are left out. Raises ValueError for a policy that
        says nothing, and for `'strict-dynamic'` with neither nonce nor hash: no script could run."""
        written = self._completed()
        if report_only:
            written = {name: sources for name, sources in written.items() if name not in _ONLY_ENFORCED}
        if not written:
            raise ValueError("a policy needs at least one directive")
        text = "; ".join(" ".join([name, *written[name]]) for name in DIRECTIVES if name in written)
        name = b"content-security-policy" + (b"-report-only" if report_only else b"")
        return ContentSecurityPolicy(name, tuple(text.encode().split(b"\0")), tuple(self._endpoints.items()))

    def _sources(self, directive: str, sources: Iterable[str]) -> Self:
        sources = tuple(sources)
        if not sources:
            raise ValueError(f"{directive}: at least one source; \"'none'\" for none")
        for source in sources:
            check_source(directive, source, allow_unsafe=self._allow_unsafe)
        return self._exclusive(directive, sources)

    def _exclusive(self, directive: str, sources: Iterable[str]) -> Self:
        if NONE in (all_of_them := {*self._directives.get(directive, ()), *sources}) and len(all_of_them) > 1:
            raise ValueError(f"{directive}: {NONE} stands alone")
        return self._add(directive, sources)

    def _add(self, directive: str, values: Iterable[str]) -> Self:
        known = self._directives.get(directive, [])
        self._directives[directive] = list(dict.fromkeys([*known, *values]))
        return self

    def _completed(self) -> dict[str, list[str]]:
        written = dict(self._directives)
        default = written.get("default-src", [NONE])
        if default != [NONE]:
            written.setdefault("script-src", default)
            written.setdefault("style-src", [source for source in default if source not in SCRIPT_KEYWORDS])
        for directive in _NONCED:
            if directive in written:
                written[directive] = self._strict(directive, written[directive])
        if "script-src" in written:
            written.setdefault("object-src", [NONE])
        if "script-src" in written or "default-src" in written:
            written.setdefault("base-uri", [NONE])
        return written

    def _strict(self, directive: str, sources: list[str]) -> list[str]:
        if sources == [NONE]:
            return sources
        nonced = self._nonces and UNSAFE_INLINE not in sources
        strict = [_NONCE] if nonced else []
        if directive in SCRIPTS:
            trusted = nonced or any(is_hash(source) for source in sources)
            if self._strict_dynamic and trusted:
                strict.append(STRICT_DYNAMIC)
            elif STRICT_DYNAMIC in sources and not trusted:
                raise ValueError(f"{directive}: {STRICT_DYNAMIC} needs a nonce or a hash to begin with")
        return list(dict.fromkeys([*strict, *sources]))


def _check_url(argument: str, url: str) -> None:
    if not _URL.fullmatch(url):
        raise ValueError(f"{argument}: {url!r} is neither a path from / nor an http(s) URL, or needs percent-encoding")
