"""What the environment may say."""

import pytest
from pydantic import ValidationError

from cortex_compute.settings import Settings


def test_every_setting_has_a_name_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPUTE_MAX_PIXELS", "1000")
    monkeypatch.setenv("COMPUTE_WORKERS", "3")
    monkeypatch.setenv("COMPUTE_QUEUE", "0")
    monkeypatch.setenv("COMPUTE_BODY_LIMIT", "5000")
    monkeypatch.setenv("COMPUTE_ANNOUNCEMENTS", "7")

    settings = Settings(env="test")

    assert (settings.max_pixels, settings.workers, settings.queue) == (1000, 3, 0)
    assert (settings.body_limit, settings.announcements) == (5000, 7)


@pytest.mark.parametrize(
    "wrong", [{"workers": 0}, {"queue": -1}, {"max_pixels": 0}, {"max_pixels": 1 << 28}, {"announcements": 0}]
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Settings(env="test", **wrong)  # type: ignore[arg-type]
