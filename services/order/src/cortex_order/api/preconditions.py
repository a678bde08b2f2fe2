"""Entity tags and what hangs on them (RFC 9110, sections 8.8 and 13): an order's version is its tag.

A tag is strong: all that an answer says of an order follows from its first events, as many as the version. A change of
the answer's form is a change of `_TAG`, or clients would go on with the old form.
"""

import re
from collections.abc import Sequence
from typing import Final

from cortex_core.asgi.conditional import entity_tags, not_modified
from cortex_core.kernel import CortexError, Kind

_TAG: Final = re.compile(r'"v([1-9][0-9]{0,8})"', re.ASCII)
_ANY_TAG: Final = r'(W/)?"[!#-~]*"'
CONDITION_PATTERN: Final = rf"^[ \t]*(\*|{_ANY_TAG}([ \t]*,[ \t]*({_ANY_TAG})?)*)[ \t]*$"
"""For the document: what is certainly an `If-Match`. Bytes above ASCII and a leading comma would be, too."""
NONE: Final = 0
"""A version that no order has."""


class InvalidPrecondition(CortexError):
    """An `If-Match` that is neither `*` nor a list of entity tags: what it hangs on cannot be known."""

    code, kind, attempted = "request.invalid-precondition", Kind.INVALID, False

    def __init__(self) -> None:
        super().__init__('If-Match is `*` or a list of entity tags, such as "v1"')


def etag(version: int) -> str:
    return f'"v{version}"'


def has_it(if_none_match: Sequence[str], version: int) -> bool:
    """Whether the client holds this version already. What it cannot mean is as good as not said."""
    told = ", ".join(if_none_match) if if_none_match else None
    return not_modified(if_none_match=told, if_modified_since=None, etag=etag(version), last_modified=None)


def wanted_versions(if_match: Sequence[str]) -> frozenset[int] | None:
    """The versions that the header's lines name; None where any will do: there is no header, or it is `*`.

    Compared strongly, as the RFC has it for this header: a weak tag matches nothing, and neither does one that no order
    has. Raises InvalidPrecondition.
    """
    told = ", ".join(if_match)
    if not if_match or told.strip(" \t") == "*":
        return None
    tags = entity_tags(told)
    if not tags:
        raise InvalidPrecondition
    ours = [_TAG.fullmatch(tag.opaque) for tag in tags if not tag.weak]
    return frozenset(int(match[1]) for match in ours if match) or frozenset({NONE})
