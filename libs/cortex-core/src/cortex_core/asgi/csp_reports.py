"""Reports of CSP violations, from browsers old (`application/csp-report`, CSP3 section 5.4) and new
(`application/reports+json`, https://www.w3.org/TR/reporting-1/), as one frozen record each.

Anybody can send anything here: what makes no sense is left out and never raised, everything has a bound, and text comes
out printable. A record has no more of a user than the specification's report has: URLs lose their query, fragment and
credentials, and neither referrer nor user agent is kept. Refuses to know where records go: log, metric, both.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import urlsplit

from cortex_core.asgi.body_limit import RequestTooLarge
from cortex_core.asgi.bounds import check_whole
from cortex_core.asgi.csp import DIRECTIVES
from cortex_core.asgi.problems import refuse
from cortex_core.asgi.types import Receive, Scope, Send, header
from cortex_core.kernel.errors import CortexError, Kind

_log = logging.getLogger(__name__)

LEGACY: Final = "application/csp-report"
REPORTING: Final = "application/reports+json"

_LONGEST: Final = 1024  # characters of a URL
_SAMPLE: Final = 40  # characters: what CSP3 lets a browser send
_LARGEST: Final = 2**31 - 1
_KNOWN: Final = frozenset(DIRECTIVES)

_LEGACY_NAMES: Final[Mapping[str, str]] = {
    "effectiveDirective": "effective-directive",
    "disposition": "disposition",
    "documentURL": "document-uri",
    "blockedURL": "blocked-uri",
    "sourceFile": "source-file",
    "lineNumber": "line-number",
    "columnNumber": "column-number",
    "statusCode": "status-code",
    "sample": "script-sample",
}
_NAMES: Final[Mapping[str, str]] = {name: name for name in _LEGACY_NAMES}


@dataclass(frozen=True, slots=True)
class CspViolation:
    """What was blocked (`disposition` enforce) or would have been (report).

    `directive` is one of CSP's own, or `other`: it may be a metric's label. `blocked` is a URL without its query, a
    scheme, or a word of CSP's (`inline`, `eval`). `source`, `line`, `column` (from 1; 0: unknown) say where, `sample`
    how the code begins, at most 40 characters, where the policy asks for it. Missing text is empty.
    """

    directive: str
    disposition: str
    document: str
    blocked: str
    source: str
    line: int
    column: int
    status: int
    sample: str


class MethodNotTaken(CortexError):
    """Reports are posted."""

    code, kind = "csp-report.method-not-allowed", Kind.METHOD_NOT_ALLOWED
    response_headers: Mapping[str, str] = {"Allow": "POST"}


class NoReport(CortexError):
    """The body is of a type that no report has."""

    code, kind = "csp-report.unsupported-media", Kind.UNSUPPORTED_MEDIA
    response_headers: Mapping[str, str] = {"Accept": f"{LEGACY}, {REPORTING}"}


class CspReports:
    """An endpoint: mount it where the policy's `reports(url)` points, on the page's own origin (there is no preflight).

    Answers 204 to a POST of either type, whatever the body says; 405, 413 (more than `max_body` bytes) and 415 as
    problems. `on_violation` is called for each of the first `max_reports` violations of a body; if it raises, that is
    logged.
    """

    def __init__(
        self, on_violation: Callable[[CspViolation], None], *, max_body: int = 65_536, max_reports: int = 32
    ) -> None:
        check_whole("max_body", max_body, unit="bytes")
        check_whole("max_reports", max_reports)
        self.on_violation = on_violation
        self.max_body = max_body
        self.max_reports = max_reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            media_type = _media_type(scope)
            body = await self._body(receive)
        except CortexError as error:
            return await refuse(error, scope, receive, send)
        if body is not None:  # else the client has left, and what it sent is not whole
            for violation in parse_reports(media_type, body, limit=self.max_reports):
                self._tell(violation)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _body(self, receive: Receive) -> bytes | None:
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self.max_body:
                raise RequestTooLarge(self.max_body)
            more = message.get("more_body", False)
        return bytes(body)

    def _tell(self, violation: CspViolation) -> None:
        try:
            self.on_violation(violation)
        except Exception:  # noqa: BLE001 - whatever a listener does wrong, the other violations are told
            _log.exception("a violation hook failed")


def parse_reports(media_type: str, body: bytes, *, limit: int = 32) -> tuple[CspViolation, ...]:
    """The first `limit` violations in `body`. Never raises: what is no report is none."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    reports = _legacy(told) if media_type == LEGACY else _reporting(told)
    return tuple(islice(reports, limit))


def _media_type(scope: Scope) -> str:
    if scope["type"] != "http" or scope["method"] != "POST":
        raise MethodNotTaken("violations are reported by POST")
    media_type = (header(scope["headers"], b"content-type") or "").partition(";")[0].strip().lower()
    if media_type not in {LEGACY, REPORTING}:
        raise NoReport(f"a report is {LEGACY} or {REPORTING}")
    return media_type


def _legacy(told: Any) -> Iterator[CspViolation]:
    report = told.get("csp-report") if isinstance(told, dict) else None
    if isinstance(report, dict):
        yield _violation(report, _LEGACY_NAMES)


def _reporting(told: Any) -> Iterator[CspViolation]:
    for report in told if isinstance(told, list) else [told]:
        body = report.get("body") if isinstance(report, dict) and report.get("type") == "csp-violation" else None
        if isinstance(body, dict):
            yield _violation(body, _NAMES)


def _violation(report: dict[str, Any], names: Mapping[str, str]) -> CspViolation:
    """`names` maps the names of the Reporting API to those of this report."""
    said = {name: report.get(theirs) for name, theirs in names.items()}
    return CspViolation(
        directive=_directive(said["effectiveDirective"] or report.get("violated-directive")),  # CSP 1 had only that
        disposition=_disposition(said["disposition"]),
        document=_url(said["documentURL"]),
        blocked=_url(said["blockedURL"]),
        source=_url(said["sourceFile"]),
        line=_number(said["lineNumber"]),
        column=_number(said["columnNumber"]),
        status=_number(said["statusCode"]),
        sample=_text(said["sample"], _SAMPLE),
    )


def _directive(value: Any) -> str:
    name, _, _ = _text(value, _LONGEST).strip().partition(" ")  # older browsers send the sources along
    return name if name in _KNOWN else "other"


def _disposition(value: Any) -> str:
    return "report" if value == "report" else "enforce"


def _url(value: Any) -> str:
    """Origin and path of an http(s) or ws(s) URL; of another only the scheme (CSP3, section 5.4: what a URL may hold
    besides is nobody's business); a word as it is."""
    text = _text(value, _LONGEST).strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not parts.scheme:
        return parts.path
    if parts.scheme not in {"http", "https", "ws", "wss"}:
        return parts.scheme
    host = f"[{host}]" if host and ":" in host else host
    return f"{parts.scheme}://{host or ''}{'' if port is None else f':{port}'}{parts.path}"


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in value[:longest])


def _number(value: Any) -> int:
    return min(value, _LARGEST) if type(value) is int and value > 0 else 0
