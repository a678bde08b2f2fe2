"""Settings from files: what a container's secrets are read from, and how one that cannot be is named."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, ValidationError

from cortex_core.chassis import Config, service_config
from cortex_core.chassis.explaining import explain
from cortex_core.chassis.setting_files import MAX_BYTES

SECRET = "redis://:hunter2@cache:6379/0"


class TeaSettings(Config):
    model_config = service_config("TEA_")

    service: ClassVar[str] = "tea"
    port: int = Field(default=3999, ge=0, le=65535)
    leaves: Path = Path("leaves")


@pytest.fixture(autouse=True)
def _development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_ENV", "development")
    monkeypatch.delenv("CORTEX_REDIS_URL", raising=False)


def written(folder: Path, content: str | bytes) -> str:
    file = folder / "secret"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def refusals() -> list[str]:
    with pytest.raises(ValidationError) as caught:
        TeaSettings()
    assert "hunter2" not in str(caught.value)
    return explain(caught.value, TeaSettings)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_setting_is_read_from_its_file(end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_REDIS_URL_FILE", written(tmp_path, SECRET + end))

    assert TeaSettings().redis_url.get_secret_value() == SECRET


def test_any_setting_is_also_one_that_is_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_PORT_FILE", written(tmp_path, "3998\n"))

    assert TeaSettings().port == 3998


def test_a_wrong_value_in_a_file_is_named_by_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEA_PORT_FILE", written(tmp_path, "hunter2"))

    [line] = refusals()

    assert line.startswith("TEA_PORT: ")


def test_blanks_are_part_of_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_TOKEN_AUDIENCE_FILE", written(tmp_path, " 3998 "))

    assert TeaSettings().token_audience == " 3998 "


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("x" * (MAX_BYTES + 1), "has more than"),
        (b"hunter2\xff", "is not UTF-8"),
        ("hunter2\nhunter2", "must be one line"),
        ("hunter2\0", "must be one line"),
    ],
)
def test_a_file_with_no_value_is_refused_by_its_name(
    content: str | bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, content)
    monkeypatch.setenv("CORTEX_REDIS_URL_FILE", file)

    [line] = refusals()

    assert line.startswith(f"CORTEX_REDIS_URL_FILE: {file} {why}")


def test_a_file_that_is_not_there_or_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_REDIS_URL_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("CORTEX_KEY_PEPPER_FILE", str(tmp_path))

    assert refusals() == [
        f"CORTEX_REDIS_URL_FILE: {tmp_path}/none cannot be read: No such file or directory",
        f"CORTEX_KEY_PEPPER_FILE: {tmp_path} cannot be read: Is a directory",
    ]


def test_a_variable_and_its_file_are_not_weighed_against_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORTEX_REDIS_URL", "redis://elsewhere:6379/0")
    monkeypatch.setenv("CORTEX_REDIS_URL_FILE", written(tmp_path, SECRET))

    assert refusals() == ["CORTEX_REDIS_URL_FILE: CORTEX_REDIS_URL is set as well: keep one of the two"]


def test_what_is_set_to_nothing_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_REDIS_URL", "")
    monkeypatch.setenv("CORTEX_REDIS_URL_FILE", written(tmp_path, SECRET))
    monkeypatch.setenv("TEA_PORT_FILE", "")

    settings = TeaSettings()

    assert settings.redis_url.get_secret_value() == SECRET
    assert settings.port == 3999


@pytest.mark.parametrize("variable", ["TEA_LEAVES", "CORTEX_JWKS", "CORTEX_INTERNAL_KEYS"])
def test_a_setting_that_names_a_file_has_no_other(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{variable}_FILE", written(tmp_path, SECRET))

    assert refusals() == [f"{variable}_FILE: there is no such setting: {variable} names a file itself"]
