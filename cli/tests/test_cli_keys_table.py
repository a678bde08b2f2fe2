"""`cortex keys list`: what a person reads, and what `grep` finds."""

from typing import Any

import pytest
from typer.testing import CliRunner

from cortex_cli.keys import commands


def key(number: int, **other: Any) -> dict[str, Any]:
    known = {"keyId": f"key_{number:032x}", "name": "nightly report", "status": "active", "plan": "standard"}
    known |= {"scopes": ["orders:read", "notifications:read"], "lastUsedAt": None}
    return {**known, **other}


KEYS = [
    key(1),
    key(2, status="revoked", plan=None, lastUsedAt="2026-11-26T02:55:10Z", scopes=["orders:write"]),
    key(3, name="nightly-\x1b[31mäöü", scopes=[f"scope-{n}:write" for n in range(9)]),
]


class Stored:
    """Two pages of keys."""

    def page(self, cursor: str | None) -> dict[str, Any]:
        return {"keys": KEYS[1:], "nextCursor": None} if cursor else {"keys": KEYS[:1], "nextCursor": "next"}


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_keys", lambda *_: Stored())


def listed() -> list[str]:
    result = CliRunner().invoke(commands.app, ["list"])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


@pytest.mark.parametrize("columns", ["", "20", "80"])
def test_in_a_pipe_a_key_is_a_line(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    head, *lines = listed()

    assert head.split() == ["key", "status", "plan", "last", "used", "name", "scopes"]
    assert [line.split()[:3] for line in lines] == [
        [KEYS[0]["keyId"], "active", "standard"],
        [KEYS[1]["keyId"], "revoked", "-"],
        [KEYS[2]["keyId"], "active", "standard"],
    ]
    assert "never             nightly report    orders:read, notifications:read" in lines[0]
    assert "2026-11-26 02:55" in lines[1]
    assert "nightly-?[31mäöü" in lines[2]
    assert lines[2].endswith(", ".join(KEYS[2]["scopes"]))


@pytest.mark.parametrize("columns", [80, 100])
def test_on_a_narrow_terminal_no_word_is_broken(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(commands, "_terminal_width", lambda: columns)

    lines = listed()

    assert max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    for each in KEYS:
        assert f"{each['keyId']} {each['status']} {each['plan'] or '-'}" in text
        assert f": {', '.join(each['scopes'])}" in text
    assert "nightly report: orders:read" in text


def test_on_a_wide_terminal_it_is_as_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    piped = listed()
    monkeypatch.setattr(commands, "_terminal_width", lambda: 300)

    assert listed() == piped
