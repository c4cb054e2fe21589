"""`step-node economy report`: of a home, of a node, as lines, JSON and a page."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from step_node.cli.economy.fairness_lines import BAR_CELLS, report_lines
from step_node.cli.economy.fairness_plots import draw_all
from step_node.cli.economy.fairness_source import report_of_home
from step_node.cli.error_lines import CommandError
from step_node.economy.fairness.report import FairnessReport, report_hash
from step_node.home.paths import NodeHome
from tests.cli.conftest import Command
from tests.cli.made_up_reports import keep_reports

EPOCHS = 12


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the reports of some epochs."""
    home = tmp_path_factory.mktemp("reported")
    trio.run(keep_reports, home, EPOCHS)
    return home


def test_the_last_epoch_is_told_in_lines_with_bars(command: Command, reported: Path) -> None:
    result = command("economy", "report", "--home", reported)
    assert result.exit_code == 0, result.stderr
    shown = report_of_home(reported, None)
    assert result.stdout.splitlines() == list(report_lines(shown))
    assert f"Epoch {EPOCHS} of " in result.stdout
    report = shown.report
    assert report.income.gini_ppm is not None
    filled = round(BAR_CELLS * report.income.gini_ppm / 1_000_000)
    assert f"{report.income.gini_ppm / 10_000:.1f} %  {'#' * filled}{'.' * (BAR_CELLS - filled)}  +" in result.stdout
    assert f"{report.paid} STEP for {report.proofs:,} proofs" in result.stdout
    assert "missed 4 of 20" in result.stdout
    assert shown.hash in result.stdout


def test_programs_get_the_report_its_hash_and_its_drift(command: Command, reported: Path) -> None:
    told = json.loads(command("economy", "report", "--home", reported, "--epoch", 2, "--json").stdout)
    report = FairnessReport.model_validate(told["report"])
    assert report.epoch == 2
    assert told["reportHash"] == f"0x{report_hash(report.canonical_json()).hex()}"
    assert told["drift"]["comparedEpochs"] == 1
    first = json.loads(command("economy", "report", "--home", reported, "--epoch", 1, "--json").stdout)
    assert first["drift"] == {"comparedEpochs": 0, "incomeGiniPpm": None, "incomeTopSharePpm": None}


def test_figures_and_a_page_are_written_and_are_the_same_each_time(
    command: Command, reported: Path, tmp_path: Path
) -> None:
    result = command("economy", "report", "--home", reported, "--plots", tmp_path)
    assert result.exit_code == 0, result.stderr
    drawn = draw_all(report_of_home(reported, None))
    assert set(drawn) == {"who.svg", "where.svg", "validators.svg", "over-time.svg", "report.html"}
    for name, data in drawn.items():
        assert (tmp_path / name).read_bytes() == data
        assert str(tmp_path / name) in result.stdout
    page = drawn["report.html"].decode()
    assert page.count("<svg") == 4
    assert "percentage points above the mean of the epochs before" in page
    assert "<script" not in page


def test_a_first_epoch_has_no_figure_over_time(reported: Path) -> None:
    assert "over-time.svg" not in draw_all(report_of_home(reported, 1))


def test_what_is_not_there_is_told_with_what_is(command: Command, reported: Path, tmp_path: Path) -> None:
    refused = command("economy", "report", "--home", reported, "--epoch", 99)
    assert refused.exit_code == 1
    assert "has no report of epoch 99; it has those of 1 to 12" in refused.stderr
    nothing = command("economy", "report", "--home", tmp_path)
    assert nothing.exit_code == 1
    assert "has a node run in this home?" in nothing.stderr
    both = command("economy", "report", "--home", reported, "--url", "http://127.0.0.1:1")
    assert both.exit_code == 2
    assert not NodeHome(tmp_path).economy.exists(), "a command that reads has made a file"


