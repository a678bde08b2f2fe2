"""JSON as strict as RFC 8259 lets it be: what two readers could understand differently is refused (RFC 7493, I-JSON).

Owns what a body must be before anybody looks for anything in it: JSON by its Content-Type, UTF-8, no name twice in one
object, no `NaN`. Refuses to judge what it says: that is for the models, and then for the domain.
"""

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final, NoReturn

from fastapi import Request, Response

from cortex_core.chassis.authentication import ProtectedRoute
from cortex_core.kernel.errors import CortexError, Kind


class UnsupportedMediaType(CortexError):
    """A body that is not JSON by its own account, or says nothing of itself."""

    code, kind = "request.unsupported-media-type", Kind.UNSUPPORTED_MEDIA
    response_headers: ClassVar = {"Accept": "application/json"}  # RFC 9110, section 15.5.16

    def __init__(self) -> None:
        super().__init__("the body must be application/json")


class MalformedJson(CortexError):
    """Not JSON, though near it."""

    code, kind = "request.malformed-json", Kind.INVALID


class DuplicateMember(CortexError):
    """A name twice in one object: which of the two is meant, every reader decides for itself."""

    code, kind = "request.duplicate-member", Kind.INVALID

    def __init__(self, name: str) -> None:
        super().__init__(f"the member {name[:64]!r} is there twice")


class StrictRequest(Request):
    """A request whose body is read once, as above."""

    async def body(self) -> bytes:
        """Raises UnsupportedMediaType where there is a body, and it is something else."""
        body = await super().body()
        if body and not is_json(self.headers.get("content-type", "")):
            raise UnsupportedMediaType
        return body

    async def json(self) -> Any:
        """Raises MalformedJson, DuplicateMember, and json.JSONDecodeError, which says where."""
        try:
            text = (await self.body()).decode("utf-8-sig")
            return json.loads(text, object_pairs_hook=_members, parse_constant=_refuse)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:  # no UTF-8; a number of thousands of digits; nested without end
            raise MalformedJson(f"the body is not JSON that can be read: {error}") from error


class StrictRoute(ProtectedRoute):
    """`APIRouter(route_class=StrictRoute)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strictly


_JSON: Final = "application/json"


def is_json(content_type: str) -> bool:
    """Whether a Content-Type is JSON's, or that of a format made of it (RFC 6839, `+json`)."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == _JSON or (media_type.startswith("application/") and media_type.endswith("+json"))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise DuplicateMember(Counter(name for name, _ in pairs).most_common(1)[0][0])
    return members


def _refuse(constant: str) -> NoReturn:
    raise MalformedJson(f"the body is not JSON: {constant} is no number there")
