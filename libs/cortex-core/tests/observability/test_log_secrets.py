"""Secrets stay out of log lines, whatever they hide in."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest

from cortex_core.chassis.telemetry import _text
from cortex_core.observability import Logger

CANARY = "canary-7f3a-must-not-be-seen"


@dataclass
class Account:
    name: str
    password: str


class Opaque:
    def __repr__(self) -> str:
        return f"Opaque({CANARY})"


@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"paymentToken": CANARY},
        {"Authorization": f"Bearer {CANARY}"},
        {"client_secret": CANARY},
        {"api_key": CANARY},
        {"X-Api-Key": CANARY},
        {"headers": {"Set-Cookie": CANARY, "accept": "*/*"}},
        {"headers": [{"nested": {"refresh_token": CANARY}}]},
        {"line": f"Authorization: Bearer {CANARY}"},
        {"url": f"redis://user:{CANARY}@localhost:6379/0"},
        {"url": f"postgresql+asyncpg://:{CANARY}@db/orders"},
        {"url": f"redis://user:p@{CANARY}@localhost:6379/0"},  # an @ that should have been encoded
        {"account": Account("ann", CANARY)},
        {"thing": Opaque()},
        {"raw": CANARY.encode()},
        {"error": ValueError(f"https://ann:{CANARY}@example.org refused")},
    ],
)
def test_a_secret_is_never_printed(lines: Any, fields: dict[str, Any]) -> None:
    Logger.get("orders").info("something happened", **fields)
    Logger.get("orders").bind(**fields).info("something happened")

    assert len(lines.all()) == 2
    assert CANARY not in lines.getvalue()


def test_a_secret_in_an_exceptions_text_or_in_another_librarys_line_is_cut_out(lines: Any) -> None:
    def connect() -> None:
        raise ConnectionError(f"cannot reach redis://default:{CANARY}@10.0.0.1:6379")

    try:
        connect()
    except ConnectionError:
        logging.getLogger("driver").exception("sent %s", f"Authorization: Bearer {CANARY}")

    assert "10.0.0.1" in lines.getvalue()
    assert CANARY not in lines.getvalue()


def test_an_api_key_is_known_by_its_shape_wherever_it_stands(lines: Any) -> None:
    Logger.get("orders").info("request", path=f"/api/keys/ck_{'0' * 32}_canary/rotate", short="ck_0")

    assert "canary" not in lines.getvalue()
    assert '"path":"/api/keys/[redacted]/rotate","short":"ck_0"' in lines.getvalue()


@pytest.mark.parametrize("before", ["/", "?a=", "%20", "%2f", "ST_", "_"])
def test_a_static_token_is_too_and_no_longer_word_is(lines: Any, before: str) -> None:
    token = "st_" + "A1b2" * 8
    Logger.get("orders").info("request", path=f"/api/orders{before}{token}/rotate", short=token[:-1], id=f"cu{token}")

    assert f'"path":"/api/orders{before}[redacted]/rotate","short":"{token[:-1]}"' in lines.getvalue()
    assert f'"id":"cu{token}"' in lines.getvalue()


@pytest.mark.parametrize("secret", ["st_" + "A1b2" * 8, f"ck_{'0' * 32}_canary"])
def test_the_access_lines_short_way_knows_them_too(secret: str) -> None:
    assert [_text(secret), _text(f"/api/{secret}/x")] == ['"[redacted]"', '"/api/[redacted]/x"']
