"""Connections: bounded, by tenant, and nobody waits for anybody."""

import asyncio
from contextlib import ExitStack

import pytest

from cortex_core.kernel import Kind
from cortex_core.realtime import (
    Closing,
    ConnectionDetails,
    Connections,
    ConnectionsClosed,
    TooManyConnections,
    TooManyOfOne,
)

GOING_AWAY = Closing(1001, "going away")


class Heard:
    """The hook's fake: a list of what happened."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ConnectionDetails]] = []

    def opened(self, details: ConnectionDetails) -> None:
        self.events.append(("opened", details))

    def ended(self, details: ConnectionDetails) -> None:
        self.events.append(("ended", details))


async def test_frames_come_in_order_and_are_the_same_object_for_all() -> None:
    connections = Connections(limit=2, queue=8)
    first, second = "".join(["fi", "rst"]), "second"

    with connections.open("public") as one, connections.open("public") as other:
        assert connections.send("public", first) == 2
        connections.send("public", second)

        taken = [await one.take(), await one.take()]
        assert taken == [first, second]
        assert await other.take() is taken[0]


async def test_a_tenant_hears_only_its_own() -> None:
    connections = Connections(limit=2, queue=8)

    with connections.open("acme") as acme, connections.open("umbrella") as umbrella:
        assert connections.send("acme", "for acme") == 1
        assert (acme.waiting, umbrella.waiting) == (1, 0)
        assert connections.send("nobody", "lost") == 0


async def test_who_takes_nothing_is_closed_at_the_first_frame_too_many_and_nobody_else_is() -> None:
    connections = Connections(limit=2, queue=3)

    with connections.open("public") as slow, connections.open("public") as fast:
        taken = []
        for number in range(5):
            connections.send("public", str(number))
            taken.append(await fast.take())

        assert slow.closing is not None
        assert slow.closing.code == 1013
        assert slow.waiting == 0  # memory is given back with the decision, not when the transport gets round to it
        assert await slow.take() is None
        assert fast.closing is None
        assert taken == ["0", "1", "2", "3", "4"]


async def test_exactly_the_queues_length_may_wait() -> None:
    connections = Connections(limit=1, queue=3)

    with connections.open("public") as connection:
        assert [connection.offer("frame") for _ in range(3)] == [True] * 3
        assert connection.closing is None
        assert connection.offer("one too many") is False
        assert connection.closing is not None


async def test_taking_waits_for_the_next_frame() -> None:
    connections = Connections(limit=1, queue=3)

    with connections.open("public") as connection:
        taking = asyncio.create_task(connection.take())
        await asyncio.sleep(0)
        assert not taking.done()

        connections.send("public", "frame")

        assert await asyncio.wait_for(taking, 30) == "frame"


async def test_closing_wakes_who_takes_and_who_watches() -> None:
    connections = Connections(limit=1, queue=3)

    with connections.open("public") as connection:
        taking, watching = asyncio.create_task(connection.take()), asyncio.create_task(connection.closed())
        await asyncio.sleep(0)

        connections.close(GOING_AWAY)

        assert await asyncio.wait_for(taking, 30) is None
        await asyncio.wait_for(watching, 30)
        assert connection.closing == GOING_AWAY


async def test_the_first_to_close_decides_how() -> None:
    connections = Connections(limit=1, queue=1)

    with connections.open("public") as connection:
        connection.close(Closing(1008, "said too much"))
        connections.close(GOING_AWAY)

        assert connection.closing == Closing(1008, "said too much")


async def test_at_most_as_many_as_agreed_and_a_place_is_given_back() -> None:
    connections = Connections(limit=1, queue=1)

    with connections.open("public"), pytest.raises(TooManyConnections), connections.open("acme"):
        pass

    assert len(connections) == 0
    with connections.open("acme"):
        assert len(connections) == 1


async def test_a_place_is_given_back_after_an_error_too() -> None:
    connections = Connections(limit=1, queue=1)

    with pytest.raises(ConnectionResetError), connections.open("public"):
        raise ConnectionResetError

    assert len(connections) == 0
    assert connections.send("public", "frame") == 0


async def test_nobody_comes_in_after_the_close() -> None:
    connections = Connections(limit=1, queue=1)
    connections.close(GOING_AWAY)

    with pytest.raises(ConnectionsClosed), connections.open("public"):
        pass


async def test_the_hook_hears_how_each_began_and_ended() -> None:
    heard = Heard()
    connections = Connections(limit=2, queue=1, hooks=heard)

    with connections.open("acme") as acme, connections.open("public") as public:
        acme.close(GOING_AWAY)

    assert heard.events == [
        ("opened", ConnectionDetails(acme.id, "acme", 1)),
        ("opened", ConnectionDetails(public.id, "public", 2)),
        ("ended", ConnectionDetails(public.id, "public", 1)),
        ("ended", ConnectionDetails(acme.id, "acme", 0, GOING_AWAY)),
    ]


def test_a_reason_longer_than_a_close_frame_holds_is_refused() -> None:
    assert Closing(1001, "é" * 61 + "x").code == 1001
    with pytest.raises(ValueError, match="123 bytes"):
        Closing(1001, "é" * 62)


@pytest.mark.parametrize(("limit", "queue"), [(0, 1), (1, 0)])
def test_a_bound_of_nothing_is_refused(limit: int, queue: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Connections(limit=limit, queue=queue)


async def test_one_caller_and_one_tenant_have_bounds_of_their_own() -> None:
    connections = Connections(limit=5, queue=1, per_tenant=3, per_caller=2)

    with ExitStack() as stack:
        for caller in ("kim", "kim", "lee"):
            stack.enter_context(connections.open("acme", caller))
        for tenant, caller, code in (
            ("acme", "kim", "connection.too-many"),
            ("acme", "max", "connection.too-many"),
            ("umbrella", "kim", "connection.too-many"),
        ):
            with pytest.raises(TooManyOfOne) as refused, connections.open(tenant, caller):
                pass
            assert (refused.value.code, refused.value.kind) == (code, Kind.RATE_LIMITED)
        for caller in ("max", "moe"):
            stack.enter_context(connections.open("umbrella", caller))
        with pytest.raises(TooManyConnections), connections.open("umbrella", "amy"):
            pass

    assert connections._callers == {}
    with connections.open("acme", "kim"), connections.open("acme", "kim"), connections.open("acme"):
        assert len(connections) == 3


@pytest.mark.parametrize("bound", ["per_tenant", "per_caller"])
def test_a_bound_of_nobody_is_none(bound: str) -> None:
    with pytest.raises(ValueError, match=bound):
        Connections(limit=1, queue=1, **{bound: 0})
