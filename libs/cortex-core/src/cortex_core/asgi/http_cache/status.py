"""`Cache-Status` (RFC 9211): what we say of how a request was handled, after what caches behind us said."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """`ttl` in seconds, negative when stale. `hit` and `forward` exclude each other. `stored` where it is known."""

    hit: bool = False
    ttl: float | None = None
    forward: str | None = None
    forward_status: int | None = None
    stored: bool = False
    collapsed: bool = False
    detail: str | None = None

    def encode(self, name: str) -> bytes:
        """`cortex; fwd=stale; fwd-status=304; stored`."""
        parts = [name]
        if self.hit:
            parts.append("hit")
        if self.ttl is not None:
            parts.append(f"ttl={int(self.ttl)}")
        if self.forward is not None:
            parts.append(f"fwd={self.forward}")
        if self.forward_status is not None:
            parts.append(f"fwd-status={self.forward_status}")
        if self.stored:
            parts.append("stored")
        if self.collapsed:
            parts.append("collapsed")
        if self.detail is not None:
            parts.append(f"detail={self.detail}")
        return "; ".join(parts).encode()
