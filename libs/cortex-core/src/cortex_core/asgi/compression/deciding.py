"""What becomes of a response: passed on as it is, said to vary, or encoded. Decided by its head, the length of its body
and its client, for whoever carries it: the middleware (`response.py`), or a protocol that has no messages.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cortex_core.asgi.compression import rules
from cortex_core.asgi.types import Headers

Found = dict[bytes, bytes]  # what `rules.read` gives


@dataclass(frozen=True, slots=True)
class Worth:
    """Which bodies are worth encoding: of types that `takes`, not known to be shorter than `threshold` bytes."""

    threshold: int
    takes: Callable[[str], bool]

    def suits(self, found: Found) -> bool:
        return b"content-type" in found and self.takes(content_type(found))

    def varies(self, found: Found, length: int | None, *, identity: bool) -> bool:
        """Whether some client gets a body of this `length` (None: unknown) encoded. `identity`: whether this one would
        also take the bytes as they are."""
        if length == 0:
            return False
        return not identity or ((length is None or length >= self.threshold) and self.suits(found))

    def for_the_whole(
        self, status: int, headers: Headers, found: Found, *, held: bytes, encodes: bool, identity: bool
    ) -> Headers | None:
        """The headers of a part (206), or of a word on a variant (304), with what the 200 says of variants (RFC 9110,
        15.3.7 and 15.4.5); None where that is nothing. Where it does not tell its type, the 200 may be one that is
        encoded. `held` is the client's If-None-Match, `encodes`: it gets what can be encoded encoded."""
        media = content_type(found)
        unknown = not media or media.startswith("multipart/byteranges")
        if rules.fixed(found) or (identity and not unknown and not self.suits(found)):
            return None
        varied = rules.varied(headers)
        return rules.revalidated(varied, held, encodes=encodes) if status == 304 else varied


def body_length(found: Found, sent: int, *, more: bool, head: bool) -> int | None:
    """The body's length, where it is known by its first `sent` bytes. An answer to HEAD need not have one to say that
    GET's is a stream."""
    declared = rules.declared_length(found)
    if declared is not None:
        return declared
    if head:
        return sent or None
    return None if more else sent


def content_type(found: Found) -> str:
    return found.get(b"content-type", b"").decode("latin-1")
