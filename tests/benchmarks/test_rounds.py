"""How samples become ratios."""

import pytest

from benchmarks.rounds import Contest, Plan, Sample, contest, disturbance, shown


def silent(line: str) -> None:
    """Says nothing."""


def test_sides_take_turns_after_a_warm_up_each() -> None:
    turns: list[tuple[str, int]] = []

    def side(name: str) -> object:
        return lambda seconds: turns.append((name, seconds)) or Sample(1.0)

    contest({"a": side("a"), "b": side("b")}, Plan(rounds=2, seconds=5, warm_up=1), silent)

    assert turns == [("a", 1), ("b", 1), ("a", 5), ("b", 5), ("a", 5), ("b", 5)]


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    ours = [Sample(20.0), Sample(30.0), Sample(90.0)]
    peer = [Sample(10.0), Sample(10.0), Sample(10.0)]

    ratio = Contest({"ours": ours, "peer": peer}).ratio("ours", "peer")

    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high) == (3.0, 2.0, 9.0)


def test_a_round_with_a_void_half_counts_for_nothing() -> None:
    ours = [Sample(20.0), Sample(90.0, void=True)]
    peer = [Sample(10.0), Sample(10.0)]

    outcome = Contest({"ours": ours, "peer": peer})

    assert str(outcome.ratio("ours", "peer")) == "2.00 (2.00 … 2.00)"
    assert outcome.rate("ours") == 20.0
    assert outcome.voided() == 1


def test_all_void_is_no_ratio() -> None:
    outcome = Contest({"ours": [Sample(20.0, void=True)], "peer": [Sample(10.0)]})

    assert outcome.ratio("ours", "peer") is None
    assert outcome.ratio_shown("ours", "peer") == "void"
    assert outcome.rate("ours") is None


def test_a_void_sample_is_taken_anew_twice_at_most() -> None:
    taken: list[int] = []

    def void(seconds: int) -> Sample:
        taken.append(seconds)
        return Sample(1.0, void=True)

    outcome = contest({"a": void}, Plan(rounds=1, seconds=5, warm_up=1), silent)

    assert taken == [1, 5, 5, 5]
    assert outcome.voided() == 1


@pytest.mark.parametrize(
    ("number", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.0, "0.00"), (None, "void")]
)
def test_figures_show_three_digits(number: float | None, text: str) -> None:
    assert shown(number) == text


def test_the_results_say_how_quiet_the_machine_was() -> None:
    calm = Contest({"a": [Sample(1.0, facts={"others": 0.01})]})
    noisy = Contest({"a": [Sample(1.0, void=True, facts={"others": 0.25}), Sample(1.0, void=True)]})

    assert disturbance([calm, noisy]) == "Others used up to 25 % of the program's CPU; void turns: 2."


def test_a_fact_is_its_median() -> None:
    outcome = Contest({"a": [Sample(1.0, facts={"redis": each}) for each in (10.0, 90.0, 20.0)]})

    assert outcome.fact("a", "redis") == 20.0


def test_by_what_an_answer_took_no_round_is_void() -> None:
    samples = {
        "ours": [Sample(1.0, void=True, facts={"cpu": 20.0})],
        "peer": [Sample(1.0, facts={"cpu": 80.0})],
    }

    assert str(Contest(samples).per("cpu").ratio("ours", "peer")) == "4.00 (4.00 … 4.00)"
