"""What the service is told, and that the README tells the truth about it."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from cortex_core.chassis.guard_settings import GuardSettings
from cortex_order.settings import Settings

README = Path(__file__).parents[1] / "README.md"
ROW = re.compile(r"^\| `((?:ORDER|CORTEX|OTEL)_[A-Z_]+)` \| (?:`([^`]+)`)? *\| (.*) \|$", re.MULTILINE)


def shown(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, frozenset):
        return ",".join(sorted(default))
    return default.get_secret_value() if isinstance(default, SecretStr) else str(default)


def test_the_readme_lists_every_setting_and_its_default() -> None:
    listed = {variable: default for variable, default, _ in ROW.findall(README.read_text())}
    own = {name: field for name, field in Settings.model_fields.items() if name not in GuardSettings.model_fields}

    assert listed == {Settings.variable(name): shown(field.default) for name, field in own.items()}


def test_the_readme_leads_to_the_settings_that_every_service_has() -> None:
    page = "docs/blocks/server-guards.md"

    assert f"](../../{page}#settings)" in README.read_text()
    assert {f"{name}`".upper() for name in GuardSettings.model_fields} <= set(
        re.findall(r"<PREFIX>_([A-Z_]+`)", (README.parents[2] / page).read_text())
    )


def test_the_readme_marks_what_production_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CORTEX_ENV", "CORTEX_REDIS_URL", "ORDER_DATABASE_URL", "ORDER_PAYMENT_URL"):
        monkeypatch.delenv(variable, raising=False)
    marked = {variable for variable, _, meaning in ROW.findall(README.read_text()) if "*development*" in meaning}

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert marked == set(re.findall(r"(?:ORDER|CORTEX)_[A-Z_]+_URL", str(caught.value)))


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "test")
    monkeypatch.setenv("ORDER_PAYMENT_WAIT", "7.5")
    monkeypatch.setenv("ORDER_CONCURRENCY", "3")

    settings = Settings()

    assert (settings.payment_wait, settings.concurrency) == (7.5, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"claim": 0.5},
        {"replica": "two words"},
        {"active": 0},
        {"payment_attempts": 0},
        {"concurrency": 0},
        {"payment_timeout": 0},
        {"payment_url": "provider"},
        {"drain": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(env="test", **wrong)
