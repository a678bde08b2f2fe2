"""Look-ups in turns: one source's wait is not everybody's, and our own lateness is nobody else's silence."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cortex_core.kernel import CortexError, Principal
from cortex_core.security import AuthenticationUnavailable, Authenticator, InvalidCredential, Memo
from cortex_core.security.api_keys import KeysUnavailable
from cortex_core.security.redis import MAX_WAITING, RedisApiKeys
from cortex_core.security.turns import TooLate, Turns, in_time
from cortex_core.testing import FakeClock
from cortex_core.testing.contracts.apikeys import a_key


@asynccontextmanager
async def answering(after: float | asyncio.Event) -> AsyncIterator[str]:
    """A Redis that knows nothing, and takes `after` seconds to say so, or until it may. Yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"HGETALL") and await reader.readline():
                await reader.readline()  # the length of the name
                await reader.readline()
                await (after.wait() if isinstance(after, asyncio.Event) else asyncio.sleep(after))
                writer.write(b"*0\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_a_long_queue_for_our_own_connections_is_no_outage() -> None:
    async with answering(0.01) as url:
        keys = RedisApiKeys(url, connections=1, timeout=0.2, queueing=30)
        found = await asyncio.gather(*(keys.find(a_key().id) for _ in range(50)))
        await keys.aclose()

    assert found == [None] * 50


async def test_who_waits_for_a_connection_in_vain_is_told_so_and_nobody_else() -> None:
    may_answer = asyncio.Event()
    async with answering(may_answer) as url:
        keys = RedisApiKeys(url, connections=1, timeout=60, queueing=0.01)
        first, *others = (asyncio.create_task(keys.find(a_key().id)) for _ in range(3))
        refused = await asyncio.gather(*others, return_exceptions=True)
        may_answer.set()
        found = await first
        after = await keys.find(a_key().id)
        await keys.aclose()

    assert found is None and after is None
    assert all(isinstance(each, KeysUnavailable) and "too many" in each.message for each in refused)


async def test_no_more_than_a_thousand_wait() -> None:
    async with answering(0.0) as url:
        keys = RedisApiKeys(url, connections=1, timeout=5, queueing=30)
        many = (keys.find(a_key().id) for _ in range(MAX_WAITING + 11))
        found = await asyncio.gather(*many, return_exceptions=True)
        await keys.aclose()

    assert sum(isinstance(each, KeysUnavailable) for each in found) == 10, "one has the connection, the others wait"


async def test_a_loop_that_is_late_is_not_taken_for_a_redis_that_is_silent() -> None:
    async with answering(0.0) as url:
        keys = RedisApiKeys(url, timeout=0.05)
        await keys.find(a_key().id)
        asking = asyncio.create_task(keys.find(a_key().id))
        await asyncio.sleep(0)
        time.sleep(0.09)  # noqa: ASYNC251 - the loop, held up

        assert await asking is None
        await keys.aclose()


async def test_nothing_waits_for_ever_in_a_loop_that_is_always_late() -> None:
    with pytest.raises(TooLate) as caught:
        async with in_time(0.001):
            while True:
                time.sleep(0.03)  # noqa: ASYNC251 - the loop, held up
                await asyncio.sleep(0)

    assert caught.value.ours


async def test_a_timeout_of_what_is_inside_is_its_own() -> None:
    with pytest.raises(TimeoutError, match="mine") as caught:
        async with in_time(5):
            raise TimeoutError("mine")

    assert not isinstance(caught.value, TooLate)


async def test_a_source_has_a_few_places_and_leaves_nothing_behind() -> None:
    turns, go, most = Turns(2), asyncio.Event(), {"a": 0, "b": 0}

    async def ask(source: str) -> None:
        async with turns.of(source):
            most[source] += 1
            await go.wait()

    asking = [asyncio.create_task(ask(source)) for source in ("a", "a", "a", "b")]
    await asyncio.sleep(0)
    assert most == {"a": 2, "b": 1}
    asking[2].cancel()
    go.set()
    await asyncio.gather(*asking, return_exceptions=True)

    assert (most, len(turns)) == ({"a": 2, "b": 1}, 0)


class Slow:
    """A `KeyChecker` that answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.error: CortexError | None = None

    async def check(self, secret: str) -> Principal:
        self.asked.append(secret)
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Principal("kim", method="api-key", key_id=secret)


def showing(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", secret.encode())]


@pytest.fixture
def keys() -> Slow:
    return Slow()


@pytest.fixture
def authenticator(keys: Slow) -> Authenticator:
    return Authenticator(Memo(FakeClock()), keys=keys)


async def test_a_flood_of_one_address_leaves_room_for_another(authenticator: Authenticator, keys: Slow) -> None:
    flood = [asyncio.create_task(authenticator.authenticate(showing(f"ck_{n}"), "client:a")) for n in range(50)]
    good = asyncio.create_task(authenticator.authenticate(showing("ck_good"), "client:b"))
    await asyncio.sleep(0.001)

    assert keys.asked == ["ck_0", "ck_1", "ck_2", "ck_3", "ck_good"]
    keys.go.set()
    assert (await good).key_id == "ck_good"
    assert len(await asyncio.gather(*flood)) == 50


async def test_a_key_that_many_show_at_once_is_looked_up_once(authenticator: Authenticator, keys: Slow) -> None:
    many = [asyncio.create_task(authenticator.authenticate(showing("ck_1"), f"client:{n}")) for n in range(50)]
    await asyncio.sleep(0.001)
    many[0].cancel()  # who asked first need not wait for it
    keys.go.set()
    found = await asyncio.gather(*many, return_exceptions=True)

    assert keys.asked == ["ck_1"]
    assert isinstance(found[0], asyncio.CancelledError)
    assert len({id(each) for each in found[1:]}) == 1


@pytest.mark.parametrize("error", [InvalidCredential("unknown", "no"), AuthenticationUnavailable()])
async def test_all_of_them_are_told_what_went_wrong(
    authenticator: Authenticator, keys: Slow, error: CortexError
) -> None:
    keys.error = error
    many = [asyncio.create_task(authenticator.authenticate(showing("ck_1"))) for _ in range(5)]
    await asyncio.sleep(0.001)
    keys.go.set()

    assert await asyncio.gather(*many, return_exceptions=True) == [error] * 5
    assert keys.asked == ["ck_1"]


async def test_who_asks_after_a_key_has_ended_does_not_get_an_answer_from_before(
    authenticator: Authenticator, keys: Slow
) -> None:
    before = asyncio.create_task(authenticator.authenticate(showing("ck_1")))
    await asyncio.sleep(0.001)
    authenticator.memo.forget("1")
    after = asyncio.create_task(authenticator.authenticate(showing("ck_1")))
    await asyncio.sleep(0.001)
    keys.go.set()
    await asyncio.gather(before, after)

    assert keys.asked == ["ck_1", "ck_1"]
