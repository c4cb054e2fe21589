"""`step-node curves`, called as people call it; what is measured is tests/testing/bench/curves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from step_node.testing.bench.curves.measuring import CURVES
from step_node.testing.bench.curves.points import Curves, write_curves
from tests.cli.conftest import Command
from tests.testing.bench.curves.made_up import made_up_curve


def test_the_curves_are_listed_and_others_are_refused(command: Command) -> None:
    listed = command("curves", "--list")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [plan.name for plan in CURVES]
    refused = command("curves", "--only", "speed")
    assert refused.exit_code == 2
    assert "no curve" in refused.output


def test_kept_points_are_drawn_again_without_measuring(command: Command, tmp_path: Path) -> None:
    points, figures = tmp_path / "curves.json", tmp_path / "figures"
    write_curves(points, Curves(curves=(made_up_curve("load"), made_up_curve("validators"))))
    redrawn = command("curves", "--redraw", "--points", points, "--figures", figures)
    assert redrawn.exit_code == 0
    assert redrawn.stdout.splitlines() == [str(figures / "load.svg"), str(figures / "validators.svg")]
    first = (figures / "load.svg").read_bytes()
    assert command("curves", "--redraw", "--points", points, "--figures", figures, "--only", "load").exit_code == 0
    assert (figures / "load.svg").read_bytes() == first


def test_nothing_is_drawn_of_what_was_never_measured(command: Command, tmp_path: Path) -> None:
    result = command("curves", "--redraw", "--points", tmp_path / "curves.json", "--only", "load")
    assert result.exit_code == 1
    assert "holds no points of load; leave --redraw out to measure them" in result.output


def test_without_matplotlib_it_says_what_to_install_before_anything_is_measured(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "step_node.testing.bench.curves.figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = command("curves", "--only", "validators")
    assert result.exit_code == 1
    assert "figures need Matplotlib, which is not installed: make setup-dev, or pip install 'step-node[curves]'" in (
        result.output
    )
