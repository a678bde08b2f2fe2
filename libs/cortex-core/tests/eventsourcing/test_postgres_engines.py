"""What a session of PostgreSQL is asked for, and what URLs may say."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cortex_core.eventsourcing import DuplicateId, EventStoreUnavailable, Message, NewEvent
from cortex_core.eventsourcing.sql import SqlEventStore, open_event_store
from cortex_core.eventsourcing.sql.engines import open_engines
from cortex_core.testing import PostgresServer, eventually


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[SqlEventStore]:
    async with open_event_store(postgres_url) as store:
        yield store


@pytest.fixture
def default(postgres_server: PostgresServer, postgres_url: str) -> Iterator[object]:
    """Sets what the database's sessions begin with."""
    name = postgres_url.rpartition("/")[2]
    return lambda setting, value: postgres_server.execute(f"ALTER DATABASE {name} SET {setting} = {value}")  # type: ignore[return-value]


async def _connect(engine: AsyncEngine) -> None:
    async with engine.connect():
        pass


def sessions(server: PostgresServer, url: str) -> list[object]:
    """Of the URL's database, as the server counts them."""
    name = url.rpartition("/")[2]
    return [*server.execute(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")]


async def shown(connection: AsyncConnection, setting: str) -> str:
    return str((await connection.execute(text(f"SHOW {setting}"))).scalar_one())


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "postgresql", "postgres"])
async def test_a_url_may_name_the_database_as_others_do(postgres_url: str, scheme: str) -> None:
    async with open_event_store(postgres_url.replace("postgresql+asyncpg", scheme)) as store:
        assert await store.append("a", [NewEvent("ticked", {})], expected_version=0) == 1


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:canary@h/d", "mysql://u:canary@h/d", "canary", "", "a://b:c/d"]
)
async def test_any_other_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"database|speaks") as caught:
        async with open_engines(url):
            pass

    assert "canary" not in f"{caught.value} {caught.value.__cause__}"


@given(
    st.text(max_size=60), st.sampled_from(["", "postgresql+asyncpg://", "postgres://u:canary@", "postgresql://h/d?"])
)
@settings(max_examples=300, deadline=None)
async def test_whatever_a_url_says_it_is_one_or_it_is_refused(rest: str, beginning: str) -> None:
    if rest.startswith("sqlite"):
        return
    try:
        async with open_engines(beginning + rest) as opened:
            assert opened.writer.dialect.name == "postgresql"
    except ValueError as error:
        assert "canary" not in f"{error} {error.__cause__}" or "canary" in rest


async def test_what_the_driver_does_not_understand_is_a_wrong_url(postgres_url: str) -> None:
    for wrong in ("sslmode=canary", "prepared_statement_cache_size=many", "target_session_attrs=nowhere"):
        with pytest.raises(ValueError, match=r"URL|whole number") as caught:
            async with open_event_store(f"{postgres_url}?{wrong}"):
                pass
        assert postgres_url.split(":")[2].partition("@")[0] not in str(caught.value)


@pytest.mark.parametrize("said", ["keepalives=1", "channel_binding=prefer", "gssencmode=disable", "aplication_name=x"])
async def test_what_the_server_does_not_understand_is_a_wrong_url_too(postgres_url: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"URL.*{said.partition('=')[0]}"):
        async with open_event_store(f"{postgres_url}?{said}"):
            pass


async def test_a_setting_that_the_server_knows_may_have_no_value_it_does_not(postgres_url: str) -> None:
    with pytest.raises(ValueError, match=r"URL.*geqo"):
        async with open_event_store(f"{postgres_url}?geqo=perhaps"):
            pass


async def test_a_connection_may_take_as_long_as_the_url_says() -> None:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/d?connect_timeout=1"
        async with open_engines(url, busy_timeout=120) as opened:
            with pytest.raises(EventStoreUnavailable, match="TimeoutError"):
                await asyncio.wait_for(_connect(opened.writer), 30)  # two minutes, were it not said


