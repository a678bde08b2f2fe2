"""`init` of docker-compose.yml: makes the hub's secrets once, and gives each container those that it may read.

Owns which container is given what: a volume each, so that none can see another's, and in it files that its user alone
can read. In development what is missing is made, in the volume `secrets`, marked `dev-` so that production refuses it;
what lies in the folder of your own (`CORTEX_SECRETS`, mounted at /own) is taken before. In production everything has to
lie there, and a provider of payments be named. Runs at each `up`, and the second time changes nothing. Prints names,
never a secret, unless asked for one:

    docker compose run --rm --no-deps init show grafana_password
"""

import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote

EX_CONFIG: Final = 78  # sysexits.h
ENVIRONMENTS: Final = ("development", "test", "production")
SERVICE, POSTGRES, REDIS, GRAFANA = 10001, 999, 999, 472  # the users of their images
PASSWORDS: Final = (
    "redis_password",
    "postgres_password",
    "order_password",
    "analytics_password",
    "storage_password",
    "grafana_password",
)
KEYS: Final = {  # how we call it, and how the maker of development's secrets does
    "internal_signing_key": "internal.jwk",
    "internal_keys": "internal.jwks.json",
    "jwks": "tokens.jwks.json",
    "key_pepper": "pepper",
    "static_tokens": "static-tokens.json",
}
_PASSWORD: Final = re.compile(r"[\x21\x23-\x26\x28-\x5b\x5d-\x7e]{16,200}", re.ASCII)  # no space, quote or backslash
_MOST: Final = 256 << 10  # bytes of a file of yours


class Refused(Exception):
    """What is wrong with what we were given, in one line that shows no secret."""


@dataclass(frozen=True, slots=True)
class Places:
    """Folders; in the container those of docker-compose.yml."""

    made: Path = Path("/made")
    own: Path = Path("/own")
    handed: Path = Path("/handed")
    blocks: Path = Path("/blocks")
    socket: Path = Path("/socket")
    configuration: Path = Path("/")


def shares(known: Mapping[str, str]) -> dict[str, tuple[int, dict[str, str]]]:
    """For each reader its user and its files."""

    def database(service: str) -> dict[str, str]:
        password = quote(known[f"{service}_password"], safe="")
        return {"database_url": f"postgresql+asyncpg://{service}:{password}@postgres:5432/{service}"}

    redis = {"redis_url": f"redis://:{quote(known['redis_password'], safe='')}@redis:6379/0"}
    public = {name: known[name] for name in ("internal_keys", "jwks") if name in known}
    gateway = {name: known[name] for name in ("internal_signing_key", "key_pepper", "static_tokens") if name in known}
    roles = {f"{service}_password": known[f"{service}_password"] for service in ("order", "analytics", "storage")}
    return {
        "gateway": (SERVICE, {**redis, **public, **gateway}),
        "order": (SERVICE, {**redis, **public, **database("order")}),
        "notification": (SERVICE, {**redis, **public}),
        "analytics": (SERVICE, {**redis, **public, **database("analytics")}),
        "storage": (SERVICE, {**redis, **public, **database("storage")}),
        "compute": (SERVICE, {**redis, **public}),
        "redis": (
            REDIS,
            {"password": known["redis_password"], "auth.conf": f"requirepass {known['redis_password']}"},
        ),
        "postgres": (POSTGRES, {"postgres_password": known["postgres_password"], **roles}),
        "grafana": (GRAFANA, {"password": known["grafana_password"]}),
    }


def gather(places: Places, env: Mapping[str, str], make_keys: Callable[[Path], object]) -> dict[str, str]:
    """Every secret by its name: yours, and in development made where you have none. Raises Refused, before it has made
    any."""
    environment = env.get("CORTEX_ENV", "production")
    if environment not in ENVIRONMENTS:
        raise Refused(f"CORTEX_ENV must be one of {', '.join(ENVIRONMENTS)}")
    production = environment == "production"
    own = {path.name: _read(path) for path in sorted(places.own.iterdir()) if not path.name.startswith(".")}
    if unknown := sorted(own.keys() - KEYS.keys() - set(PASSWORDS)):
        raise Refused(f"{unknown[0]} in CORTEX_SECRETS is no secret of ours: {', '.join((*KEYS, *PASSWORDS))}")
    known = own if production else {**_made(places.made, make_keys), **own}
    elsewhere = {"jwks"} if env.get("CORTEX_JWKS") != "/run/secrets/jwks" else set()
    if env.get("GATEWAY_STATIC_TOKENS") != "/run/secrets/static_tokens":
        elsewhere.add("static_tokens")
    missing = [name for name in (*PASSWORDS, *KEYS) if name not in known and name not in elsewhere]
    if missing:
        raise Refused(
            f"production needs {', '.join(missing)} in the folder CORTEX_SECRETS, a file each: docs/deploy/compose.md"
        )
    for name in PASSWORDS:
        if not _PASSWORD.fullmatch(known[name]):
            raise Refused(f"{name} must be 16 to 200 printable characters without spaces, quotes or backslashes")
        if production and known[name].startswith("dev-"):
            raise Refused(f"{name} was made for development: production needs its own")
    if production:
        _check_production(places.own, env)
    return known


