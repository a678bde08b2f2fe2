"""What goes in and out at `/api/keys`. Types are strict and unknown members are refused; what a value may be is
`KeyDesk`'s to say, under codes of its own: of its bounds, the schemas tell and enforce nothing."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from cortex_core.kernel.clock import rfc3339
from cortex_core.security.api_keys import ApiKey, Issued, KeyDesk, KeyWish
from cortex_core.security.api_keys.issuing import MAX_GRACE, MAX_LIFE, MAX_NAME, MAX_SCOPES, MIN_LIFE, SUBJECT


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True, hide_input_in_errors=True)


class CreateKeyBody(Body):
    name: str = Field(examples=["nightly export"], json_schema_extra={"minLength": 1, "maxLength": MAX_NAME})
    scopes: list[str] = Field(
        examples=[["orders:read"]], json_schema_extra={"minItems": 1, "maxItems": MAX_SCOPES, "uniqueItems": True}
    )
    subject: str | None = Field(
        default=None,
        description="Whom the key speaks for. Absent: for itself.",
        examples=["export"],
        json_schema_extra={"pattern": f"^{SUBJECT.pattern}$"},
    )
    plan: str | None = Field(default=None, description="Whose limit it has. Absent: the default plan's.")
    expires_in: int | None = Field(
        default=None,
        description="Seconds from now on. Absent: it opens what it opens until it is revoked.",
        json_schema_extra={"minimum": int(MIN_LIFE), "maximum": int(MAX_LIFE)},
    )

    def to_wish(self) -> KeyWish:
        lives = None if self.expires_in is None else min(max(self.expires_in, 0), MAX_LIFE + 1)
        return KeyWish(self.name, frozenset(self.scopes), self.subject, self.plan, lives)


class RotateKeyBody(Body):
    grace: int = Field(
        default=0,
        description="Seconds that the old secret holds on. 0: it ends now, and every older one with it.",
        json_schema_extra={"minimum": 0, "maximum": int(MAX_GRACE)},
    )


class View(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


Time = Annotated[str | None, Field(description="RFC 3339, UTC.", json_schema_extra={"format": "date-time"})]


class KeyView(View):
    """A key without its secret. `lastUsedAt` lags by up to two minutes. `expired` is one by its `expiresAt`."""

    key_id: str = Field(examples=["key_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f"])
    name: str
    subject: str
    scopes: list[str]
    plan: str | None
    status: Literal["active", "expired", "revoked"]
    created_at: Time
    created_by: str
    expires_at: Time
    last_used_at: Time
    rotated_at: Time
    rotated_by: str | None
    revoked_at: Time
    revoked_by: str | None

    @classmethod
    def of(cls, key: ApiKey, desk: KeyDesk, **more: Any) -> Self:
        return cls(
            key_id=key.id,
            name=key.name,
            subject=key.subject,
            scopes=sorted(key.scopes),
            plan=key.plan,
            status="revoked" if key.revoked_at is not None else "expired" if desk.is_over(key) else "active",
            created_at=rfc3339(key.created_at),
            created_by=key.created_by,
            expires_at=_time(key.expires_at),
            last_used_at=_time(key.last_used_at),
            rotated_at=_time(key.rotated_at),
            rotated_by=key.rotated_by,
            revoked_at=_time(key.revoked_at),
            revoked_by=key.revoked_by,
            **more,
        )


class IssuedKeyView(KeyView):
    """A key with its secret. Nobody can look it up again."""

    secret: str = Field(repr=False, description="Shown once.", examples=["ck_0192f5c0a1b27c3d8e4f5a6b7c8d9e0f_…"])

    @classmethod
    def of_issued(cls, issued: Issued, desk: KeyDesk) -> Self:
        return cls.of(issued.key, desk, secret=issued.secret)


class KeysView(View):
    """One page, the newest first. `nextCursor` is null on the last."""

    keys: list[KeyView]
    next_cursor: str | None


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
