"""What stands in the URLs of the settings: whether one is one, and passwords that were made for development.

Refuses to repeat any of it: a URL may hold a password.
"""

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from cortex_core.chassis.setting_files import FromEnvironment
from cortex_core.security.development import PASSWORD

_DATABASES: Final = frozenset({"sqlite+aiosqlite", "postgresql+asyncpg", "postgresql", "postgres"})
_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})


def check_redis_url(url: str) -> None:
    """Raises ValueError. Of the options that redis-py reads from a URL only those are ours to give away that say where
    the server is: a `decode_responses` would change what every adapter reads."""
    scheme, separator, place = url.partition("://")
    if scheme not in _SCHEMES or not separator or not place:
        raise ValueError("a Redis URL is redis://host:port/0, rediss://… or unix:///path")
    try:
        parts = urlsplit(url)
        options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
        _ = parts.port
    except ValueError:
        raise ValueError(
            "a Redis URL is redis://host:port/0: what is special in its password is percent-encoded"
        ) from None
    for name in options:
        if name != "db" and not name.startswith("ssl_"):
            shown = f"the option {name}" if name.isascii() and name.isidentifier() and len(name) <= 40 else "an option"
            raise ValueError(f"{shown} cannot stand in a Redis URL: take it out (db and ssl_… can)")


def place_in(url: str) -> str | None:
    """`host:port`, for a line about it; None where there is none, or where it might be a part of a password."""
    try:
        netloc = urlsplit(url).netloc
    except ValueError:
        return None
    if url.count("@") != netloc.count("@") or url.count("@") > 1:
        return None
    return netloc.rpartition("@")[2] or None


def has_development_password(url: str) -> bool:
    """Whether somebody would log in with a password that was made for development."""
    try:
        password = urlsplit(url).password
    except ValueError:
        return False
    return password is not None and unquote(password).startswith(PASSWORD)


def check_urls(settings: FromEnvironment) -> None:
    """Raises ValueError, naming the variable, for a database's URL that is none, and in production for a password in
    any URL that was made for development."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        url = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(url, str):
            continue
        if name == "database_url":
            _check_database_url(url, settings.variable(name))
        if getattr(settings, "env", None) == "production" and has_development_password(url):
            raise ValueError(
                f"production needs its own {settings.variable(name)}: its password was made for development"
            )


def _check_database_url(url: str, variable: str) -> None:
    scheme, separator, place = url.partition("://")
    if scheme not in _DATABASES or not separator or not place:
        raise ValueError(
            f"{variable}: a database is postgresql+asyncpg://user:password@host/database or sqlite+aiosqlite:///path"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"{variable}: what is special in a URL's password is percent-encoded") from None
    if parts.netloc.count("@") > 1:  # the driver would take what is behind the first one for the host
        raise ValueError(f"{variable}: an @ in a URL's password is written %40")
