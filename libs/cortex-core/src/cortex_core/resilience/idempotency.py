"""What can be done twice: by HTTP's rules before a request is sent, by the error's own word after it failed.

Refuses to know a client: methods and headers are text. `chassis.client` asks before it chooses its executor.
"""

from collections.abc import Iterable
from typing import Final

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_WITH_A_KEY: Final = frozenset({"POST", "PATCH"})


def is_idempotent(method: str, headers: Iterable[tuple[str, str]] = ()) -> bool:
    """Whether a request sent twice has the effect of one: RFC 9110, 9.2.2.

    POST and PATCH are where they carry a non-empty `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), in
    whatever case; no other method becomes so by it. `headers` are pairs, as `.items()` gives them.
    """
    method = method.upper()
    if method in _IDEMPOTENT:
        return True
    return method in _WITH_A_KEY and any(name.lower() == "idempotency-key" and value.strip() for name, value in headers)


def never_began(error: BaseException | None) -> bool:
    """Whether it is certain that the work which ended in `error` had no effect: refused at the door, no connection."""
    return getattr(error, "attempted", not isinstance(error, ConnectionRefusedError)) is False


def may_have_begun(error: BaseException) -> None:
    """Says so of `error`: of several attempts the last one alone never began, and `error` will speak for all."""
    error.__dict__["attempted"] = True
