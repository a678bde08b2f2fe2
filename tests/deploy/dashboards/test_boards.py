"""The dashboards as files: Grafana's own types take them, they are what the code writes, and they look like somebody
cared."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.dashboards.__main__ import made
from scripts.dashboards.layout import COLUMNS, Panel, placed
from scripts.dashboards.services import all_boards

FOLDER = Path(__file__).parents[3] / "observability" / "grafana" / "dashboards"
BOARDS = sorted(FOLDER.glob("*.json"))
UNITS = {value for name, value in vars(units).items() if name[0].isupper() and isinstance(value, str)}
THE_PLANS_EIGHT = [
    "Request rate",
    "Latency",
    "Active orders",
    "Circuit breakers",
    "WebSocket connections",
    "Memory",
    "CPU",
    "Error rate",
]

every_board = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)


def panels_of(path: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def test_there_is_the_overview_and_one_a_service() -> None:
    services = ("overview", "gateway", "order", "notification", "analytics", "storage", "compute")
    assert {path.stem for path in BOARDS} == {f"cortex-{name}" for name in services}


def test_the_overview_has_the_plans_eight_panels() -> None:
    titles = [panel["title"] for panel in panels_of(FOLDER / "cortex-overview.json")]
    assert set(THE_PLANS_EIGHT) <= set(titles)


def test_files_are_what_the_code_writes() -> None:
    stale = [path for path, text in made().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make dashboards`"


@every_board
def test_grafanas_types_take_the_file_and_give_it_back(path: Path) -> None:
    register_default_plugins()
    text = path.read_text(encoding="utf-8")

    board = Dashboard.from_json(json.loads(text))

    assert json.loads(json.dumps(board, cls=JSONEncoder)) == json.loads(text)


def test_uids_and_titles_are_each_boards_own() -> None:
    boards = [json.loads(path.read_text()) for path in BOARDS]
    assert [board["uid"] for board in boards] == [path.stem for path in BOARDS]
    assert len({board["title"] for board in boards}) == len(boards)


@every_board
def test_ids_of_panels_are_unique(path: Path) -> None:
    ids = [panel["id"] for panel in json.loads(path.read_text())["panels"]]
    assert len(set(ids)) == len(ids)


@every_board
def test_every_panel_says_what_it_shows_and_in_what_unit(path: Path) -> None:
    for panel in panels_of(path):
        assert len(panel["description"]) > 12, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert all(target.get("legendFormat") or "loki" in str(target) for target in panel["targets"]), panel["title"]


@every_board
def test_every_data_source_is_the_readers_to_choose(path: Path) -> None:
    board = json.loads(path.read_text())
    variables = {f"${{{each['name']}}}" for each in board["templating"]["list"] if each["type"] == "datasource"}
    asked = [*board["annotations"]["list"], *panels_of(path)]
    asked += [target for panel in panels_of(path) for target in panel["targets"]]
    asked += [each for each in board["templating"]["list"] if each["type"] == "query"]
    assert {each["datasource"]["uid"] for each in asked} <= variables


@every_board
def test_every_variable_that_a_query_names_is_there(path: Path) -> None:
    text = path.read_text()
    known = {each["name"] for each in json.loads(text)["templating"]["list"]}
    for name in ("namespace", "service", "instance", "datasource", "logs", "traces"):
        assert (f"${name}" not in text and f"${{{name}}}" not in text) or name in known


@every_board
def test_panels_lie_side_by_side(path: Path) -> None:
    places = [panel["gridPos"] for panel in json.loads(path.read_text())["panels"]]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


def test_a_line_of_panels_is_full_or_of_one_height() -> None:
    """No holes that look like something is missing."""
    for board in all_boards():
        for section in board.sections:
            found, _ = placed(section.panels, 0)
            for top in {place.y for _, place in found}:
                assert len({place.height for _, place in found if place.y == top}) == 1, (board.uid, section.title)


def test_a_panel_wider_than_the_page_is_refused() -> None:
    with pytest.raises(ValueError, match="wider than 24"):
        placed([Panel("Wide", "", "none", [], width=25)], 0)


def test_what_a_panel_asks_is_of_the_hubs_its_reader_has_chosen() -> None:
    """Two releases that one Prometheus scrapes are not added together."""
    for board in all_boards():
        for panel in board.panels():
            for query in panel.queries:
                assert query.text.count('job="cortex-hub"') == query.text.count('namespace=~"$namespace"'), panel.title


def test_a_figure_that_nobody_can_tell_is_not_zero() -> None:
    """Only how many services and replicas there are is 0 where nothing is scraped."""
    fallen_back = {
        (panel.title, query.otherwise)
        for board in all_boards()
        for panel in board.panels()
        for query in panel.queries
        if query.otherwise and "== 1)" not in query.otherwise
    }
    assert fallen_back == {(title, "vector(0)") for title in ("Services up", "Services ready", "Ready")}


def test_what_callers_see_is_the_gateways() -> None:
    """A forwarded request counts once in the hub's own figures."""
    shown = {panel.title: panel for board in all_boards() if board.service is None for panel in board.panels()}
    for title in ("Requests", "Errors", "p99", "Latency"):
        for query in shown[title].queries:
            assert query.expr.count("{") == query.expr.count('service="gateway"'), title


def colour(panel: dict[str, Any], value: float) -> str:
    """What Grafana shows it in: the colour of the last step that it reaches."""
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return str([step["color"] for step in steps if step["value"] is None or step["value"] <= value][-1])


@every_board
def test_what_is_zero_where_nobody_answers_is_not_green_then(path: Path) -> None:
    fallen_back = [panel for panel in panels_of(path) if "or vector(0)" in json.dumps(panel["targets"])]
    assert fallen_back, "each board says whether anybody is ready"
    for panel in fallen_back:
        assert colour(panel, 0) == "red", panel["title"]
        assert colour(panel, 6) == "green", panel["title"]


@every_board
def test_a_figure_of_which_none_is_better_has_no_colour(path: Path) -> None:
    """Requests, active orders, an age: green would say that it is as it should be."""
    for panel in panels_of(path):
        if panel["type"] == "stat" and len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) == 1:
            assert colour(panel, 0) == "text", panel["title"]


def test_the_overview_is_red_as_soon_as_somebody_is_woken() -> None:
    """One service of six is a critical alert."""
    shown = {panel["title"]: panel for panel in panels_of(FOLDER / "cortex-overview.json")}
    for title in ("Services up", "Services ready"):
        assert [colour(shown[title], number) for number in range(7)] == ["red"] * 6 + ["green"]


@every_board
def test_a_share_of_what_there_may_be_is_drawn_as_one(path: Path) -> None:
    """Descriptors at 2 % do not fill the panel, and the line of the alert is on it."""
    for panel in panels_of(path):
        if panel["title"] == "Open descriptors":
            assert panel["fieldConfig"]["defaults"]["max"] == 1
