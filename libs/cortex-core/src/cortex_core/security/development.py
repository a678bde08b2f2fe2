"""Secrets for development: random, made once for a folder, whole or not at all, and each marked so that production
refuses it: keys and peppers begin `dev-`, static tokens `st_dev`, passwords `dev-`.

    python -m cortex_core.security.development FOLDER [--group GID] [--static-token]
        [--redis HOST:PORT] [--postgres HOST:PORT --database NAME …]

`cortex up` keeps its keys in such a folder; Compose's init service has this program write one into a volume before
anything else starts. Owns the names of the files. Refuses a folder that lacks one of them, and secrets that others
could read. Refuses to know services: a database is a name.
"""

import argparse
import fcntl
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TOKENS, TOKENS_PUBLIC = "tokens.jwk", "tokens.jwks.json"
INTERNAL, INTERNAL_PUBLIC = "internal.jwk", "internal.jwks.json"
PEPPER: Final = "pepper"
STATIC_TOKEN, STATIC_TOKENS = "static-token", "static-tokens.json"
REDIS_PASSWORD, REDIS_URL, REDIS_CONF = "redis-password", "redis-url", "redis.conf"
POSTGRES_PASSWORD, DATABASES_SQL = "postgres-password", "databases.sql"

PASSWORD: Final = "dev-"  # noqa: S105 - how one begins
"""How a password begins that was made for development."""


class UnusableSecrets(Exception):
    """A folder of secrets that cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there shall be beside the keys and the pepper. `redis` and `postgres` are HOST:PORT, as services reach them;
    `group` may read all of it."""

    static_token: bool = False
    redis: str | None = None
    postgres: str | None = None
    databases: tuple[str, ...] = ()
    group: int | None = None

    @property
    def names(self) -> list[str]:
        """Every file."""
        found = [TOKENS, TOKENS_PUBLIC, INTERNAL, INTERNAL_PUBLIC, PEPPER]
        found += [STATIC_TOKEN, STATIC_TOKENS] if self.static_token else []
        found += [REDIS_PASSWORD, REDIS_URL, REDIS_CONF] if self.redis else []
        found += [POSTGRES_PASSWORD, DATABASES_SQL] if self.postgres else []
        return found + [database_url_file(name) for name in (self.databases if self.postgres else ())]


KEYS: Final = Wanted()


def database_url_file(name: str) -> str:
    """The file with the URL of a database, which has a role of the same name."""
    return f"{name}-database-url"


