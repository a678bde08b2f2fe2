"""NOTIFICATION_*: what is read and what is refused."""

import pytest
from pydantic import ValidationError

from cortex_notification.settings import Settings


def test_origins_are_listed_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFICATION_ORIGINS", "https://Shop.example/, http://localhost:8080,")

    assert Settings(env="test").origins == {"https://shop.example", "http://localhost:8080"}


def test_any_origin_is_a_star(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFICATION_ORIGINS", "*")

    assert Settings(env="test").origins == {"*"}


@pytest.mark.parametrize("value", ["shop.example", "https://", "https://shop.example/path", "://x"])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NOTIFICATION_ORIGINS", value)

    with pytest.raises(ValidationError, match="an origin is scheme"):
        Settings(env="test")


@pytest.mark.parametrize("name", ["CONNECTIONS", "QUEUE", "SEND_TIMEOUT", "MESSAGE_LIMIT", "MESSAGE_RATE"])
def test_a_bound_of_nothing_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"NOTIFICATION_{name}", "0")

    with pytest.raises(ValidationError):
        Settings(env="test")
