"""What may stand in a CSP directive (https://www.w3.org/TR/CSP3/, section 2.3.1): checked when a policy is built. A
browser only ignores what it cannot read, and the page is then open or broken, and silent.
"""

import binascii
import re
from base64 import b64decode
from typing import Final

NONE: Final = "'none'"
UNSAFE_INLINE: Final = "'unsafe-inline'"
STRICT_DYNAMIC: Final = "'strict-dynamic'"

SCRIPTS: Final = frozenset({"script-src", "script-src-elem", "script-src-attr"})
SCRIPT_KEYWORDS: Final = frozenset(
    {
        STRICT_DYNAMIC,
        "'unsafe-eval'",
        "'wasm-unsafe-eval'",
        "'trusted-types-eval'",
        "'inline-speculation-rules'",
    }
)
"""They say something of scripts alone."""

STYLES: Final = frozenset({"style-src", "style-src-elem", "style-src-attr"})

SANDBOX: Final = frozenset(
    {
        "allow-downloads",
        "allow-forms",
        "allow-modals",
        "allow-orientation-lock",
        "allow-pointer-lock",
        "allow-popups",
        "allow-popups-to-escape-sandbox",
        "allow-presentation",
        "allow-same-origin",
        "allow-scripts",
        "allow-storage-access-by-user-activation",
        "allow-top-navigation",
        "allow-top-navigation-by-user-activation",
        "allow-top-navigation-to-custom-protocols",
    }
)
"""What the HTML standard lets a sandboxed page be given back."""

_KEYWORDS: Final = frozenset(
    {
        "none",
        "self",
        "strict-dynamic",
        "unsafe-inline",
        "unsafe-eval",
        "unsafe-hashes",
        "wasm-unsafe-eval",
        "trusted-types-eval",
        "report-sample",
        "inline-speculation-rules",
    }
)
_EVERYWHERE: Final = frozenset({NONE, "'self'"})
_UNSAFE: Final = frozenset({UNSAFE_INLINE, "'unsafe-eval'", "'unsafe-hashes'"})
_OPEN: Final = re.compile(  # anybody can serve a script from there
    r"(?:data|https?|blob|filesystem):|(?:[a-z][a-z0-9+.-]*://)?\*(?:[:/].*)?", re.ASCII | re.IGNORECASE
)
_RUNS: Final = frozenset(
    {"default-src", "script-src", "script-src-elem", "worker-src", "child-src", "object-src", "base-uri"}
)

_FORBIDDEN: Final = re.compile(r"[^!-~]|[;,]")  # section 2.2.1: they end a source, a directive or a policy
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_HOST: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*://)?"
    r"(?:\*|(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)"
    r"(?::(?:[0-9]{1,5}|\*))?"
    r"(?:/[^?#'\"]*)?",
    re.ASCII,
)
_HASH: Final = re.compile(r"'sha(256|384|512)-([A-Za-z0-9+/_-]+={0,2})'", re.ASCII)


def check_source(directive: str, source: str, *, allow_unsafe: bool) -> None:
    """Raises ValueError, naming `directive` and what to write instead, where `source` must not stand in it."""
    if not source or _FORBIDDEN.search(source):
        raise ValueError(f"{directive}: {source!r} has a character that no source may have")
    if source.startswith("'"):
        _check_quoted(directive, source)
    elif source.lower() in _KEYWORDS or source.lower().startswith(("nonce-", "sha256-", "sha384-", "sha512-")):
        raise ValueError(f"{directive}: {source} without quotes is a host; write \"'{source}'\"")
    elif not (_SCHEME.fullmatch(source) or _HOST.fullmatch(source)):
        raise ValueError(f"{directive}: {source!r} is neither a scheme, nor a host, nor a quoted keyword")
    if allow_unsafe:
        return
    if source in _UNSAFE or (directive in _RUNS and _OPEN.fullmatch(source)):
        raise ValueError(f"{directive}: {source} lets injected code run; build with allow_unsafe=True if it must be so")


def _check_quoted(directive: str, source: str) -> None:
    if source.endswith("'") and source[1:-1] in _KEYWORDS:
        _check_keyword(directive, source)
        return
    if source.startswith("'nonce-"):
        raise ValueError(f"{directive}: a nonce written down is none; the policy is given a new one a response")
    if not is_hash(source):
        raise ValueError(f"{directive}: {source} is no keyword and no hash")


def _check_keyword(directive: str, source: str) -> None:
    if source in _EVERYWHERE or directive == "default-src" or directive in SCRIPTS:
        return
    if directive not in STYLES:
        raise ValueError(f"{directive}: {source} means something for scripts and styles only")
    if source in SCRIPT_KEYWORDS:
        raise ValueError(f"{directive}: {source} means something for scripts only")


def is_hash(source: str) -> bool:
    """Whether it is `'sha256-…'` (384, 512) with a digest of that many bits."""
    match = _HASH.fullmatch(source)
    if match is None:
        return False
    digest = match[2].replace("-", "+").replace("_", "/")
    try:
        return len(b64decode(digest, validate=True)) * 8 == int(match[1])
    except binascii.Error:
        return False
