"""A request that was read: what is the same for every one that has the same head on the same connection.

Owns nothing that may change: who asks is remembered with how long that holds (`security.Recalled`), limits, cache and
services are asked each time. A head is remembered only where the parser and the guards had nothing but it before them,
so that the same bytes would be read the same way again. Refuses to grow with the number of connections: they share a
budget, and beyond it nothing new is remembered until some of them have ended.
"""

import re
from typing import Any, Final

from cortex_core.observability.redaction import scrub
from cortex_core.security.memo import Known
from cortex_gateway.dataplane.dues import Dues
from cortex_gateway.dataplane.reading import Reading
from cortex_gateway.dataplane.table import Entry

LONGEST: Final = 2048  # bytes of a head that is remembered
MOST: Final = 4  # heads of a connection that are
BUDGET: Final = 32 << 20  # bytes that all connections of a process may remember, as `_cost` counts
_END: Final = b"\r\n\r\n"
_VERSION: Final = b" HTTP/1.1\r\n"
# A target that no guard has a question about, in a line as RFC 9112, section 3, has it.
_LINE: Final = re.compile(
    rb"(GET|HEAD) (/[A-Za-z0-9\-._~!$&'()*+,;=:@/]*(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@/?]*)?) HTTP/1\.1\r\n"
)


class Prepared:
    """One kind of request. `principal` is who asks `until` then (see `DataPlane.recall`), in this `generation`.
    `sent_target` and `tenant`, a header line, are what its service gets to see, `shown_path` what the log does. `kept`:
    its answer may be; `plain`: it has no body and its answer comes from the service."""

    __slots__ = (
        *("dues", "entry", "generation", "kept", "path", "plain", "principal", "reading", "sent_target", "shown_path"),
        *("target", "tenant", "until"),
    )

    def __init__(
        self, entry: Entry, reading: Reading, target: bytes, known: Known, generation: int, dues: Dues | None
    ) -> None:
        principal, self.until = known
        self.generation = generation
        self.kept = entry.kept
        self.plain = reading.bare and entry.local is None and not entry.kept
        self.entry = entry
        self.reading = reading
        self.target = target
        self.sent_target = target[entry.cut :]
        self.path = target.partition(b"?")[0].decode("ascii")
        self.shown_path = scrub(self.path)
        self.principal = principal
        self.tenant = b"x-cortex-tenant: %b\r\n" % principal.tenant.encode()
        self.dues = dues


class Budget:
    """Bytes that may still be remembered."""

    __slots__ = ("left",)

    def __init__(self, left: int = BUDGET) -> None:
        self.left = left


class Remembered:
    """The heads that a connection has sent before, by their bytes. `fields` of the last one: all that follows the
    request line, so that a request for something else by the same client need not be parsed either. It takes what it
    remembers from `budget`, and gives that back by `forget`."""

    __slots__ = ("_budget", "_fields", "_heads", "_with_body", "find", "headers")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._with_body: dict[bytes, Prepared] = {}
        self._heads: dict[bytes, Prepared] = {}
        self._fields = b""
        self.headers: Any = ()
        self.find = self._heads.get

    def keep(self, data: bytes, request: Prepared, headers: Any) -> None:
        """`data` was read as `request`; it is no more than its head, and that says nothing of a body."""
        line = b"%b %b%b" % (request.entry.method, request.target, _VERSION)
        if len(data) > LONGEST or not data.startswith(line) or data.find(_END) != len(data) - len(_END):
            return
        fields = data[len(line) :]
        if fields != self._fields:
            self._drop(self._heads)
            self._fields = b""
        if self._put(self._heads, data, request):
            self._fields, self.headers = fields, headers

    def add(self, data: bytes, request: Prepared) -> None:
        """`data` is a line that was found by `line`, and the last head's fields."""
        if self._fields and data.endswith(self._fields):
            self._put(self._heads, data, request)

    def keep_with_body(self, data: bytes, request: Prepared) -> None:
        """`data` begins with a head that was read as `request`, whose body has a length."""
        head = data[: data.find(_END) + len(_END)]
        if len(head) <= LONGEST and head.startswith(b"%b %b%b" % (request.entry.method, request.target, _VERSION)):
            self._put(self._with_body, head, request)

    def with_body(self, data: bytes) -> tuple[Prepared, bytes] | None:
        """The request and its body, where `data` is just that."""
        if not self._with_body:
            return None
        end = data.find(_END, 0, LONGEST) + len(_END)
        request = self._with_body.get(data[:end])
        return None if request is None or request.reading.length != len(data) - end else (request, data[end:])

    def forget(self) -> None:
        self._drop(self._heads)
        self._drop(self._with_body)
        self._fields = b""
        self.headers = ()

    def _put(self, heads: dict[bytes, Prepared], head: bytes, request: Prepared) -> bool:
        cost = _cost(head, request)
        if head in heads or self._budget.left < cost:
            return False
        if len(heads) >= MOST:
            oldest = next(iter(heads))
            cost -= _cost(oldest, heads.pop(oldest))
        self._budget.left -= cost
        heads[head] = request
        return True

    def _drop(self, heads: dict[bytes, Prepared]) -> None:
        self._budget.left += sum(_cost(head, request) for head, request in heads.items())
        heads.clear()

    def line(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Method and target, where only they differ from the last head. None: it has to be parsed."""
        fields = self._fields
        if not fields or len(data) > LONGEST or not data.endswith(fields):
            return None
        match = _LINE.fullmatch(data, 0, len(data) - len(fields))
        return None if match is None else (match[1], match[2])


def _cost(head: bytes, request: Prepared) -> int:
    """Bytes, rather too many: many heads share a reading."""
    return 1024 + 2 * len(head) + 160 * len(request.reading.headers)
