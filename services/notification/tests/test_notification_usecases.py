"""Conversations on fakes: what a client says and what becomes of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from cortex_contracts import OrderStateChanged
from cortex_core.kernel import Delivered
from cortex_core.realtime import Connection, Connections, TooManyConnections
from cortex_core.testing import FakeClock
from cortex_notification.domain import OriginRefused
from cortex_notification.usecases import Broadcast, Connect, Conversation, Manners, Recent

MANNERS = Manners(frozenset(), message_limit=64, message_burst=3, message_rate=1.0, patience=1.0)


@dataclass
class FakeAudience:
    """Remembers what was sent to whom."""

    sent: list[tuple[str, str]] = field(default_factory=list)

    def send(self, tenant: str, frame: str) -> int:
        self.sent.append((tenant, frame))
        return 1


@dataclass
class Talk:
    """A conversation, and the answers that wait in its line."""

    conversation: Conversation
    clock: FakeClock

    @property
    def line(self) -> Connection:
        return self.conversation.line

    async def answers(self) -> list[dict[str, Any]]:
        return [orjson.loads(await self.line.take() or "null") for _ in range(self.line.waiting)]

    @property
    def close_code(self) -> int | None:
        return None if self.line.closing is None else self.line.closing.code


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextmanager
def connected(clock: FakeClock) -> Iterator[Talk]:
    connect = Connect(Connections(limit=1, queue=16), clock, MANNERS)
    with connect("public", None, frozenset()) as conversation:
        yield Talk(conversation, clock)


@pytest.fixture
async def talk(clock: FakeClock) -> Any:
    with connected(clock) as begun:
        await begun.answers()  # the welcome
        yield begun


async def test_an_event_goes_to_its_tenant_with_its_own_id_and_time(clock: FakeClock) -> None:
    audience = FakeAudience()
    data = OrderStateChanged(order_id="ord_1", state="processing", previous="pending")

    await Broadcast(audience, Recent(10))(
        Delivered("evt_1", "order.state.changed", clock.now(), "acme", "ord_1", 2, data)
    )

    [(tenant, frame)] = audience.sent
    assert tenant == "acme"
    assert orjson.loads(frame) == {
        "type": "order.state.changed",
        "id": "evt_1",
        "time": "2026-11-23T12:00:00.000000Z",
        "data": {"orderId": "ord_1", "state": "processing", "previous": "pending"},
    }


async def test_an_event_that_comes_again_is_no_news(clock: FakeClock) -> None:
    """The bus was wiped, and the publisher has told it everything again."""
    audience = FakeAudience()
    broadcast = Broadcast(audience, Recent(3))

    async def hear(*numbers: int) -> list[str]:
        audience.sent.clear()
        for number in numbers:
            data = OrderStateChanged(order_id="ord_1", state="processing", previous="pending")
            event = Delivered(f"{number}", "order.state.changed", clock.now(), "acme", "ord_1", 2, data)
            await broadcast(event)
        return [orjson.loads(frame)["id"] for _, frame in audience.sent]

    assert await hear(1, 2, 1, 3) == ["1", "2", "3"]
    assert await hear(3, 2, 1) == []
    assert await hear(4, 2, 1) == ["4", "1"], "what it remembers is bounded: the oldest is forgotten"


async def test_the_first_frame_is_the_welcome(clock: FakeClock) -> None:
    with connected(clock) as talk:
        assert await talk.answers() == [
            {"type": "welcome", "clientId": talk.line.id, "timestamp": "2026-11-23T12:00:00.000000Z"}
        ]


async def test_mistakes_are_told_and_forgiven(talk: Talk) -> None:
    for message in ("{", '{"type":"dance"}', '{"type":"ping"}'):
        talk.conversation.hear(message)

    told = await talk.answers()
    assert [(frame["type"], frame.get("code")) for frame in told] == [
        ("error", "message.malformed"),
        ("error", "message.unknown-type"),
        ("pong", None),
    ]
    assert talk.close_code is None


async def test_who_says_too_much_at_once_is_cut(talk: Talk) -> None:
    for _ in range(3):
        talk.conversation.hear('{"type":"ping"}')
    assert talk.close_code is None

    talk.conversation.hear('{"type":"ping"}')

    assert talk.close_code == 1008


async def test_a_steady_pace_is_fine(talk: Talk) -> None:
    for _ in range(20):
        talk.conversation.hear('{"type":"ping"}')
        await talk.clock.advance(1.0)
        assert await talk.answers() == [{"type": "pong"}]

    assert talk.close_code is None


@pytest.mark.parametrize("message", ["x" * 65, "ü" * 33])
async def test_a_message_over_the_limit_of_bytes_ends_it(talk: Talk, message: str) -> None:
    talk.conversation.hear(message)

    assert talk.close_code == 1009


@pytest.mark.parametrize("message", ["x" * 64, "ü" * 32])
async def test_a_message_of_exactly_the_limit_is_heard(talk: Talk, message: str) -> None:
    talk.conversation.hear(message)

    assert talk.close_code is None
    assert (await talk.answers())[0]["code"] == "message.malformed"


async def test_binary_ends_it(talk: Talk) -> None:
    talk.conversation.hear(b'{"type":"ping"}')

    assert talk.close_code == 1003


def test_a_page_from_elsewhere_takes_no_place(clock: FakeClock) -> None:
    connections = Connections(limit=1, queue=1)
    connect = Connect(connections, clock, MANNERS)

    with pytest.raises(OriginRefused), connect("public", "https://evil.example", frozenset({"hub.example"})):
        pass

    with connect("public", None, frozenset()):
        assert len(connections) == 1
        with pytest.raises(TooManyConnections), connect("public", None, frozenset()):
            pass
