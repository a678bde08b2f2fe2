"""What authentication tells whoever counts. Frozen records; nothing in them identifies anybody."""

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["accepted", "refused", "unavailable"]


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """A credential was looked at. `method`: `jwt`, `api-key`, `internal`, or `none` where there was none or nobody
    could tell. `reason` is one of few words, empty where it was accepted. Who is remembered is not looked at again."""

    method: str
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class KeySetDetails:
    """An issuer's keys were asked for: how many there are now, and what went wrong (None: nothing)."""

    keys: int
    ignored: tuple[str, ...] = ()
    error: str | None = None


class AuthenticationHooks(Protocol):
    def on_attempt(self, details: AttemptDetails, /) -> None: ...

    def on_key_set(self, details: KeySetDetails, /) -> None: ...


class Unheard:
    """The default: nobody listens."""

    def on_attempt(self, details: AttemptDetails, /) -> None:
        """Nobody listens."""

    def on_key_set(self, details: KeySetDetails, /) -> None:
        """Nobody listens."""
