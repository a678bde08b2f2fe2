"""The state folder from inside: who is alive, what was left behind, which Redis may read what another wrote."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cortex_cli.redis_server import RedisServer
from cortex_cli.refusal import Refusal
from cortex_cli.state import Identity, Member, Record, State

GONE = Identity(pid=2**22 + 1, created=0.0)  # past the highest pid Linux gives


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path / "state")
    state.claim()
    yield state
    state.release()


def left_behind(state: State, identity: Identity) -> None:
    state.write(Record(GONE, "ready", (Member("order", "service", "http://127.0.0.1:1", identity),)))


def test_what_a_dead_supervisor_left_is_ended(state: State, sleeper: subprocess.Popen[bytes]) -> None:
    left_behind(state, Identity.of(sleeper.pid))

    assert state.end_orphans() == ["order"]
    assert sleeper.wait(timeout=30) == -9
    assert state.read() is None


def test_a_stranger_with_a_number_of_ours_is_left_alone(state: State, sleeper: subprocess.Popen[bytes]) -> None:
    left_behind(state, replace(Identity.of(sleeper.pid), created=1.0))

    assert state.end_orphans() == []
    assert sleeper.poll() is None


def test_nobody_is_ended_while_the_supervisor_lives(state: State, sleeper: subprocess.Popen[bytes]) -> None:
    here = Identity.of(os.getpid())
    state.write(Record(here, "ready", (Member("order", "service", "http://127.0.0.1:1", Identity.of(sleeper.pid)),)))

    assert state.end_orphans() == []
    assert sleeper.poll() is None
    assert state.running() == state.read()


def test_a_record_comes_back_as_it_was_written(state: State) -> None:
    member = Member("order", "service", "http://127.0.0.1:3001", GONE, restarts=2, ready_after=1.25)
    record = Record(GONE, "ready", (member, replace(member, name="gateway", identity=None, ready_after=None)))

    state.write(record)

    assert state.read() == record
    assert record.gateway == "http://127.0.0.1:3001"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"supervisor": {}}', '{"supervisor": 1, "phase": 2, "members": 3}'])
def test_a_record_that_cannot_be_read_is_none(state: State, text: str) -> None:
    (state.folder / "hub.json").write_text(text)

    assert state.read() is None


def test_a_folder_in_which_services_ran_by_hand_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".cortex" / "data").mkdir(parents=True)
    state = State(tmp_path / ".cortex")

    state.claim()
    state.release()

    assert state.is_ours


def redis_of_version(folder: Path, version: str) -> None:
    folder.mkdir()
    binary = folder / "redis-server"
    binary.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64'\n")
    binary.chmod(0o755)


def test_an_old_redis_is_passed_over_where_a_new_one_has_written(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_of_version(tmp_path / "old", "6.2.14")
    redis_of_version(tmp_path / "new", "7.0.15")
    monkeypatch.setenv("PATH", f"{tmp_path}/old:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/new/python")
    fresh = RedisServer.on(state)

    (state.redis / "appendonlydir").mkdir()
    written_by_seven = RedisServer.on(state)

    assert fresh.argv[0] == f"{tmp_path}/old/redis-server"
    assert written_by_seven.argv[0] == f"{tmp_path}/new/redis-server"


def test_where_only_an_old_redis_is_left_it_is_refused_before_it_begins_anew(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_of_version(tmp_path / "old", "6.2.14")
    monkeypatch.setenv("PATH", f"{tmp_path}/old:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/nowhere/python")
    (state.redis / "appendonlydir").mkdir()

    with pytest.raises(Refusal, match="install redis-server 7"):
        RedisServer.on(state)


def test_what_is_not_ours_survives_a_reset(state: State) -> None:
    (state.folder / "thesis.txt").write_text("precious")

    assert state.delete() == ["thesis.txt"]
    assert [entry.name for entry in state.folder.iterdir()] == ["thesis.txt"]


def test_a_folder_with_a_persons_data_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / "project" / "data").mkdir(parents=True)

    with pytest.raises(Refusal, match="'data', which is not ours"):
        State(tmp_path / "project").claim()


def test_a_folder_behind_a_link_can_be_used_again_after_a_reset(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for _ in range(2):
        state = State(tmp_path / "link")
        state.claim()
        assert state.delete() == []
        state.release()


@pytest.mark.parametrize("written", [b"\xff", b"[]", b'{"supervisor": 1}', b'{"supervisor": {"pid": 1}}'])
def test_a_damaged_record_is_none(state: State, written: bytes) -> None:
    (state.folder / "hub.json").write_bytes(written)

    assert state.read() is None
