"""The hub's keys on a developer's machine, in `keys/` of the state folder: made once, whole or not at all.

Owns the files and which variables tell the services of them. Their key ids begin with `dev-`: production refuses such
keys. Refuses keys that others on this machine could read.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cortex_cli.refusal import Refusal

ISSUER: Final = "cortex-development"
AUDIENCE: Final = "cortex-hub"

_TOKENS, _TOKENS_PUBLIC = "tokens.jwk", "tokens.jwks.json"
_INTERNAL, _INTERNAL_PUBLIC = "internal.jwk", "internal.jwks.json"
_PEPPER = "pepper"
_SECRET: Final = (_TOKENS, _INTERNAL, _PEPPER)
_ALL: Final = (*_SECRET, _TOKENS_PUBLIC, _INTERNAL_PUBLIC)


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """The keys in `folder`."""

    folder: Path

    @classmethod
    def of(cls, state: Path) -> "DevelopmentKeys":
        return cls(state / "keys")

    def ensure(self) -> None:
        """Makes them where there are none. One process at a time: the caller holds the state's lock. Raises Refusal
        where some are there and some are not, and where others can read a secret."""
        if not self.folder.exists():
            self._make()
        self.check()

    def check(self) -> None:
        """Raises Refusal."""
        missing = [name for name in _ALL if not (self.folder / name).is_file()]
        if missing:
            raise Refusal(
                f"{self.folder} has no {missing[0]}: put it back, or remove the folder to have new keys "
                "(API keys and tokens made with the old ones stop working)"
            )
        for name in _SECRET:
            if (self.folder / name).stat().st_mode & 0o077:
                raise Refusal(f"others can read {self.folder / name}: chmod 600 it")

    def environment(self, *, gateway: bool) -> dict[str, str]:
        """What a service is told. What signs goes to the gateway alone. A group of variables of which the person has
        set one is theirs."""
        groups = [
            {
                "CORTEX_JWKS": str(self.folder / _TOKENS_PUBLIC),
                "CORTEX_TOKEN_ISSUER": ISSUER,
                "CORTEX_TOKEN_AUDIENCE": AUDIENCE,
            },
            {
                "CORTEX_INTERNAL_KEYS": str(self.folder / _INTERNAL_PUBLIC),
                "CORTEX_INTERNAL_SIGNING_KEY": str(self.folder / _INTERNAL),
            },
            {"CORTEX_KEY_PEPPER": (self.folder / _PEPPER).read_text().strip()},
        ]
        told = {
            name: value for group in groups if not group.keys() & os.environ.keys() for name, value in group.items()
        }
        if not gateway:
            told.pop("CORTEX_INTERNAL_SIGNING_KEY", None)
        return told

    def signing_key(self) -> Any:
        """The private key of tokens, as a JWK. Raises Refusal where no hub has made one."""
        if not self.folder.exists():
            raise Refusal(f"no development key in {self.folder}: start the hub once with `cortex up`, or pass --state")
        self.check()
        try:
            return json.loads((self.folder / _TOKENS).read_text())
        except ValueError:
            raise Refusal(
                f"{self.folder / _TOKENS} is no key any more: remove {self.folder} to have new ones"
            ) from None

    def _make(self) -> None:
        """In a folder beside, which then gets the name: an interruption leaves what the next time removes."""
        from cortex_core.security.api_keys.peppers import DEVELOPMENT  # late: no other command needs it

        draft = self.folder.with_name("keys.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for private, public in ((_TOKENS, _TOKENS_PUBLIC), (_INTERNAL, _INTERNAL_PUBLIC)):
            key = _new_key()
            _write(draft / private, json.dumps(key))
            _write(draft / public, json.dumps({"keys": [_shown(key)]}, indent=1))
        _write(draft / _PEPPER, f"{DEVELOPMENT}{secrets.token_hex(32)}")
        draft.rename(self.folder)


def _new_key() -> dict[str, Any]:
    """ES256, as a JWK (RFC 7517) whose `kid` is its thumbprint (RFC 7638)."""
    from joserfc.jwk import ECKey  # late: one `up` in a state folder's life makes keys

    key = ECKey.generate_key("P-256", private=True)
    members = key.as_dict(private=True)
    return {**members, "kid": f"dev-{key.thumbprint()[:16]}", "alg": "ES256", "use": "sig"}


def _shown(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name in {"kty", "crv", "x", "y", "kid", "alg", "use"}}


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(descriptor)