def _check_production(own: Path, env: Mapping[str, str]) -> None:
    """What would let a hub start that is none: secrets that others read, or orders that nobody can be paid for."""
    for path in sorted(own.iterdir()):
        if not path.name.startswith(".") and path.stat().st_mode & 0o077:
            raise Refused(
                f"{path.name} in CORTEX_SECRETS can be read by others than its owner: chmod 600, or make it anew"
            )
    if env.get("CORTEX_SANDBOX") != "0":
        raise Refused("production needs CORTEX_SANDBOX=0: the sandbox moves no money")
    if not env.get("ORDER_PAYMENT_URL"):
        raise Refused("production needs ORDER_PAYMENT_URL, the address of the payment provider")


def hand_out(places: Places, known: Mapping[str, str], give: Callable[[Path, int], None]) -> None:
    """Leaves in each reader's folder exactly its files, each whole at any moment."""
    for reader, (user, files) in shares(known).items():
        folder = places.handed / reader
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            _write(folder / name, text, partial(_given, give, user))
        for left in folder.iterdir():
            if left.name not in files:
                left.unlink()
    for volume, user in ((places.blocks, SERVICE), (places.socket, POSTGRES)):
        if volume.stat().st_uid != user:
            give(volume, user)


def _given(give: Callable[[Path, int], None], user: int, path: Path) -> None:
    give(path, user)


def _made(folder: Path, make_keys: Callable[[Path], object]) -> dict[str, str]:
    make_keys(folder / "keys")
    known = {name: (folder / "keys" / file).read_text().strip() for name, file in KEYS.items()}
    for name in PASSWORDS:
        path = folder / name
        if not path.exists():
            _write(path, f"dev-{secrets.token_urlsafe(24)}", lambda _: None)
        known[name] = path.read_text().strip()
    return known


def _read(path: Path) -> str:
    if path.stat().st_size > _MOST:
        raise Refused(f"{path.name} in CORTEX_SECRETS has more than {_MOST} bytes")
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path.name} in CORTEX_SECRETS cannot be read: {type(error).__name__}") from None
    if not text:
        raise Refused(f"{path.name} in CORTEX_SECRETS is empty")
    return text


def _write(path: Path, text: str, give: Callable[[Path], None]) -> None:
    """Beside, then renamed: a reader and an interruption see the old file or the new one."""
    if path.exists() and path.read_text() == text + "\n" and stat.S_IMODE(path.stat().st_mode) == 0o400:
        return
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(descriptor)
    give(draft)
    draft.replace(path)


def check_readable(clone: Path) -> None:
    """What other users read from this clone, and no more: never `compose/`, where secrets may lie. Raises Refused where
    a strict umask keeps it from them."""
    observability = clone / "observability"
    for path in (clone / "compose/databases.sql", observability, *sorted(observability.rglob("*"))):
        wanted = 0o005 if path.is_dir() else 0o004
        if path.stat().st_mode & wanted != wanted:
            advice = "chmod a+r compose/databases.sql; chmod -R a+rX observability"
            raise Refused(f"containers cannot read {path.relative_to(clone)}: {advice}")


def main(words: Sequence[str]) -> None:
    from cortex_core.security.development import UnusableSecrets, Wanted, ensure  # here: tests bring their own

    places = Places()
    try:
        known = gather(places, os.environ, lambda folder: ensure(folder, Wanted(static_token=True)))
        if words:
            print(_shown(words, known))
            return
        check_readable(places.configuration)
        hand_out(places, known, lambda path, user: os.chown(path, user, user))
    except (Refused, UnusableSecrets, OSError, ValueError) as error:
        _fail(str(error))
    print(json.dumps({"service": "init", "message": "secrets are handed out", "readers": sorted(shares(known))}))


def _shown(words: Sequence[str], known: Mapping[str, str]) -> str:
    """Raises Refused for all but those that are for people."""
    match words:
        case ["show", ("grafana_password" | "static_tokens") as name] if name in known:
            return known[name]
    raise Refused("that is no command; there are `show grafana_password` and `show static_tokens`")


def _fail(line: str) -> NoReturn:
    print(f"init: {line}", file=sys.stderr)
    raise SystemExit(EX_CONFIG)


if __name__ == "__main__":
    main(sys.argv[1:])