@pytest.mark.parametrize("wrong", ["0", "-1", "soon", "1.5"])
async def test_a_connection_never_takes_for_ever(wrong: str) -> None:
    with pytest.raises(ValueError, match="connect_timeout"):
        async with open_engines(f"postgresql://u:p@127.0.0.1/d?connect_timeout={wrong}"):
            pass


@pytest.mark.parametrize("wanted", ["read-write", "primary", "any", "prefer-standby"])
async def test_a_url_may_say_which_of_several_servers_is_meant(postgres_url: str, wanted: str) -> None:
    async with open_event_store(f"{postgres_url}?target_session_attrs={wanted}") as store:
        await store.append("a", [NewEvent("ticked", {})], expected_version=0)
        assert len(await store.read_all()) == 1


@pytest.mark.parametrize("wanted", ["read-only", "standby"])
async def test_while_there_is_no_such_server_it_is_waited_for(postgres_url: str, wanted: str) -> None:
    """As during a fail-over, when none is the primary."""
    with pytest.raises(EventStoreUnavailable, match="cannot be reached") as caught:
        async with open_event_store(f"{postgres_url}?target_session_attrs={wanted}"):
            pass

    assert (caught.value.retryable, caught.value.attempted) == (True, False)


async def test_without_its_driver_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)

    with pytest.raises(ValueError, match=r"cortex-core\[postgres\]"):
        async with open_event_store(postgres_url):
            pass


async def test_no_engine_knows_the_password(postgres_url: str) -> None:
    password = postgres_url.split(":")[2].partition("@")[0]

    async with open_engines(postgres_url) as opened:
        for engine in (opened.writer, opened.reader, opened.single, opened.migrator):
            assert password not in f"{engine!r} {engine.url!r} {engine.url.render_as_string(hide_password=False)}"


async def test_a_writer_waits_for_nothing_without_an_end(postgres_url: str) -> None:
    async with open_event_store(postgres_url, busy_timeout=2) as store, store.transaction() as connection:
        assert await shown(connection, "lock_timeout") == "2s"
        assert await shown(connection, "statement_timeout") == "8s"
        assert await shown(connection, "idle_in_transaction_session_timeout") == "4s"
        assert await shown(connection, "transaction_isolation") == "read committed"
        assert await shown(connection, "transaction_read_only") == "off"


async def test_a_reader_sees_one_moment_and_cannot_write(store: SqlEventStore) -> None:
    async with store.reading() as connection:
        assert await shown(connection, "transaction_isolation") == "repeatable read"
        assert (await connection.execute(text("SELECT count(*) FROM events"))).scalar_one() == 0
        await store.append("a", [NewEvent("ticked", {})], expected_version=0)
        assert (await connection.execute(text("SELECT count(*) FROM events"))).scalar_one() == 0

    with pytest.raises(EventStoreUnavailable, match="read-only"):
        async with store.reading() as connection:
            assert await shown(connection, "default_transaction_read_only") == "off", "a pooler would hand it on"
            await connection.execute(text("DELETE FROM events"))
    assert len(await store.read("a")) == 1


