"""What most answers take is written out twice, for its cost: a known head with all of its body in one piece leaves a
connection, an exchange, a replica and the places as the long way does."""

from typing import Any

import pytest

from cortex_gateway.adapters.pool import connection
from cortex_gateway.adapters.pool.exchange import PooledExchange

from .carrier_server import Hearing, carry, departure
from .pool_front import Front, counting, in_front_of

STATUSES = [200, 404, 500, 503]


def state(of: object, names: list[str]) -> dict[str, Any]:
    return {name: getattr(of, name) for name in names}


async def after(front: Front, before: str, *, retry: bool) -> list[Any]:
    """Everything that there is after one more answer, but times and what nobody reads until it is set
    anew."""
    order = front.order
    replica = order.replicas.all[0]
    if before == "failed":
        replica.failures = 2
    elif before == "probed":
        replica.failures, replica.ejections = 5, 1
    hearing = Hearing()
    exchange = front.pool.begin(departure(retry=retry), b"", hearing)
    assert isinstance(exchange, PooledExchange)
    if before == "probed":
        replica.probed = True
    await hearing.over.wait()
    (kept,) = replica.connections
    slots = [name for name in type(kept).__slots__ if name not in {"transport", "replica", "_loop", "_timer", "_left"}]
    its = state(kept, [name for name in slots if name not in {"_due", "_armed"}])
    fields = [name for name in dir(exchange) if isinstance(getattr(exchange, name), bool | int | None)]
    permit = exchange._permit
    return [
        hearing.heard,
        hearing.head,
        hearing.body,
        its,
        kept._due - front.order.loop.time() == pytest.approx(connection.KEEP_ALIVE, abs=1.0),
        {name: value for name, value in state(exchange, fields).items() if name not in {"_permit", "_began", "_avoid"}},
        permit is None or permit._ended is None,
        state(replica, ["outstanding", "failures", "unable", "ejections", "probed", "hung", "gone"]),
        replica.idle == [kept],
        order.bulkhead.in_use,
        len(order.slow),
    ]


@pytest.mark.parametrize("retry", [True, False])
@pytest.mark.parametrize("before", ["well", "failed", "probed"])
@pytest.mark.parametrize("status", STATUSES)
async def test_both_leave_the_same(status: int, before: str, retry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status
    taken: list[bool] = []
    short = connection.Connection._arrived

    def counted(self: connection.Connection, *given: Any) -> None:
        taken.append(True)
        short(self, *given)

    monkeypatch.setattr(connection.Connection, "_arrived", counted)
    found = []
    for longest in (connection.LONGEST_KNOWN, 0):
        monkeypatch.setattr(connection, "LONGEST_KNOWN", longest)
        taken.clear()
        async with in_front_of(counting(answer, [], 0)) as front:
            await carry(front.pool)
            found.append(await after(front, before, retry=retry))
        assert taken == ([True] if longest else [])

    assert found[0] == found[1]
