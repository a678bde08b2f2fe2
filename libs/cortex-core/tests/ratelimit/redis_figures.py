"""What a Redis says of itself."""

from cortex_core.testing import RedisServer


def calls_of(server: RedisServer, command: str) -> int:
    """How many times a command was called."""
    return _figure(server.command("INFO", "commandstats"), f"cmdstat_{command}", "calls=")


def stat(server: RedisServer, name: str) -> int:
    return _figure(server.command("INFO", "stats"), name, "")


def _figure(text: str, name: str, prefix: str) -> int:
    for line in text.splitlines():
        found, _, rest = line.partition(":")
        if found == name or found.startswith(f"{name}|"):
            return int(rest.removeprefix(prefix).partition(",")[0])
    return 0
