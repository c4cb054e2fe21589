"""The dashboards: what is committed is what their plans give, in a shape that Grafana's own types read."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from scripts.dashboard_plans import DASHBOARDS, DashboardPlan
from scripts.dashboards import FOLDER, dashboard_text
from tests.monitoring.rules import ROOT, shipped_expressions
from tests.monitoring.test_rules import METRIC, NOT_OURS

QUERIES = [(plan.name, panel.title, expr) for plan in DASHBOARDS for panel in plan.panels for expr, _ in panel.queries]

SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "step_node").rglob("*.py"))
KNOWN = set(re.findall(r'"(step_\w+)"', SOURCES)) | NOT_OURS | {"process_cpu_seconds_total"}


@pytest.mark.parametrize("plan", DASHBOARDS, ids=lambda plan: plan.name)
def test_the_committed_dashboard_is_what_its_plan_gives(plan: DashboardPlan) -> None:
    committed = (FOLDER / f"{plan.name}.json").read_text(encoding="utf-8")
    assert committed == dashboard_text(plan), "run python -m scripts.dashboards"


def test_no_dashboard_is_left_over() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {plan.name for plan in DASHBOARDS}


@pytest.mark.parametrize("plan", DASHBOARDS, ids=lambda plan: plan.name)
def test_grafanas_types_read_every_field_of_a_dashboard(plan: DashboardPlan) -> None:
    committed: dict[str, Any] = json.loads((FOLDER / f"{plan.name}.json").read_text(encoding="utf-8"))
    read = Dashboard.from_json(committed)
    assert json.loads(JSONEncoder(sort_keys=True).encode(read)) == committed
    assert len(committed["panels"]) == len(plan.panels)
    for panel in committed["panels"]:
        assert {panel["title"], panel["description"]} - {""}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert panel["datasource"]["uid"] == "step-prometheus"


def test_panels_do_not_lie_on_one_another() -> None:
    for plan in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads((FOLDER / f"{plan.name}.json").read_text(encoding="utf-8"))["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, (plan.name, panel["title"])
            taken |= cells


@pytest.mark.parametrize(("name", "title", "expr"), QUERIES)
def test_every_metric_of_a_query_is_one_that_a_node_shows_or_a_rule_records(name: str, title: str, expr: str) -> None:
    assert set(re.findall(r"instance:[\w:]+", expr)) <= set(shipped_expressions()), (name, title)
    for metric in METRIC.findall(re.sub(r"instance:[\w:]+", "", expr)):
        kept = re.sub(r"_(bucket|count|sum|total)$", "", metric)
        assert {metric, kept} & KNOWN, f"{name}, {title}: {metric}"


def test_grafana_is_given_the_data_source_and_the_folder_that_the_dashboards_mean() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert [source["uid"] for source in sources] == ["step-prometheus"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "step.yml").read_text())["providers"]
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounted["./deploy/grafana/dashboards"] == provider["options"]["path"]


def test_prometheus_of_compose_scrapes_where_its_nodes_listen() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    (group,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "targets" / "nodes.yml").read_text())
    nodes = {name: service for name, service in services.items() if re.fullmatch(r"node\d", name)}
    assert group["targets"] == [f"{name}:{node['environment']['STEP_METRICS__PORT']}" for name, node in nodes.items()]
    for name in ("prometheus", "alertmanager", "grafana"):
        assert services[name]["profiles"] == ["monitoring"]
        for volume in services[name]["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_dir(), source
