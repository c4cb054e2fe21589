"""Figures are drawn from points alone, and say what their axes are and what was measured on what."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from step_node.testing.bench.curves.figures import FINALITY_AXIS, RATE_AXIS, draw
from step_node.testing.bench.curves.points import Curve
from tests.testing.bench.curves.made_up import BUSY, made_up_curve, made_up_point

SVG = "{http://www.w3.org/2000/svg}"
LOGARITHMIC = made_up_curve(scale="log", points=tuple(map(made_up_point, (10, 100, 1_000, 100_000))))
OF_RATES = made_up_curve("load", points=tuple(map(made_up_point, (8, 200, 400, 1_200))), found_per_second=410.0)


def _texts(curve: Curve) -> str:
    return " ".join(" ".join(ElementTree.fromstring(draw(curve)).itertext()).split())


def _points_drawn(curve: Curve, line: str) -> int:
    (group,) = (one for one in ElementTree.fromstring(draw(curve)).iter(f"{SVG}g") if one.get("id") == line)
    return len(list(group.iter(f"{SVG}use")))


@pytest.mark.parametrize("curve", [made_up_curve(), LOGARITHMIC, OF_RATES], ids=["linear", "log", "of rates"])
def test_every_point_is_drawn_and_every_axis_has_its_unit(curve: Curve) -> None:
    assert {line: _points_drawn(curve, line) for line in ("rate", "p50", "p95")} == dict.fromkeys(
        ("rate", "p50", "p95"), len(curve.points)
    )
    texts = _texts(curve)
    for label in (RATE_AXIS, FINALITY_AXIS, curve.axis, curve.title, "p50", "p95"):
        assert label in texts


def test_a_figure_says_how_and_on_what_it_was_measured_beside_which_limit() -> None:
    texts = _texts(made_up_curve())
    assert "Each is put beside the others." in texts
    assert "SQLite, 2 cores (x86_64), Python 3.11.7, step-node 0.1.0, 2026-01-31." in texts
    assert "Limit in the same run: 31,300 recoveries/s on one core." in texts
    assert "busy" not in texts
    assert "not final" not in texts


def test_a_busy_machine_and_lost_proofs_are_not_kept_quiet() -> None:
    texts = _texts(made_up_curve(conditions=BUSY, points=(made_up_point(1, lost=3), made_up_point(2, lost=4))))
    assert "The machine was busy with other things" in texts
    assert "7 accepted proofs were not final a minute later." in texts


def test_an_axis_names_its_points_but_one_of_rates() -> None:
    texts = _texts(LOGARITHMIC)
    for place in ("10", "100", "1,000", "100,000"):
        assert f" {place} " in texts
    assert " 8 " not in _texts(OF_RATES)


def test_the_rate_that_was_found_is_marked() -> None:
    assert "the most that was final" in _texts(OF_RATES)
    assert "the most that was final" not in _texts(made_up_curve())


def test_a_load_of_which_nothing_became_final_has_a_rate_and_no_finality() -> None:
    curve = made_up_curve(points=(made_up_point(1), made_up_point(2, p95_ms=None)))
    assert (_points_drawn(curve, "rate"), _points_drawn(curve, "p95")) == (2, 1)


def test_the_same_points_give_the_same_bytes() -> None:
    assert draw(LOGARITHMIC) == draw(LOGARITHMIC)
    assert b"<dc:date>" not in draw(LOGARITHMIC)