@pytest.fixture
def answering(reported: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a node's API answer of these reports; of the last one with other bytes, or without its drift."""

    def answer(told: bytes | None = None, *, has_drift: bool = True) -> None:
        shown = report_of_home(reported, None)
        headlines = [one.model_dump(mode="json", by_alias=True) | {"drift": None} for one in reversed(shown.headlines)]

        def get_json(_url: str, path: str) -> dict[str, object]:
            if path.startswith("/fairness?"):
                return {"ok": True, "epochs": headlines, "more": "of a later release"}
            if path == f"/fairness/{EPOCHS}/drift" and has_drift and shown.drift is not None:
                return {"ok": True, "epoch": EPOCHS, **shown.drift.model_dump(mode="json", by_alias=True)}
            return {"ok": False, "code": "REPORT_NOT_FOUND", "message": "epoch: it lacks one"}

        def get_bytes(url: str, path: str, *, accept: str) -> bytes:
            assert accept == "application/json"
            if path != f"/fairness/{EPOCHS}":
                raise CommandError(f"{url}{path}: REPORT_NOT_FOUND: epoch: 99 has not ended yet")
            return shown.report.canonical_json() if told is None else told

        monkeypatch.setattr("step_node.cli.economy.fairness_source.get_json", get_json)
        monkeypatch.setattr("step_node.cli.economy.fairness_source.get_bytes", get_bytes)

    return answer


def test_a_node_says_the_same_as_its_home(command: Command, reported: Path, answering: Callable[..., None]) -> None:
    answering()
    of_node = command("economy", "report", "--url", "http://node")
    assert of_node.stdout == command("economy", "report", "--home", reported).stdout
    refused = command("economy", "report", "--url", "http://node", "--epoch", 99)
    assert "REPORT_NOT_FOUND: epoch: 99 has not ended yet" in refused.stderr


def test_a_node_that_lacks_the_epochs_before_tells_the_report_without_a_drift(
    command: Command, reported: Path, answering: Callable[..., None]
) -> None:
    answering(has_drift=False)
    told = json.loads(command("economy", "report", "--url", "http://node", "--json").stdout)
    assert told["drift"] is None
    of_home = json.loads(command("economy", "report", "--home", reported, "--json").stdout)
    assert (told["report"], told["reportHash"]) == (of_home["report"], of_home["reportHash"])


def test_the_commands_of_the_page_do_what_it_says(
    command: Command, reported: Path, tmp_path: Path, answering: Callable[..., None]
) -> None:
    answering()
    page = (Path(__file__).parents[2] / "docs" / "fairness.md").read_text(encoding="utf-8")
    lines = re.findall(r"^step-node (economy report .+)$", page, re.MULTILINE)
    assert len(lines) == 3
    replaced = {"node": str(reported), "fairness": str(tmp_path / "fairness")}
    for line in lines:
        arguments = [replaced.get(argument, argument) for argument in shlex.split(line)]
        result = command(*arguments)
        assert result.exit_code == 0, result.stderr
    assert (tmp_path / "fairness" / "report.html").exists()


def test_what_is_no_report_in_its_canonical_form_is_not_shown(
    command: Command, reported: Path, answering: Callable[..., None]
) -> None:
    canonical = report_of_home(reported, None).report.canonical_json()
    answering(canonical.replace(b",", b", ", 1))
    refused = command("economy", "report", "--url", "http://node")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "the report must be in its canonical form" in refused.stderr
    for told in (b'{"epoch": 12}', b"[" * 100_000, b"nothing", b"\xff"):
        answering(told)
        other = command("economy", "report", "--url", "http://node")
        assert (other.exit_code, other.stdout) == (1, "")
        assert "is it a node of another release?" in other.stderr


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("epoch", 3, "report.epoch: is 3, and 12 was asked for"),
        ("chainId", "\x1b[2J", "report.chainId: must match"),
        ("begins", "<script>alert(1)</script>", "report.begins: must be"),
        ("ends", "2026", "report.ends: must be"),
        ("proofs", 2**60, "exceeds safe integer"),
        (
            "regions",
            [{"triangleId": "\x1b", "proofs": 0, "paid": "0.000000", "sharePpm": 0}],
            "report.regions.triangleId",
        ),
    ],
)
def test_what_a_node_tells_cannot_do_anything_to_who_looks_at_it(
    command: Command, reported: Path, answering: Callable[..., None], field: str, value: object, rule: str
) -> None:
    told = report_of_home(reported, None).report.model_dump(mode="json", by_alias=True) | {field: value}
    answering(json.dumps(told, sort_keys=True, separators=(",", ":")).encode())
    refused = command("economy", "report", "--url", "http://node")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("error: http://node/fairness/12: ")
    assert rule in refused.stderr
    assert "\x1b" not in refused.stderr


def test_without_matplotlib_only_figures_are_refused(
    command: Command, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "step_node.cli.economy.fairness_plots", raising=False)
    assert command("economy", "report", "--home", reported).exit_code == 0
    refused = command("economy", "report", "--home", reported, "--plots", tmp_path / "plots")
    assert refused.exit_code == 1
    assert "pip install 'step-node[plots]', or leave --plots out" in refused.stderr
