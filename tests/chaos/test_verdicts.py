"""A chaos run that proves nothing must not pass."""

import pytest

from chaos import report
from chaos.experiment import Outcome, Verdict


def verdict(outcome: Outcome | None, control: str | None = None, error: str | None = None) -> Verdict:
    return Verdict("append", "sqlite", control, outcome, error, 1.0)


def test_a_run_whose_fault_fired_and_that_broke_nothing_has_held() -> None:
    assert verdict(Outcome(3, 0)).passed


@pytest.mark.parametrize("broken", [0, 1])
@pytest.mark.parametrize("control", [None, "no inbox"])
def test_a_run_whose_fault_never_fired_has_failed(broken: int, control: str | None) -> None:
    found = verdict(Outcome(0, broken), control)

    assert not found.passed
    assert "never fired" in found.words


def test_a_broken_promise_fails() -> None:
    found = verdict(Outcome(3, 2))

    assert not found.passed
    assert found.words == "BROKEN 2 times"


def test_a_control_has_to_break() -> None:
    assert verdict(Outcome(3, 2), "no inbox").passed
    assert not verdict(Outcome(3, 0), "no inbox").passed


def test_a_run_that_fell_over_has_failed_and_says_why() -> None:
    found = verdict(None, error="RuntimeError: no port")

    assert not found.passed
    assert "no port" in found.words


def test_the_table_shows_faults_figures_and_what_the_control_lacks() -> None:
    shown = report.table([verdict(Outcome(3, 0, {"lost": 0, "waited s": 1.234})), verdict(Outcome(3, 2), "no inbox")])

    assert "| append | sqlite   | as shipped        | 3      | lost 0, waited s 1.23 |" in shown
    assert "control: no inbox" in shown