def ensure(folder: Path, wanted: Wanted = KEYS) -> bool:
    """Makes the secrets where there is no folder yet: whether it did. Whoever comes meanwhile waits. Raises
    UnusableSecrets as `check` does, and where they cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent):
            missing = not folder.exists()
            if missing:
                _make(folder, wanted)
    except OSError as error:
        raise UnusableSecrets(f"{folder} cannot be written: {error.strerror}") from None
    check(folder, wanted)
    return missing


def check(folder: Path, wanted: Wanted = KEYS) -> None:
    """Raises UnusableSecrets where one is missing, or others can read it."""
    for name in wanted.names:
        try:
            found = (folder / name).stat()
        except OSError:
            raise UnusableSecrets(
                f"{folder} has no {name}: put it back, or remove the folder to have new secrets "
                "(what was made with the old ones stops working: API keys, tokens, databases)"
            ) from None
        allowed = 0o040 if wanted.group is not None and found.st_gid == wanted.group else 0
        if found.st_mode & 0o077 & ~allowed:
            raise UnusableSecrets(f"others can read {folder / name}: chmod {600 + (40 if allowed else 0)} it")


def _make(folder: Path, wanted: Wanted) -> None:
    """In a folder beside, which then gets the name: an interruption leaves what the next time removes."""
    draft = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    for name, text in _contents(wanted).items():
        _write(draft / name, text, wanted.group)
    if wanted.group is not None:
        os.chown(draft, -1, wanted.group)
        draft.chmod(0o750)
    draft.rename(folder)


def _contents(wanted: Wanted) -> dict[str, str]:
    from cortex_core.security.api_keys.peppers import DEVELOPMENT

    found = {PEPPER: f"{DEVELOPMENT}{secrets.token_hex(32)}"}
    for private, public in ((TOKENS, TOKENS_PUBLIC), (INTERNAL, INTERNAL_PUBLIC)):
        key = _new_key()
        found[private] = json.dumps(key)
        found[public] = json.dumps({"keys": [_shown(key)]}, indent=1)
    if wanted.static_token:
        from cortex_core.security.static_tokens import DEVELOPMENT as STATIC

        token = f"{STATIC}{secrets.token_hex(24)}"
        found[STATIC_TOKEN] = token
        found[STATIC_TOKENS] = json.dumps([{"token": token, "sub": "development", "roles": ["admin"]}])
    if wanted.redis:
        password = _new_password()
        found[REDIS_PASSWORD] = password
        found[REDIS_URL] = f"redis://:{password}@{wanted.redis}/0"
        found[REDIS_CONF] = f"requirepass {password}"
    if wanted.postgres:
        found |= _databases(wanted.postgres, wanted.databases)
    return found


def _databases(address: str, names: Sequence[str]) -> dict[str, str]:
    """Each database is its role's alone. The SQL is for an empty server: `/docker-entrypoint-initdb.d` of its image."""
    found = {POSTGRES_PASSWORD: _new_password()}
    statements = []
    for name in names:
        password = _new_password()
        statements += [
            f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}';",
            f'CREATE DATABASE "{name}" OWNER "{name}";',
            f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC;',
        ]
        found[database_url_file(name)] = f"postgresql+asyncpg://{name}:{password}@{address}/{name}"
    return {**found, DATABASES_SQL: "\n".join(statements)}


def _new_password() -> str:
    return f"{PASSWORD}{secrets.token_hex(24)}"


def _new_key() -> dict[str, Any]:
    """ES256, as a JWK (RFC 7517) whose `kid` is its thumbprint (RFC 7638)."""
    from joserfc.jwk import ECKey  # late: a folder's life sees one make keys

    key = ECKey.generate_key("P-256", private=True)
    members = key.as_dict(private=True)
    return {**members, "kid": f"dev-{key.thumbprint()[:16]}", "alg": "ES256", "use": "sig"}


def _shown(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if name in {"kty", "crv", "x", "y", "kid", "alg", "use"}}


def _write(path: Path, text: str, group: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        if group is not None:
            os.fchown(descriptor, -1, group)
            os.fchmod(descriptor, 0o640)
        file.write(text + "\n")
        file.flush()
        os.fsync(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time: the kernel lets go when the process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main(words: Sequence[str]) -> int:
    """The exit status: 78 where the folder cannot be used, with one line."""
    options = _options(words)
    wanted = Wanted(options.static_token, options.redis, options.postgres, tuple(options.database), options.group)
    try:
        made = ensure(options.folder, wanted)
    except UnusableSecrets as error:
        print(f"development: {error}", file=sys.stderr)  # noqa: T201 - a program's answer
        return 78
    print(f"development: {options.folder} {'made' if made else 'is there'}")  # noqa: T201 - likewise
    return 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    def name(text: str) -> str:
        if not (text.isascii() and text.replace("_", "").isalnum() and text.islower() and len(text) <= 60):
            raise argparse.ArgumentTypeError("a database's name is of a-z 0-9 _")
        return text

    parser = argparse.ArgumentParser(prog="cortex_core.security.development", description="Secrets for development.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", type=int, metavar="GID", help="may read them; without it their owner alone")
    parser.add_argument("--static-token", action="store_true", help="one that may do everything")
    parser.add_argument("--redis", metavar="HOST:PORT", help="a password, a configuration and the URL with it")
    parser.add_argument("--postgres", metavar="HOST:PORT", help="a password, and the URL of each --database")
    parser.add_argument("--database", type=name, action="append", default=[], metavar="NAME", help="with its own role")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
