"""Which bus is meant, and a connection to it for as long as a command takes.

The URL comes from the environment and never from an option: it may hold a password, and options are for all to see.
"""

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cortex_cli.refusal import Refusal

if TYPE_CHECKING:
    from cortex_core.events import EventLog

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Where:
    """What the command was told: tenants by commas, and the state folder."""

    tenants: str | None
    state: str | None

    def tenant_names(self) -> tuple[str, ...]:
        """Raises Refusal."""
        told = self.tenants or os.environ.get("CORTEX_TENANTS") or "public"
        names = tuple(dict.fromkeys(name.strip() for name in told.split(",")))
        if not all(_TENANT.fullmatch(name) for name in names):
            raise Refusal("a tenant is 1 to 63 of a-z 0-9 -; name several by commas")
        return names

    def url(self) -> str:
        """`CORTEX_REDIS_URL`, else the running hub's Redis. Raises Refusal."""
        from cortex_cli.hub import redis_of
        from cortex_cli.state import State

        return os.environ.get("CORTEX_REDIS_URL") or redis_of(State.chosen(Path(self.state) if self.state else None))


def run(where: Where, work: Callable[["EventLog"], Coroutine[Any, Any, None]]) -> None:
    """Raises Refusal for whatever the bus, or what was asked of it, is wrong about."""
    from cortex_core.events.redis import RedisEventBus
    from cortex_core.kernel import CortexError

    async def connected() -> None:
        namespace = os.environ.get("CORTEX_NAMESPACE") or "cortex"
        bus = RedisEventBus(where.url(), namespace=namespace, tenants=where.tenant_names())
        try:
            await work(bus.log)
        finally:
            await bus.aclose()

    try:
        asyncio.run(connected())
    except CortexError as error:
        raise Refusal(f"{error.message} ({error.code})") from error
    except ValueError as error:  # what is no URL, no namespace, no name of a group
        raise Refusal(str(error)) from error
