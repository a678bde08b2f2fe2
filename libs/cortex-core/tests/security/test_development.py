"""Secrets for development: made once, whole or not at all, and marked."""

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cortex_core.security.api_keys.peppers import is_development
from cortex_core.security.development import PASSWORD, UnusableSecrets, Wanted, check, ensure, main
from cortex_core.security.jwks import parse_key_set, parse_signing_key
from cortex_core.security.static_tokens import UnusableTokens, parse_static_tokens

ALL = Wanted(static_token=True, redis="redis:6379", postgres="postgres:5432", databases=("order", "storage"))


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_everything_wanted_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    assert ensure(tmp_path / "secrets", ALL)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()}
    assert modes == dict.fromkeys(
        [
            "tokens.jwk",
            "tokens.jwks.json",
            "internal.jwk",
            "internal.jwks.json",
            "pepper",
            "static-token",
            "static-tokens.json",
            "redis-password",
            "redis-url",
            "redis.conf",
            "postgres-password",
            "databases.sql",
            "order-database-url",
            "storage-database-url",
        ],
        0o600,
    )
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_each_secret_says_that_it_was_made_for_development(tmp_path: Path) -> None:
    ensure(tmp_path / "secrets", ALL)
    files = read(tmp_path / "secrets")

    for name in ("tokens", "internal"):
        assert parse_signing_key(files[f"{name}.jwk"].encode(), development=True).kid.startswith("dev-")
        assert len(parse_key_set(files[f"{name}.jwks.json"].encode(), development=True)[0]) == 1
        assert '"d"' not in files[f"{name}.jwks.json"]
    assert is_development(files["pepper"])
    tokens = files["static-tokens.json"].encode()
    assert len(parse_static_tokens(tokens, development=True).principals) == 1
    with pytest.raises(UnusableTokens, match="made for development"):
        parse_static_tokens(tokens)
    for name in ("redis-password", "postgres-password"):
        assert files[name].startswith(PASSWORD)
    for name in ("redis-url", "order-database-url", "storage-database-url"):
        assert (urlsplit(files[name]).password or "").startswith(PASSWORD)


def test_what_belongs_together_agrees(tmp_path: Path) -> None:
    ensure(tmp_path / "secrets", ALL)
    files = {name: text.rstrip("\n") for name, text in read(tmp_path / "secrets").items()}

    assert json.loads(files["static-tokens.json"])[0]["token"] == files["static-token"]
    assert files["redis-url"] == f"redis://:{files['redis-password']}@redis:6379/0"
    assert files["redis.conf"] == f"requirepass {files['redis-password']}"
    order = urlsplit(files["order-database-url"])
    assert (order.scheme, order.hostname, order.path, order.username) == (
        "postgresql+asyncpg",
        "postgres",
        "/order",
        "order",
    )
    assert f"CREATE ROLE \"order\" LOGIN PASSWORD '{order.password}';" in files["databases.sql"]
    passwords = {urlsplit(files[f"{name}-database-url"]).password for name in ALL.databases}
    assert len(passwords | {files["postgres-password"], files["redis-password"]}) == 4


def test_once_made_they_stay(tmp_path: Path) -> None:
    ensure(tmp_path / "secrets", ALL)
    before = read(tmp_path / "secrets")

    assert not ensure(tmp_path / "secrets", ALL)

    assert read(tmp_path / "secrets") == before


def test_those_who_come_at_once_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ensure(tmp_path / "secrets"), range(8)))

    assert sorted(made) == [False] * 7 + [True]


def test_an_interruption_leaves_nothing_half_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def crash(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        ensure(tmp_path / "secrets", ALL)
    assert not (tmp_path / "secrets").exists()
    monkeypatch.undo()

    ensure(tmp_path / "secrets", ALL)

    assert [path.name for path in tmp_path.iterdir()] == ["secrets"]


def test_one_that_is_missing_is_named(tmp_path: Path) -> None:
    ensure(tmp_path / "secrets", ALL)
    (tmp_path / "secrets" / "redis-url").unlink()

    with pytest.raises(UnusableSecrets, match="has no redis-url: put it back"):
        ensure(tmp_path / "secrets", ALL)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620])
def test_one_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    ensure(tmp_path / "secrets", ALL)
    (tmp_path / "secrets" / "pepper").chmod(mode)

    with pytest.raises(UnusableSecrets, match=r"others can read .*pepper: chmod 600"):
        check(tmp_path / "secrets", ALL)


def test_a_group_may_read_them_where_that_is_wanted(tmp_path: Path) -> None:
    wanted = Wanted(static_token=True, group=os.getgid())

    ensure(tmp_path / "secrets", wanted)

    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o750
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o640}
    with pytest.raises(UnusableSecrets, match="others can read"):
        check(tmp_path / "secrets", Wanted(static_token=True))
    (tmp_path / "secrets" / "pepper").chmod(0o660)
    with pytest.raises(UnusableSecrets, match="chmod 640"):
        check(tmp_path / "secrets", wanted)


def test_as_a_program_it_says_what_it_did(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "secrets"
    command = [sys.executable, "-I", "-m", "cortex_core.security.development", str(folder), "--static-token"]
    said = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]

    assert [each.stdout for each in said] == [f"development: {folder} made\n", f"development: {folder} is there\n"]
    assert "static-token" in read(folder)


def test_where_it_cannot_write_it_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    assert main([str(tmp_path / "file" / "secrets")]) == 78

    [line] = capsys.readouterr().err.splitlines()
    assert line == f"development: {tmp_path}/file/secrets cannot be written: File exists"


@pytest.mark.parametrize("name", ["Order", "a b", "a;", "", 'a"', "x" * 61])
def test_a_database_has_a_plain_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "s"), "--postgres", "db:5432", "--database", name])

    assert not (tmp_path / "s").exists()
