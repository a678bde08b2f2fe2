"""API keys in a service: checked by their store, and forgotten everywhere as soon as they end.

Owns the two ways by which a service hears that a key has ended: an event to every replica of every service, at once;
and the store itself, asked every few seconds, because an event may be missed. Refuses to administer keys: the gateway
does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from cortex_core.chassis.background import Background
from cortex_core.chassis.settings import Config
from cortex_core.events import CloudEvent, EventBus
from cortex_core.kernel.clock import Clock
from cortex_core.observability import HealthCheckRegistry, Logger
from cortex_core.security import Authenticator
from cortex_core.security.api_keys import ApiKeys, Endings, Peppers, UseNotes
from cortex_core.security.api_keys.checking import StoredKeys

TOPIC: Final = "key"
ENDINGS: Final = frozenset({"key.revoked", "key.rotated"})
"""Types of `cortex_contracts.keys`, which this library does not know: their subject, a key's id, is all it needs."""


@dataclass(frozen=True, slots=True)
class KeyParts:
    """Where keys are, and what checks them. `uses` is written once a minute."""

    store: ApiKeys
    peppers: Peppers
    checker: StoredKeys
    uses: UseNotes = field(repr=False)


def make_key_parts(settings: Config, clock: Clock, logger: Logger, store: ApiKeys | None = None) -> KeyParts | None:
    """None where the settings have no pepper: keys are not accepted then. `store` is for tests."""
    if settings.key_pepper is None:
        return None
    peppers = Peppers.of(settings.key_pepper.get_secret_value())
    if store is None:
        from cortex_core.security.redis import RedisApiKeys

        url = settings.redis_url.get_secret_value()
        store = RedisApiKeys(url, namespace=settings.namespace, clock=clock)
    uses = UseNotes(
        store,
        clock=clock,
        on_error=lambda error: logger.warning("last uses of API keys were lost", error=error.message),
    )
    return KeyParts(store, peppers, StoredKeys(store, peppers, uses, clock=clock), uses)


@asynccontextmanager
async def accepting_keys(
    parts: KeyParts | None,
    authenticator: Authenticator,
    *,
    bus: EventBus,
    tasks: Background,
    health: HealthCheckRegistry,
    clock: Clock,
) -> AsyncIterator[None]:
    """Keys are accepted while the block runs. Without them the service is degraded, not down: who shows a token is
    served."""
    if parts is None:
        yield
        return
    forget = authenticator.memo.forget

    async def hear(event: CloudEvent) -> None:
        if event.type in ENDINGS:
            forget(event.subject)

    async def check() -> dict[str, str]:
        await parts.store.check()
        return {}

    health.register("key-store", check, critical=False)
    authenticator.keys = parts.checker
    subscription = await bus.subscribe({TOPIC}, hear)
    try:
        async with (
            tasks.during(Endings(parts.store, forget, clock=clock).run, "api-key-endings"),
            tasks.during(parts.uses.run, "api-key-uses"),
        ):
            yield
    finally:
        authenticator.keys = None
        await subscription.aclose()
        await parts.uses.write()
        await parts.store.aclose()
