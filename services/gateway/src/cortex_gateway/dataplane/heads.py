"""The head of an answer, as bytes: the service's own fields, without those that are ours to say, and ours.

Refuses to parse: what a service says is looked for, and cut out where it must not pass.
"""

import re
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from cortex_core.asgi import HeaderPolicy
from cortex_core.asgi.problems import phrase_of
from cortex_core.asgi.security_headers import REVEALING, fixed_fields
from cortex_gateway.domain.forwarding import ANSWERED_BY_US
from cortex_gateway.ports import Head

LIMITS: Final = (
    b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"ratelimit-policy", b"ratelimit",
)  # fmt: skip
_TAGS: Final = b"cache-tag"  # the cache's own
_LENGTH: Final = b"content-length: 0\r\n"
_MOST_DRESSED: Final = 256
_LONGEST_DRESSED: Final = 4096  # bytes

_Around = tuple[bytes, bytes]  # what stands before the length, and behind it


STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase_of(status).encode()) for status in range(100, 600)
}


@lru_cache(maxsize=256)
def cache_status(cache: bytes, reason: bytes, status: int) -> bytes:
    """The line, of a cache of that name, of an answer that it does not keep; none where there is no cache."""
    return b"cache-status: %b; fwd=%b; fwd-status=%d\r\n" % (cache, reason, status) if cache else b""


def without(fields: bytes, folded: bytes, name: bytes) -> tuple[bytes, bytes]:
    """Both without the lines of that name. Every line ends in CRLF; `folded` is `fields` in lower case."""
    mark = b"\r\n" + name + b":"
    while True:
        if folded.startswith(mark[2:]):
            at = 0
        else:
            found = folded.find(mark)
            if found < 0:
                return fields, folded
            at = found + 2
        end = folded.find(b"\r\n", at) + 2
        fields, folded = fields[:at] + fields[end:], folded[:at] + folded[end:]


class Heads:
    """`policy` is that of answers which are data. `secure`: TLS is taken off before us."""

    def __init__(self, policy: HeaderPolicy, *, secure: bool) -> None:
        self._ours = fixed_fields(policy, secure=secure)
        self._lines = [(b"\r\n" + name + b":", b"%b: %b\r\n" % (name, value)) for name, value in self._ours]
        self._any = re.compile(b"|".join(re.escape(name + b":") for name, _ in self._ours))
        self.security = b"".join(line for _, line in self._lines)
        self._dressed: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
        self._encoded: tuple[dict[bytes, _Around], dict[bytes, _Around]] = ({}, {})
        self._second = -1
        self._date = b""

    def date(self, now: float) -> bytes:
        """The line, made once a second. `now` is in Unix seconds."""
        second = int(now)
        if second != self._second:
            self._second, self._date = second, b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        return self._date

    def dressed(self, head: Head, *, limited: bool) -> bytes:
        """`passed` for the head of an answer that came whole and has a body: the same bytes come again and again."""
        known = self._dressed[limited]
        fields = known.get(head.fields)
        if fields is None:
            fields = self.passed(head.fields, head.folded, limited=limited, bodiless=False)
            if len(known) >= _MOST_DRESSED:
                known.clear()
            if len(fields) <= _LONGEST_DRESSED:
                known[head.fields] = fields
        return fields

    def encoded(self, fields: bytes, length: int, *, limited: bool) -> bytes:
        """`passed` for `fields` with the `length` of a body that was compressed behind them: they come again and again,
        and the length does not."""
        known = self._encoded[limited]
        around = known.get(fields)
        if around is None:
            whole = fields + _LENGTH
            passed = self.passed(whole, whole.lower(), limited=limited, bodiless=False)
            before, _, behind = passed.rpartition(_LENGTH)  # behind it are lines of ours alone
            around = before, behind
            if len(known) >= _MOST_DRESSED:
                known.clear()
            if len(passed) <= _LONGEST_DRESSED:
                known[fields] = around
        return b"%bcontent-length: %d\r\n%b" % (around[0], length, around[1])

    def kept(self, fields: bytes, *, limited: bool) -> bytes:
        """A service's fields that were kept for a while, as `passed` has them."""
        return self.passed(fields, fields.lower(), limited=limited, bodiless=False)

    def passed(self, fields: bytes, folded: bytes, *, limited: bool, bodiless: bool) -> bytes:
        """A service's fields as its client sees them, with the security headers that it has not said itself. `limited`:
        what it says of limits of its own is not the client's. `bodiless`: a status that has no length."""
        for name in _ALWAYS:
            if name in folded:
                fields, folded = without(fields, folded, name)
        if limited and b"ratelimit" in folded:
            for name in LIMITS:
                fields, folded = without(fields, folded, name)
        if bodiless and b"content-length" in folded:
            fields, folded = without(fields, folded, b"content-length")
        if self.security in fields:  # a service of ours: it says what we would
            return fields
        if self._any.search(folded) is None:
            return fields + self.security
        return fields + b"".join(
            line for mark, line in self._lines if mark not in folded and not folded.startswith(mark[2:])
        )


_ALWAYS: Final = (*sorted(ANSWERED_BY_US), *sorted(REVEALING), _TAGS)