@pytest.mark.parametrize(
    ("configured", "ours"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply"), ("on", "on")]
)
async def test_what_is_acknowledged_is_on_the_disk(
    postgres_url: str, default: object, configured: str, ours: str
) -> None:
    default("synchronous_commit", configured)  # type: ignore[operator]  # a function

    async with open_event_store(postgres_url) as store:
        for _ in range(2):
            async with store.transaction() as connection:
                assert await shown(connection, "synchronous_commit") == ours


async def test_a_session_says_whose_it_is(postgres_url: str) -> None:
    async with open_event_store(postgres_url) as store, store.transaction() as connection:
        assert await shown(connection, "application_name") == "cortex"
    async with open_event_store(f"{postgres_url}?application_name=order") as store, store.transaction() as connection:
        assert await shown(connection, "application_name") == "order"


async def test_statements_need_not_be_kept_for_a_pooler_between(postgres_url: str) -> None:
    async with open_event_store(f"{postgres_url}?prepared_statement_cache_size=0") as store:
        async with store.transaction() as connection:
            raw = await connection.get_raw_connection()
            assert raw.dbapi_connection is not None
            assert raw.dbapi_connection._prepared_statement_cache is None
        assert await store.append("a", [NewEvent("ticked", {})], expected_version=0) == 1


async def test_a_process_has_few_connections(
    store: SqlEventStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    await asyncio.gather(
        *(store.append(f"s{n}", [NewEvent("ticked", {})], expected_version=0) for n in range(30)),
        *(store.read("a") for _ in range(30)),
    )

    name = postgres_url.rpartition("/")[2]
    [(count,)] = postgres_server.execute(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
    assert 2 <= int(count or 0) <= 8


async def test_nothing_stays_connected_when_the_store_is_closed(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with open_event_store(postgres_url) as store:
        await store.append("a", [NewEvent("ticked", {})], expected_version=0)

    assert sessions(postgres_server, postgres_url) == []


@pytest.mark.parametrize("moment", ["execute", "set_type_codec"])  # ours, and SQLAlchemy's, before anybody has it
async def test_who_gives_up_while_a_connection_comes_about_leaves_none(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    reached = asyncio.Event()

    async def without_an_answer(*_: object, **__: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncpg.Connection, moment, without_an_answer)
    async with open_engines(postgres_url, busy_timeout=1) as opened:
        connecting = asyncio.create_task(_connect(opened.writer))
        await reached.wait()
        connecting.cancel()
        await asyncio.wait([connecting])
        assert connecting.cancelled()

    await eventually(lambda: sessions(postgres_server, postgres_url) == [])


async def test_a_connection_that_fails_before_anybody_has_it_is_closed_at_once(
    postgres_server: PostgresServer, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(asyncpg.Connection, "execute", broken)
    async with open_engines(postgres_url, busy_timeout=1) as opened:
        with pytest.raises(EventStoreUnavailable):
            await _connect(opened.writer)
        await eventually(lambda: sessions(postgres_server, postgres_url) == [])


async def test_a_migration_may_take_its_time(postgres_url: str) -> None:
    async with open_engines(postgres_url, busy_timeout=0.1) as opened, opened.migrator.begin() as connection:
        assert await shown(connection, "statement_timeout") == "0"
        assert await shown(connection, "lock_timeout") == "0"
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        assert raw._config.command_timeout is None


async def test_rights_on_the_tables_are_enough_to_serve(
    store: SqlEventStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute("CREATE ROLE serving LOGIN PASSWORD 'pw'")
    postgres_server.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO serving", name)
    postgres_server.execute("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO serving", name)
    url = f"postgresql+asyncpg://serving:pw@127.0.0.1:{postgres_server.port}/{name}"
    ticked = [NewEvent("ticked", {})]
    try:
        async with open_event_store(url, migrate=False) as serving:
            await serving.append("a", ticked, expected_version=0, messages=[Message("m", "t", "s", b"")])
            with pytest.raises(DuplicateId):
                await serving.append("b", [NewEvent("ticked", {}), *ticked], expected_version=0)
            await serving.append("b", [NewEvent("ticked", {})], expected_version=0)
            async with store.transaction() as other:  # a gap that is still open: the locks of another role are seen
                await other.execute(text("UPDATE events SET epoch = 0"))
                assert [each.stream for each in await serving.read_all()] == ["a"]
            await serving.outbox.mark_sent(["m"])
            async with serving.transaction() as transaction:
                assert await serving.inbox.once(transaction, "c", "evt_1")

            assert [each.stream for each in await serving.read_all()] == ["a", "b"]
    finally:
        postgres_server.execute("DROP OWNED BY serving; DROP ROLE serving", name)
