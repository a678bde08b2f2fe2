"""What no service measures cannot be asked for."""

import pytest

from scripts.dashboards.inventory import Family
from scripts.dashboards.promql import Figures, UnknownFigure, zero_while_up

FIGURES = Figures(
    [
        Family("requests_total", "counter", ("route", "status"), "", ("order",)),
        Family("seconds", "histogram", ("route",), "", ("order",)),
        Family("waiting", "gauge", (), "", ("order",)),
    ]
)


def test_a_selector_names_the_hub_and_what_was_asked_for() -> None:
    figure = FIGURES.counter("requests_total")

    chosen = figure.where({"service": "order", "status": "~5..", "route": "!~/health.*", "instance": "!a"})

    assert chosen == 'requests_total{job="cortex-hub",service="order",status=~"5..",route!~"/health.*",instance!="a"}'


def test_rates_quantiles_and_sums_are_by_the_labels_given() -> None:
    assert FIGURES.counter("requests_total").rate(("route",), window="5m") == (
        'sum by (route) (rate(requests_total{job="cortex-hub"}[5m]))'
    )
    assert FIGURES.histogram("seconds").quantile(0.99, ("route",), window="5m") == (
        'histogram_quantile(0.99, sum by (le, route) (rate(seconds_bucket{job="cortex-hub"}[5m])))'
    )
    assert FIGURES.gauge("waiting").over("max") == 'max(waiting{job="cortex-hub"})'


@pytest.mark.parametrize("ask", [FIGURES.counter, FIGURES.gauge, FIGURES.histogram])
def test_a_name_that_nobody_has_is_refused(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UnknownFigure, match="no service measures latency"):
        ask("latency")


def test_another_kind_is_refused() -> None:
    with pytest.raises(UnknownFigure, match="seconds is a histogram, not a counter"):
        FIGURES.counter("seconds")


def test_a_label_that_it_lacks_is_refused_to_choose_and_to_group_by() -> None:
    figure = FIGURES.counter("requests_total")
    with pytest.raises(UnknownFigure, match="not \\['tenant'\\]"):
        figure.where({"tenant": "public"})
    with pytest.raises(UnknownFigure, match="not \\['method'\\]"):
        figure.rate(("method",))


def test_a_zero_is_shown_while_the_service_it_is_about_is_up() -> None:
    figure = FIGURES.counter("requests_total")
    assert zero_while_up(figure.rate((), {"service": "order"})) == '0 * max(up{job="cortex-hub",service="order"} == 1)'
    assert zero_while_up(figure.rate()) == '0 * max(up{job="cortex-hub"} == 1)'
