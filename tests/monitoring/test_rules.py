"""The shipped rules: Prometheus' own checks, what each alert must have, and a history in which it comes and goes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.monitoring.alert_cases import CASES, HEALTHY, NODE, Case
from tests.monitoring.rules import (
    ROOT,
    RULE_FILES,
    program,
    shipped_alerts,
    shipped_expressions,
    shrunk,
    write_shrunk_rules,
)

ALERTS = shipped_alerts()
NOT_OURS = {"up", "process_start_time_seconds", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
"""What Prometheus and its client for Python show."""

METRIC = re.compile(r"\b(?:step|process|up)\w*\b(?!:)")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What it says."""
    return subprocess.run(
        [program("promtool", "prometheus"), *arguments], capture_output=True, text=True, check=False, timeout=120
    )


def test_prometheus_finds_the_rules_and_its_configuration_right(tmp_path: Path) -> None:
    for arguments in (
        ("rules", *map(str, RULE_FILES)),
        ("config", str(ROOT / "deploy" / "prometheus" / "prometheus.yml")),
    ):
        outcome = promtool("check", *arguments)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    write_shrunk_rules(tmp_path)
    outcome = promtool("check", "rules", *map(str, tmp_path.glob("*.yml")))
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_alertmanager_finds_its_configuration_right() -> None:
    outcome = subprocess.run(
        [program("amtool", "prometheus-alertmanager"), "check-config", "deploy/alertmanager/alertmanager.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_says_how_grave_it_is_what_is_so_and_what_to_read(alert: object) -> None:
    assert isinstance(alert, type(ALERTS[0]))
    assert alert.severity in ("critical", "warning")
    assert re.fullmatch(r"(\S+ )+\S+\.", alert.summary), "a sentence on one line"
    page, _, anchor = alert.runbook.partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_guide_lists_every_alert_with_its_severity_and_none_that_is_not_there() -> None:
    rows = re.findall(r"^\| `(Step\w+)` \| (\w+) \|", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted((alert.name, alert.severity) for alert in ALERTS)


def test_every_metric_of_a_rule_is_one_that_a_node_or_prometheus_shows() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "step_node").rglob("*.py"))
    known = set(re.findall(r'"(step_\w+)"', sources)) | NOT_OURS
    for name, expr in shipped_expressions().items():
        text = re.sub(r'"[^"]*"|\binstance:[\w:]+', "", expr)
        for metric in METRIC.findall(text):
            kept = re.sub(r"_(bucket|count|sum|total)$", "", metric)
            assert {metric, kept} & known, f"{name}: {metric}"


def test_every_recorded_figure_that_a_rule_uses_is_recorded() -> None:
    expressions = shipped_expressions()
    for name, expr in expressions.items():
        assert set(re.findall(r"\binstance:[\w:]+", expr)) <= set(expressions), name


def test_every_alert_has_a_history_in_which_it_comes_and_goes() -> None:
    assert {case.alert for case in CASES} == {alert.name for alert in ALERTS}
    for case in CASES:
        assert min(case.quiet) < case.fires < max(case.quiet), case.alert


LONG_MINUTES = 200
"""What lasts longer is played in steps of several minutes: promtool takes its time for each."""

LONG_STEP_MINUTES = 4
"""Less than the five after which Prometheus takes a series for gone."""


def _series(series: dict[str, str], step_minutes: int, *, node: str = NODE) -> list[dict[str, str]]:
    """As promtool takes them, a sample every `step_minutes`, shown by `node`."""
    return [
        {"series": name.replace(NODE, node), "values": " ".join(values.split()[::step_minutes])}
        for name, values in series.items()
    ]


def _is_long(case: Case) -> bool:
    return case.fires > LONG_MINUTES


def _test_of(cases: list[Case], *, step_minutes: int = 1) -> dict[str, object]:
    """All of them at once, each shown by a node of its own."""
    series: list[dict[str, str]] = []
    asked: list[dict[str, object]] = []
    for number, case in enumerate(cases):
        name = f'instance="node{number}"'
        series += _series(case.series, step_minutes, node=f'job="step-node", {name}')
        whose = f", {name}" if sum(other.alert == case.alert for other in cases) > 1 else ""
        firing = f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"{whose}}})'
        asked.append({"expr": firing, "eval_time": f"{case.fires}m", "exp_samples": [{"labels": "{}", "value": 1}]})
        asked += [{"expr": firing, "eval_time": f"{minute}m", "exp_samples": []} for minute in case.quiet]
    return {"interval": f"{step_minutes}m", "input_series": series, "promql_expr_test": asked}


def outcome_of(folder: Path, test: dict[str, object], *, step_minutes: int = 1) -> subprocess.CompletedProcess[str]:
    """What promtool says of this test of the shipped rules."""
    path = folder / "rules.test.yml"
    path.write_text(
        yaml.safe_dump(
            {
                "rule_files": list(map(str, RULE_FILES)),
                "evaluation_interval": f"{step_minutes}m",
                "tests": [test],
            }
        )
    )
    return promtool("test", "rules", str(path))


@pytest.mark.parametrize("long", [False, True])
def test_every_alert_fires_when_it_should_and_clears(tmp_path: Path, long: bool) -> None:
    step_minutes = LONG_STEP_MINUTES if long else 1
    test = _test_of([case for case in CASES if _is_long(case) == long], step_minutes=step_minutes)
    outcome = outcome_of(tmp_path, test, step_minutes=step_minutes)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_nothing_fires_on_a_node_that_is_well(tmp_path: Path) -> None:
    quiet: dict[str, object] = {
        "interval": "2m",
        "input_series": _series(HEALTHY, 2),
        "promql_expr_test": [
            {"expr": "count(ALERTS)", "eval_time": f"{minute}m", "exp_samples": []} for minute in range(10, 900, 40)
        ],
    }
    outcome = outcome_of(tmp_path, quiet, step_minutes=2)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_an_alert_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    case = Case("StepNodeDown", {'up{job="another", instance="x"}': "0+0x30"}, 15, (5, 25))
    outcome = outcome_of(tmp_path, _test_of([case]))
    assert outcome.returncode != 0
    assert "StepNodeDown" in outcome.stdout + outcome.stderr


def test_shrinking_shortens_every_duration_and_nothing_else() -> None:
    assert shrunk("rate(a_total[5m]) > 10 and b[1h] offset 6h") == "rate(a_total[15s]) > 10 and b[60s] offset 60s"
    assert shrunk("predict_linear(a[6h], 4 * 86400)") == "predict_linear(a[60s], 4 * 86400)"
    assert shrunk("max_over_time(a[1m])") == "max_over_time(a[5s])"
    for expr in shipped_expressions().values():
        assert re.sub(r"\d+[smhd]", "", shrunk(expr)) == re.sub(r"\d+[smhd]", "", expr)
