"""A key's record as the fields of a Redis hash, and back.

What never changes is one JSON text (`made`); what does has a field each, so that a script can change it by itself.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cortex_core.kernel.clock import parse_rfc3339, rfc3339
from cortex_core.security.api_keys.record import ApiKey, SecretHash

_START = datetime(1970, 1, 1, tzinfo=UTC)


def fields_of(key: ApiKey) -> list[str]:
    """Names and values by turns, for a key that was just made."""
    made = {
        "name": key.name,
        "subject": key.subject,
        "scopes": sorted(key.scopes),
        "plan": key.plan,
        "createdAt": rfc3339(key.created_at),
        "createdBy": key.created_by,
        "expiresAt": None if key.expires_at is None else rfc3339(key.expires_at),
    }
    text = json.dumps(made, separators=(",", ":"))
    return ["tenant", key.tenant, "made", text, "secrets", secrets_text(key.secrets), "present", present(key.secrets)]


def key_of(key_id: str, reply: Sequence[bytes] | Mapping[bytes, bytes]) -> ApiKey | None:
    """From HGETALL's reply: names and values by turns where a script asked, else a mapping. None for an empty one."""
    if not reply:
        return None
    pairs = reply.items() if isinstance(reply, Mapping) else zip(reply[::2], reply[1::2], strict=True)
    fields = {name.decode(): value.decode() for name, value in pairs}
    made: Mapping[str, Any] = json.loads(fields["made"])
    return ApiKey(
        id=key_id,
        tenant=fields["tenant"],
        name=made["name"],
        subject=made["subject"],
        scopes=frozenset(made["scopes"]),
        plan=made["plan"],
        created_at=parse_rfc3339(made["createdAt"]),
        created_by=made["createdBy"],
        expires_at=_moment(made["expiresAt"]),
        secrets=_secrets(fields["secrets"]),
        last_used_at=_START + timedelta(microseconds=int(fields["used"])) if "used" in fields else None,
        rotated_at=_moment(fields.get("rotatedAt")),
        rotated_by=fields.get("rotatedBy"),
        revoked_at=_moment(fields.get("revokedAt")),
        revoked_by=fields.get("revokedBy"),
    )


def microseconds(moment: datetime) -> int:
    """Since 1970: what Redis compares."""
    return (moment - _START) // timedelta(microseconds=1)


def secrets_text(secrets: Sequence[SecretHash]) -> str:
    return json.dumps(
        [
            [each.digest.hex(), each.pepper, rfc3339(each.made_at), each.valid_until and rfc3339(each.valid_until)]
            for each in secrets
        ],
        separators=(",", ":"),
    )


def present(secrets: Sequence[SecretHash]) -> str:
    return secrets[0].digest.hex()


def _secrets(text: str) -> tuple[SecretHash, ...]:
    return tuple(
        SecretHash(bytes.fromhex(digest), pepper, parse_rfc3339(made_at), _moment(valid_until))
        for digest, pepper, made_at, valid_until in json.loads(text)
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_rfc3339(text)
