"""What travels with the work: trace, tenant, principal, request id, deadline, as one frozen value in one variable.

Owns the W3C trace-context text (https://www.w3.org/TR/trace-context/). Refuses to know where it came from: the chassis
fills it from headers, the bus from envelopes.
"""

import os
import re
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from cortex_core.kernel.principal import DEFAULT_TENANT, Principal

__all__ = ["DEFAULT_TENANT", "Context", "TraceContext", "current", "enter", "leave", "use_context"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where we are in a trace: ids as lower-case hexadecimal text (32 and 16 digits), and whether it is sampled."""

    trace_id: str
    span_id: str
    sampled: bool = True
    state: str = ""  # tracestate, passed on as it came

    @classmethod
    def new(cls, *, sampled: bool = True) -> Self:
        return cls(os.urandom(16).hex(), os.urandom(8).hex(), sampled)

    @classmethod
    def parse(cls, traceparent: str | None, tracestate: str = "") -> Self | None:
        """What the header says, or None where it is absent or malformed (the specification: then start anew)."""
        match = _TRACEPARENT.fullmatch(traceparent or "")
        if match is None:
            return None
        version, trace_id, span_id, flags, rest = match.groups()
        if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & 1), tracestate)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


@dataclass(frozen=True, slots=True)
class Context:
    """One piece of work's surroundings.

    `deadline` is a reading of the process's monotonic clock, in seconds. `retry_budget` is what the caller left us of
    the retries this work may cost in all, in tries (0.2: one for every five such calls); None: nobody has said.
    `principal_token` is the signed text by which another of our services told us of the principal: what we pass on.
    """

    trace: TraceContext | None = None
    tenant: str = DEFAULT_TENANT
    principal: Principal | None = None
    principal_token: str | None = field(default=None, repr=False)
    request_id: str | None = None
    deadline: float | None = None
    retry_budget: float | None = None

    def at(self, trace: TraceContext) -> "Context":
        """The same work, at another place in its trace."""
        return Context(
            trace,
            self.tenant,
            self.principal,
            self.principal_token,
            self.request_id,
            self.deadline,
            self.retry_budget,
        )


_FIELDS: Final = tuple(each.name for each in fields(Context))
_NAMES: Final = frozenset(_FIELDS)
_EMPTY: Final = Context()
_context: ContextVar[Context] = ContextVar("cortex_context", default=_EMPTY)


current: Final[Callable[[], Context]] = _context.get
"""The context of the running task; an empty one (tenant `public`) outside of any.

The variable's own method, and no function around it: an actor asks at every message, where a frame is a tenth of it.
"""

enter: Final[Callable[[Context], Token[Context]]] = _context.set
leave: Final[Callable[[Token[Context]], None]] = _context.reset
"""`use_context` without its object, for what every request passes: `leave` gets what `enter` gave, on any way out."""


class use_context:  # noqa: N801 - reads as what it does: `with use_context(tenant="acme"):`
    """Within the block, `current()` is `context` (default: the current one) with `changes` made to it.

    A class, and no `dataclasses.replace`: every request and every call under a deadline goes through here.
    """

    __slots__ = ("_changes", "_context", "_token")

    def __init__(self, context: Context | None = None, **changes: Any) -> None:
        """Raises TypeError for a change of what a context does not have."""
        if not changes.keys() <= _NAMES:
            raise TypeError(f"a context has no {', '.join(sorted(changes.keys() - _NAMES))}")
        self._context = context
        self._changes = changes

    def __enter__(self) -> Context:
        chosen = _context.get() if self._context is None else self._context
        if self._changes:
            chosen = Context(*[self._changes.get(name, getattr(chosen, name)) for name in _FIELDS])
        self._token = _context.set(chosen)
        return chosen

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)
