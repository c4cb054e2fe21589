"""The file of points: what is written is read again, and what is none is told so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.errors import StepNodeError
from step_node.testing.bench.curves.points import Curves, read_curves, write_curves
from tests.testing.bench.curves.made_up import made_up_curve, made_up_point


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "curves.json"
    curves = Curves(curves=(made_up_curve(), made_up_curve("load", points=(made_up_point(3, p95_ms=None),))))
    write_curves(path, curves)
    assert read_curves(path) == curves


def test_no_file_is_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "curves.json") == Curves()


def test_a_curve_that_is_measured_again_takes_its_place_and_the_others_stay() -> None:
    first, second = made_up_curve("load"), made_up_curve("validators")
    again = made_up_curve("load", points=(made_up_point(9),))
    kept = Curves().with_curve(first).with_curve(second)
    assert kept.with_curve(again).curves == (again, second)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("scale", "logarithmic", "curves.0.scale: "),
        ("points", [], "curves.0.points: "),
        ("speed", 3, "curves.0.speed: unknown key"),
    ],
)
def test_a_file_that_is_none_is_told_with_the_field_and_the_way_out(
    tmp_path: Path, key: str, value: object, problem: str
) -> None:
    path = tmp_path / "curves.json"
    write_curves(path, Curves(curves=(made_up_curve(),)))
    content = json.loads(path.read_text())
    content["curves"][0][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(StepNodeError) as told:
        read_curves(path)
    assert str(path) in str(told.value)
    assert problem in str(told.value)
    assert "make curves" in str(told.value)
