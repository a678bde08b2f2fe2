"""The request header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07)."""

import re
from collections.abc import Sequence
from typing import Final

from cortex_core.kernel import CortexError, Kind

MAX_KEY: Final = 255

_BARE: Final = re.compile(rf"[!#-~][!-~]{{0,{MAX_KEY - 1}}}")
_STRING: Final = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])+)"')  # RFC 9651, section 3.3.3, without spaces
KEY_PATTERN: Final = f"^({_STRING.pattern}|{_BARE.pattern})$"
"""For the document, which cannot say how long a string is without its escapes."""

_ESCAPED: Final = re.compile(r"\\(.)")


class InvalidKey(CortexError):
    """A header that is no key: a request sent again with it could not be told from a new one."""

    code, kind, attempted = "idempotency.invalid-key", Kind.INVALID, False

    def __init__(self) -> None:
        super().__init__(f"an Idempotency-Key is 1 to {MAX_KEY} visible ASCII characters, as they are or as a string")


def idempotency_key(lines: Sequence[str]) -> str | None:
    """The key that the header's lines name, None where there is none. Raises InvalidKey.

    The draft has a structured string (`"8e03978e"`); what many clients send is its bare content, and means the same.
    """
    if not lines:
        return None
    if len(lines) > 1:
        raise InvalidKey
    told = lines[0].strip(" \t")
    string = _STRING.fullmatch(told)
    key = _ESCAPED.sub(r"\1", string[1]) if string else told
    if len(key) > MAX_KEY or not (string or _BARE.fullmatch(told)):
        raise InvalidKey
    return key
