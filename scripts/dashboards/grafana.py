"""A board as Grafana's JSON, by Grafana's own builders: what they do not know cannot be written.

Ids are the panel's place in its board, uids are chosen by name: the same board is the same file. Data sources are
variables, so that the dashboards work on anybody's Grafana.
"""

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from grafana_foundation_sdk.builders import common as parts
from grafana_foundation_sdk.builders import dashboard as boards
from grafana_foundation_sdk.builders import logs, loki, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from scripts.dashboards.figures import STARTED, UP, WORKER_DEATHS
from scripts.dashboards.layout import COLUMNS, Board, Panel, Place, placed
from scripts.dashboards.promql import of_the_chosen_namespaces

PROMETHEUS: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
LOKI: Final = models.DataSourceRef(type_val="loki", uid="${logs}")
_LOG_LINES: Final = (
    "Lines at level warning and above, the newest first, as the log shipper brought them to Loki. A line's trace is one"
    " click away."
)


def to_json(board: Board) -> str:
    """The file's text."""
    return json.dumps(build(board), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def build(board: Board) -> models.Dashboard:
    """The dashboard in Grafana's own types."""
    made = (
        boards.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(list(board.tags))
        .timezone("browser")
        .time("now-30m", "now")
        .refresh("10s")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .annotation(_starts(board))
    )
    for variable in _variables(board):
        made.with_variable(variable)
    for link in _links(board):
        made.link(link)
    number, top = 0, 0
    for section in board.sections:
        number += 1
        made.with_row(boards.Row(section.title).id(number).grid_pos(models.GridPos(h=1, w=COLUMNS, x=0, y=top)))
        arranged, top = placed(section.panels, top + 1)
        for panel, place in arranged:
            number += 1
            made.with_panel(_panel(panel).id(number).grid_pos(_grid(place)))
    if board.service is not None:
        made.with_row(boards.Row("Log").id(number + 1).grid_pos(models.GridPos(h=1, w=COLUMNS, x=0, y=top)))
        made.with_panel(_log(board.service).id(number + 2).grid_pos(_grid(Place(0, top + 1, COLUMNS, 10))))
    return made.build()


def _panel(panel: Panel) -> Any:
    kinds: dict[str, Any] = {"stat": _stat, "states": _states, "lines": _lines, "stacked": _lines}
    made = kinds[panel.look](panel)
    made.title(panel.title).description(panel.description).unit(panel.unit).datasource(PROMETHEUS).min(0)
    if panel.maximum is not None:
        made.max(panel.maximum)
    if panel.decimals is not None:
        made.decimals(panel.decimals)
    if panel.states:
        made.mappings([_names(panel.states)])
    made.thresholds(_thresholds(panel.steps))
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.text).legend_format(query.legend).ref_id("ABCDEFGH"[place])
        target.datasource(PROMETHEUS).format(PromQueryFormat.TIME_SERIES)
        made.with_target(target.instant() if panel.look == "stat" else target.range())
    if panel.to_service:
        url = "/d/cortex-${__field.labels.service}?${__url_time_range}"
        made.data_links([boards.DashboardLink("Open ${__field.labels.service}").url(url)])
    return made


def _lines(panel: Panel) -> Any:
    legend = parts.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE).show_legend(True)
    legend.placement(common.LegendPlacement.BOTTOM).calcs(["mean", "max", "lastNotNull"])
    made = timeseries.Panel().legend(legend).line_width(1).show_points(common.VisibilityMode.NEVER).span_nulls(False)
    made.tooltip(
        parts.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    ).fill_opacity(30 if panel.look == "stacked" else 8)
    if panel.look == "stacked":
        made.stacking(parts.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.steps:
        made.thresholds_style(parts.GraphThresholdsStyleConfig().mode(common.GraphTresholdsStyleMode.DASHED))
    return made.color_scheme(boards.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))


def _stat(panel: Panel) -> Any:  # noqa: ARG001 - as its siblings
    reduce = parts.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    made = stat.Panel().reduce_options(reduce).graph_mode(common.BigValueGraphMode.NONE)
    made.text_mode(common.BigValueTextMode.VALUE).color_mode(common.BigValueColorMode.VALUE)
    return made.color_scheme(boards.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))


