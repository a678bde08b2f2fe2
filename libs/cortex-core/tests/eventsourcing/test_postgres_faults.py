"""What the server's trouble means to a caller: unavailable, and what for; never what a row or a password was."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cortex_core.eventsourcing import EventStoreUnavailable, Message, NewEvent, StaleVersion
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store, upgrade
from cortex_core.testing import PostgresServer, eventually, free_port


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(postgres_url) as store:
        yield store


def ticked() -> NewEvent:
    return NewEvent("ticked", {})


async def backend(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())


async def answers(store: SqlEventStore) -> bool:
    try:
        await store.check()
    except EventStoreUnavailable:
        return False
    return True


async def takes_more(store: SqlEventStore) -> bool:
    try:
        await store.append("a", [ticked()], expected_version=len(await store.read("a")))
    except (EventStoreUnavailable, StaleVersion):
        return False
    return True


async def has_two_connections(store: SqlEventStore) -> bool:
    try:
        async with store.reading() as one, store.reading() as two:
            return await backend(one) != await backend(two)
    except EventStoreUnavailable:
        return False


async def opening(url: str) -> EventStoreUnavailable:
    with pytest.raises(EventStoreUnavailable) as caught:
        async with open_event_store(url, busy_timeout=1):
            pass
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary" not in shown and url.split(":")[2].partition("@")[0] not in shown
    return caught.value


async def test_where_nobody_listens_nothing_was_attempted() -> None:
    error = await opening(f"postgresql+asyncpg://u:canary-77@127.0.0.1:{free_port()}/orders")

    assert (error.retryable, error.attempted) == (True, False)
    assert error.code == "event-store.unavailable"


async def test_a_host_that_is_none_is_unavailable() -> None:
    assert (await opening("postgresql+asyncpg://u:canary-77@no.such.host.invalid/orders")).attempted is False


async def test_a_wrong_password_does_not_get_right_by_trying_again(postgres_url: str) -> None:
    head, _, tail = postgres_url.partition("@")

    error = await opening(f"{head}canary@{tail}")

    assert (error.retryable, error.attempted) == (False, False)
    assert "does not let us in" in error.message


async def test_neither_does_a_database_that_is_not_there(postgres_url: str) -> None:
    error = await opening(f"{postgres_url}_of_somebody_else")

    assert (error.retryable, error.attempted) == (False, False)
    assert "no such database" in error.message


async def test_too_many_connections_are_fewer_later(postgres_server: PostgresServer, postgres_url: str) -> None:
    await upgrade(postgres_url)
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute("CREATE ROLE alone LOGIN PASSWORD 'canary' CONNECTION LIMIT 1")
    postgres_server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO alone", name)
    url = f"postgresql+asyncpg://alone:canary@127.0.0.1:{postgres_server.port}/{name}"
    try:
        async with open_event_store(url, migrate=False) as store:
            with pytest.raises(EventStoreUnavailable, match="too many connections") as caught:
                await store.append("a", [ticked()], expected_version=0)

        assert (caught.value.retryable, caught.value.attempted) == (True, False)
    finally:
        postgres_server.execute("DROP OWNED BY alone; DROP ROLE alone", name)


async def test_a_role_without_a_right_is_told_so(
    store: SqlEventStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute("CREATE ROLE guest LOGIN PASSWORD 'canary'; GRANT SELECT ON alembic_version TO guest", name)
    try:
        url = f"postgresql+asyncpg://guest:canary@127.0.0.1:{postgres_server.port}/{name}"
        async with open_event_store(url, migrate=False) as guest:
            with pytest.raises(EventStoreUnavailable, match="may not do that") as caught:
                await guest.read("a")
        assert not caught.value.retryable
    finally:
        postgres_server.execute("DROP OWNED BY guest; DROP ROLE guest", name)


async def test_a_restart_is_not_noticed_by_who_comes_after_it(
    store: SqlEventStore, postgres_server: PostgresServer
) -> None:
    await store.append("a", [ticked()], expected_version=0)
    for kill in (False, True):
        await asyncio.to_thread(postgres_server.stop, kill=kill)
        await asyncio.to_thread(postgres_server.start)

        await store.check()
        assert len(await store.read("a")) == 1
    assert await store.append("a", [ticked()], expected_version=1) == 2


async def test_while_it_is_away_it_is_unavailable_and_then_it_is_not(
    store: SqlEventStore, postgres_server: PostgresServer
) -> None:
    await store.append("a", [ticked()], expected_version=0)
    postgres_server.stop()

    for _ in range(2):
        for asking in (store.check, lambda: store.read("a"), lambda: store.append("a", [ticked()], expected_version=1)):
            with pytest.raises(EventStoreUnavailable) as caught:
                await asking()
            assert caught.value.retryable
    postgres_server.start()

    assert await store.append("a", [ticked()], expected_version=1) == 2


async def test_a_server_that_dies_in_the_middle_takes_the_append_with_it(
    store: SqlEventStore, postgres_server: PostgresServer
) -> None:
    async def also(connection: AsyncConnection) -> None:
        await backend(connection)
        postgres_server.stop(kill=True)

    with pytest.raises(EventStoreUnavailable) as caught:
        await store.append("a", [ticked()], expected_version=0, messages=[Message("m", "t", "s", b"")], also=also)
    postgres_server.start()

    assert caught.value.retryable
    assert await store.read("a") == []
    assert await store.outbox.count_pending() == 0
    assert await store.append("a", [ticked()], expected_version=0) == 1


async def test_a_connection_that_is_taken_away_is_replaced(
    store: SqlEventStore, postgres_server: PostgresServer
) -> None:
    with pytest.raises(EventStoreUnavailable) as caught:
        async with store.transaction() as connection:
            postgres_server.execute(f"SELECT pg_terminate_backend({await backend(connection)})")
            await connection.execute(text("SELECT 1"))

    assert caught.value.retryable
    assert await store.append("a", [ticked()], expected_version=0) == 1


async def test_a_server_that_has_stopped_answering_is_not_waited_for(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    """Its system takes what is sent, and nothing comes back: neither to those who are connected nor to new ones."""
    async with open_event_store(postgres_url, busy_timeout=0.1) as store:
        await eventually(lambda: takes_more(store))
        await eventually(lambda: answers(store))
        postgres_server.pause()
        try:
            outcomes = await asyncio.wait_for(
                asyncio.gather(
                    store.check(),
                    store.read("a"),
                    *(store.append(f"s{n}", [ticked()], expected_version=0) for n in range(6)),
                    return_exceptions=True,
                ),
                60,
            )
        finally:
            postgres_server.resume()

        assert {type(each) for each in outcomes} == {EventStoreUnavailable}
        await eventually(lambda: answers(store))
        await eventually(lambda: takes_more(store))


async def test_one_connection_without_an_answer_is_enough_to_give_up_the_others(
    postgres_server: PostgresServer, postgres_url: str, only_limit: Callable[..., None]
) -> None:
    only_limit(None, answers_within=1.0)
    async with open_event_store(postgres_url, busy_timeout=0.1) as store:
        await eventually(lambda: has_two_connections(store))
        postgres_server.pause()
        try:
            with pytest.raises(EventStoreUnavailable, match="does not answer") as first:
                await store.read("a")
            with pytest.raises(EventStoreUnavailable, match="cannot be reached") as second:
                await store.read("a")
        finally:
            postgres_server.resume()

    assert (first.value.attempted, second.value.attempted) == (True, False)


async def test_a_lock_that_is_held_for_too_long_is_unavailable(
    postgres_url: str, store: SqlEventStore, only_limit: Callable[..., None]
) -> None:
    only_limit("lock_timeout")
    async with open_event_store(postgres_url, busy_timeout=0.1) as hurried, store.transaction() as holder:
        await holder.execute(text("LOCK TABLE events"))

        with pytest.raises(EventStoreUnavailable, match="55P03") as caught:
            async with hurried.transaction() as waiter:
                await waiter.execute(text("LOCK TABLE events"))

    assert caught.value.retryable


async def test_a_statement_that_takes_too_long_is_unavailable(
    postgres_url: str, only_limit: Callable[..., None]
) -> None:
    only_limit("statement_timeout")
    async with open_event_store(postgres_url, busy_timeout=0.1) as store:
        with pytest.raises(EventStoreUnavailable, match="57014"):
            async with store.transaction() as connection:
                await connection.execute(text("SELECT pg_sleep(60)"))

        await eventually(lambda: answers(store))


async def test_a_transaction_that_was_forgotten_is_ended_by_the_server(
    postgres_url: str, postgres_server: PostgresServer, only_limit: Callable[..., None]
) -> None:
    """Its process may have been stopped with it open: others must not wait for its locks and its positions."""
    only_limit("idle_in_transaction_session_timeout")
    async with open_event_store(postgres_url, busy_timeout=0.1) as store:
        with pytest.raises(EventStoreUnavailable):
            async with store.transaction() as connection:
                pid = await backend(connection)
                gone = f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}"
                await eventually(lambda: postgres_server.execute(gone) == [])
                await connection.execute(text("SELECT 1"))

        await eventually(lambda: takes_more(store))

    async with open_event_store(postgres_url) as another:
        assert await another.append("b", [ticked()], expected_version=0) == 1


async def test_the_connections_of_an_old_primary_are_given_up(store: SqlEventStore) -> None:
    """After a fail-over it lives on as a standby: what it refuses, the next connection brings to the new one."""
    async with store.transaction() as connection:
        await connection.execute(text("SET default_transaction_read_only = on"))
        demoted = await backend(connection)

    with pytest.raises(EventStoreUnavailable, match="25006") as caught:
        await store.append("a", [ticked()], expected_version=0)

    assert caught.value.retryable
    assert await store.append("a", [ticked()], expected_version=0) == 1
    async with store.transaction() as connection:
        assert await backend(connection) != demoted
