"""Taking an order once, however often it is asked for: the `Idempotency-Key` of a request.

Owns what counts as the same request, and what becomes of one that comes while the first is being carried out. The
answer needs no storing: it is the order as it was at its first version, which never changes.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from cortex_core.kernel import Clock, CortexError, Kind, current
from cortex_order.domain import CustomerId, Item, Order, PaymentToken
from cortex_order.ports import History, Keys, KeyTaken, Once, Used
from cortex_order.usecases.placing import PlaceOrder


class KeyInProgress(CortexError):
    """The first request with this key is still being carried out."""

    code, kind, attempted = "idempotency.in-progress", Kind.CONFLICT, False

    def __init__(self) -> None:
        super().__init__("a request with this idempotency key is being carried out; ask again", retry_after=1.0)


class KeyReused(CortexError):
    """The key belongs to a request that asked for something else."""

    code, kind, attempted = "idempotency.key-reused", Kind.UNPROCESSABLE, False

    def __init__(self) -> None:
        super().__init__("this idempotency key was used for another order; a new order needs a new key")


@dataclass(frozen=True, slots=True)
class Placed:
    """`order` as it was when it was placed. `replayed`: by an earlier request."""

    order: Order
    replayed: bool


@dataclass(frozen=True, slots=True)
class PlaceOnce:
    """Places an order the first time somebody of a tenant uses a key, and shows the one placed then every other time.

    A key is remembered for `keep`, in the transaction that makes the order durable: a request that was refused, or that
    failed, leaves none. Two requests with one key: within this process the second is refused while the first is under
    way; of two processes the database lets one place the order, and the other shows it.
    """

    place: PlaceOrder
    keys: Keys
    history: History
    clock: Clock
    keep: timedelta
    _under_way: set[tuple[str, str]] = field(default_factory=set)

    async def __call__(
        self, key: str, customer_id: CustomerId, items: Sequence[Item], currency: str, token: PaymentToken
    ) -> Placed:
        """Raises KeyInProgress, KeyReused, and what PlaceOrder raises."""
        key = of_its_owner(key)
        once = Once(key, fingerprint(key, customer_id, items, currency, token), self.clock.now() + self.keep)
        with self._alone(key):
            used = await self.keys.find(key)
            if used is None:
                try:
                    return Placed(await self.place(customer_id, items, currency, token, once=once), replayed=False)
                except KeyTaken:  # by another replica, between the look and the transaction
                    used = await self.keys.find(key)
            return await self._again(used, once)

    async def _again(self, used: Used | None, once: Once) -> Placed:
        if used is None:
            raise KeyInProgress  # taken a moment ago and forgotten by now: only its sender can say what is meant
        if used.fingerprint != once.fingerprint:
            raise KeyReused
        return Placed(await self.history.at(used.order_id, 1), replayed=True)

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        mine = (current().tenant, key)
        if mine in self._under_way:
            raise KeyInProgress
        self._under_way.add(mine)
        try:
            yield
        finally:
            self._under_way.discard(mine)


def of_its_owner(key: str) -> str:
    """`key` as it is remembered: two callers of one tenant who choose the same key have not met. An API key is a caller
    of its own, whomever it says to speak for: who makes one chooses that name. The space keeps ours out of reach of
    whoever sends a key as it is, for there it cannot stand."""
    principal = current().principal
    if principal is None or not principal.named:
        return key
    owner = [principal.subject] if principal.key_id is None else [principal.key_id, principal.subject]
    return hashlib.sha256(json.dumps([*owner, key]).encode()).hexdigest() + " of its owner"


def fingerprint(key: str, customer_id: CustomerId, items: Sequence[Item], currency: str, token: PaymentToken) -> str:
    """What is asked for, as 64 hexadecimal digits: SHA-256 over what was understood, not over how it was spelled.

    The payment token is in it and cannot be read from it: a provider's token is long and random. Tenant and key go in
    as salt, so that neither two equal requests nor a table made beforehand tell anything. No secret of ours does: who
    can read this table can read `settlements`, where a token stands in the clear until it is settled.
    """
    lines = [[item.sku, item.quantity, item.unit_price] for item in items]
    asked = ["order/1", current().tenant, key, customer_id.value, currency, lines, token.secret]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
