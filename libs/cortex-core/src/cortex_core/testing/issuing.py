"""An issuer of tokens with keys of its own, and the settings by which services know it.

`settings()` and `environment()` say the same, to an application built in the test's process and to one of its own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cortex_core.kernel import Principal
from cortex_core.kernel.clock import Clock, SystemClock

ISSUER: Final = "https://issuer.test"
AUDIENCE: Final = "cortex-hub"


def generated_key(kid: str, kind: str = "P-256") -> dict[str, Any]:
    """A new private key as JWK: `P-256`, `Ed25519` or `RSA`."""
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    if kind == "RSA":
        key: ECKey | OKPKey | RSAKey = RSAKey.generate_key(2048, private=True)
    elif kind == "Ed25519":
        key = OKPKey.generate_key("Ed25519", private=True)
    else:
        key = ECKey.generate_key("P-256", private=True)
    return {**key.as_dict(private=True), "kid": kid}


class Issuer:
    """Two keys in `folder`: the issuer's, and the gateway's for internal tokens."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        from cortex_core.security.signatures import SigningKey

        self._clock = clock or SystemClock()
        private = generated_key("issuer-1")
        inside = generated_key("gateway-1")
        self.key = SigningKey.of(private)
        self.gateway_key = SigningKey.of(inside)
        self.jwks = folder / "jwks.json"
        self.internal_keys = folder / "internal.json"
        self.internal_signing_key = folder / "internal-private.json"
        self.jwks.write_text(json.dumps({"keys": [dict(self.key.public)]}))
        self.internal_keys.write_text(json.dumps({"keys": [dict(self.gateway_key.public)]}))
        self.internal_signing_key.write_text(json.dumps(inside))

    def settings(self, *, gateway: bool = False) -> dict[str, Any]:
        """For `Settings(**…)`. Nobody is anonymous."""
        mine: Mapping[str, Any] = (
            {"internal_signing_key": self.internal_signing_key} if gateway else {"internal_keys": self.internal_keys}
        )
        return {"anonymous": False, "jwks": str(self.jwks), "token_issuer": ISSUER, "token_audience": AUDIENCE, **mine}

    def environment(self, *, gateway: bool = False) -> dict[str, str]:
        """The same as variables."""
        return {
            f"CORTEX_{name.upper()}": str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in self.settings(gateway=gateway).items()
        }

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Of a proper token, with `changes`; one that is None is left out."""
        now = int(self._clock.now().timestamp())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "kim", "iat": now, "exp": now + 600, "jti": "1", **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **changes: Any) -> str:
        """A proper token; `scope="orders:read orders:write"` and the like are claims."""
        from cortex_core.security.jwt import ACCESS_TOKEN, sign

        return sign(self.key, ACCESS_TOKEN, self.claims(**changes)).decode()

    def headers(self, **changes: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(**changes)}"}

    def internal(self, principal: Principal) -> str:
        """What the gateway would say of `principal`."""
        from cortex_core.security import InternalTokens

        return InternalTokens(self.gateway_key, self._clock).header_for(principal).decode()
