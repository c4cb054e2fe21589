"""Writes Grafana's dashboards: deploy/grafana/dashboards, one JSON file each.

    python -m scripts.dashboards

What is on them stands in `scripts.dashboard_plans`; what Grafana makes of that is the business of its foundation SDK,
whose types know every field. Run it after a change; a test says when it was forgotten, and another asks every query of
a real Prometheus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, TooltipDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableOption,
    VariableRefresh,
)

from scripts.dashboard_plans import DASHBOARDS, DashboardPlan, PanelPlan, Query

FOLDER: Final = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
DATA_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="step-prometheus")
"""As deploy/grafana/provisioning names it."""

WIDTH: Final = 24
"""Of a dashboard, in Grafana's units."""

Panel: TypeAlias = timeseries.Panel | stat.Panel
CHOSEN: Final = '{job="step-node", instance=~"$instance"'
"""The nodes that are chosen above the dashboard; what follows adds labels, or closes the brace."""


def expression(text: str) -> str:
    """The query with the chosen nodes put in: `metric@`, `metric@[5m]` and `metric@{label="value"}`."""
    return text.replace("@{", CHOSEN + ", ").replace("@", CHOSEN + "}")


def dashboard_text(plan: DashboardPlan) -> str:
    """The JSON file, as it is committed."""
    instances = (
        dashboard.QueryVariable("instance")
        .label("Node")
        .query('label_values(up{job="step-node"}, instance)')
        .datasource(DATA_SOURCE)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
    builder = (
        dashboard.Dashboard(plan.title)
        .uid(f"step-{plan.name}")
        .description(plan.tells)
        .tags(["step"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .with_variable(instances)
    )
    for number, panel in enumerate(plan.panels, start=1):
        builder = builder.with_panel(_panel(panel).id(number))
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def _panel(plan: PanelPlan) -> Panel:
    panel = _figure() if plan.kind == "figure" else _curve()
    for expr, legend in plan.queries:
        query = prometheus.Dataquery().expr(expression(expr)).legend_format(legend).ref_id(_ref_id(plan.queries, expr))
        panel = panel.with_target(query.instant() if plan.kind == "figure" else query.range())
    return panel.title(plan.title).description(plan.tells).unit(plan.unit).datasource(DATA_SOURCE)


def _ref_id(queries: Sequence[Query], expr: str) -> str:
    return chr(ord("A") + [one for one, _ in queries].index(expr))


def _figure() -> Panel:
    return stat.Panel().span(WIDTH // 4).height(5).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))


def _curve() -> Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    return (
        timeseries.Panel()
        .span(WIDTH // 2)
        .height(8)
        .line_width(1)
        .fill_opacity(5)
        .legend(legend)
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )


def main() -> int:
    """Write them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for plan in DASHBOARDS:
        (FOLDER / f"{plan.name}.json").write_text(dashboard_text(plan), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
