"""The hub's keys on a developer's machine, in `keys/` of the state folder, and the variables that tell of them.

Making them is `cortex_core.security.development`'s. Their key ids begin with `dev-`: production refuses such keys.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cortex_cli.refusal import Refusal
from cortex_core.security import development
from cortex_core.security.development import INTERNAL, INTERNAL_PUBLIC, PEPPER, TOKENS, TOKENS_PUBLIC, UnusableSecrets

ISSUER: Final = "cortex-development"
AUDIENCE: Final = "cortex-hub"


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """The keys in `folder`."""

    folder: Path

    @classmethod
    def of(cls, state: Path) -> "DevelopmentKeys":
        return cls(state / "keys")

    def ensure(self) -> None:
        """Makes them where there are none. Raises Refusal where some are there and some are not, and where others can
        read a secret."""
        try:
            development.ensure(self.folder)
        except UnusableSecrets as error:
            raise Refusal(str(error)) from None

    def check(self) -> None:
        """Raises Refusal."""
        try:
            development.check(self.folder)
        except UnusableSecrets as error:
            raise Refusal(str(error)) from None

    def environment(self, *, gateway: bool) -> dict[str, str]:
        """What a service is told. What signs goes to the gateway alone. A group of variables of which the person has
        set one is theirs."""
        groups = [
            {
                "CORTEX_JWKS": str(self.folder / TOKENS_PUBLIC),
                "CORTEX_TOKEN_ISSUER": ISSUER,
                "CORTEX_TOKEN_AUDIENCE": AUDIENCE,
            },
            {
                "CORTEX_INTERNAL_KEYS": str(self.folder / INTERNAL_PUBLIC),
                "CORTEX_INTERNAL_SIGNING_KEY": str(self.folder / INTERNAL),
            },
            {"CORTEX_KEY_PEPPER": (self.folder / PEPPER).read_text().strip()},
        ]
        theirs = {name.removesuffix("_FILE") for name in os.environ}
        told = {name: value for group in groups if not group.keys() & theirs for name, value in group.items()}
        if not gateway:
            told.pop("CORTEX_INTERNAL_SIGNING_KEY", None)
        return told

    def signing_key(self) -> Any:
        """The private key of tokens, as a JWK. Raises Refusal where no hub has made one."""
        if not self.folder.exists():
            raise Refusal(f"no development key in {self.folder}: start the hub once with `cortex up`, or pass --state")
        self.check()
        try:
            return json.loads((self.folder / TOKENS).read_text())
        except ValueError:
            raise Refusal(f"{self.folder / TOKENS} is no key any more: remove {self.folder} to have new ones") from None
