"""Who asks: one shape, whatever the credential was. It is made by the security cog alone; all others only read it.

Refuses to hold credentials: a principal may be logged, but for its email, which no representation shows.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

DEFAULT_TENANT: Final = "public"

Method = Literal["jwt", "api-key", "static-token", "anonymous"]
"""How somebody showed who they are. A service that is told by the gateway's internal token learns what it was there."""


@dataclass(frozen=True, slots=True)
class Principal:
    """`scopes` are what may be done (`orders:write`), those that `roles` map to among them. `plan` names the limits of
    an API key, whose id is `key_id`; `expires_at` is in Unix seconds (None: the credential does not say)."""

    subject: str
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    method: Method = "anonymous"
    email: str | None = field(default=None, repr=False, compare=False)
    key_id: str | None = None
    plan: str | None = None
    expires_at: float | None = None

    @property
    def named(self) -> bool:
        """Whether somebody in particular is meant."""
        return self.method != "anonymous"

    def may(self, scope: str) -> bool:
        return scope in self.scopes