def _states(panel: Panel) -> Any:  # noqa: ARG001 - as its siblings
    legend = parts.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(False)
    made = statetimeline.Panel().merge_values(True).fill_opacity(80).row_height(0.8).legend(legend.placement(_BOTTOM))
    made.show_value(common.VisibilityMode.NEVER)
    return made.color_scheme(boards.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))


_BOTTOM: Final = common.LegendPlacement.BOTTOM


def _log(service: str) -> Any:
    query = f'{{service_name="{service}"}} | json | level=~"warning|error|critical"'
    target = loki.Dataquery().expr(query).ref_id("A").datasource(LOKI).query_type("range").max_lines(200)
    made = logs.Panel().title("Warnings and errors").description(_LOG_LINES).datasource(LOKI).with_target(target)
    made.show_time(True).wrap_log_message(True).enable_log_details(True).prettify_log_message(False)
    return made.sort_order(common.LogsSortOrder.DESCENDING).dedup_strategy(common.LogsDedupStrategy.NONE).unit("short")


def _thresholds(steps: Sequence[tuple[float, str]]) -> Any:
    below = "green" if steps else "text"  # a figure that nobody judges is not green
    chosen = [models.Threshold(value=None, color=below), *(models.Threshold(value=at, color=to) for at, to in steps)]
    return boards.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(chosen)


def _names(states: Sequence[tuple[int, str, str]]) -> models.ValueMap:
    named = {
        str(value): models.ValueMappingResult(text=text, color=color, index=place)
        for place, (value, text, color) in enumerate(states)
    }
    return models.ValueMap(options=named)


def _grid(place: Place) -> models.GridPos:
    return models.GridPos(h=place.height, w=place.width, x=place.x, y=place.y)


def _variables(board: Board) -> list[Any]:
    hidden = models.VariableHide.HIDE_VARIABLE
    found: list[Any] = [boards.DatasourceVariable("datasource").label("Prometheus").type("prometheus")]
    if board.service is not None:
        found.append(boards.DatasourceVariable("logs").label("Loki").type("loki").hide(hidden))
    found.append(boards.DatasourceVariable("traces").label("Jaeger").type("jaeger").hide(hidden))
    chosen = {"service": board.service} if board.service is not None else {}
    namespaces = boards.QueryVariable("namespace").label("Namespace").datasource(PROMETHEUS)
    found.append(_of_several(namespaces.query(f"label_values({UP.where(chosen)}, namespace)")))
    of_all = of_the_chosen_namespaces(UP.where(chosen))
    name = "instance" if board.service is not None else "service"
    about = "Replicas" if board.service is not None else "Services"
    several = boards.QueryVariable(name).label(about).datasource(PROMETHEUS).query(f"label_values({of_all}, {name})")
    return [*found, _of_several(several)]


def _of_several(variable: Any) -> Any:
    variable.multi(True).include_all(True).all_value(".*").refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable.sort(models.VariableSort.ALPHABETICAL_ASC)
    return variable.current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))


def _links(board: Board) -> list[Any]:
    beside = boards.DashboardLink("Cortex Hub").type(models.DashboardLinkType.DASHBOARDS).tags(["cortex-hub"])
    search = {"refId": "A", "queryType": "search", "service": board.service or "gateway"}
    pane = {"datasource": "@", "queries": [search], "range": {"from": "now-1h", "to": "now"}}
    panes = quote(json.dumps({"traces": pane}, separators=(",", ":"))).replace("%40", "${traces}")
    traces = boards.DashboardLink("Traces").type(models.DashboardLinkType.LINK).icon("doc").target_blank(True)
    traces.url(f"/explore?schemaVersion=1&orgId=1&panes={panes}").tooltip("Its newest traces in Jaeger")
    return [beside.as_dropdown(True).keep_time(True).icon("external link"), traces]


def _starts(board: Board) -> Any:
    """Deployments and restarts: a service that is younger than a minute, or has just lost a worker."""
    of = {"service": board.service} if board.service is not None else {"service": "~$service"}
    query = boards.AnnotationQuery().name("Starts and deployments").datasource(PROMETHEUS).enable(True)
    young = f"(time() - {STARTED.where(of)}) < 60 or changes({WORKER_DEATHS.where(of)}[1m]) > 0"
    return query.icon_color("purple").expr(of_the_chosen_namespaces(young))
