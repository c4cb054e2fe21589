"""What is drawn can be read: units that fit, whole names, scales that show the shortest bar, a $ that is a $."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from step_node.testing.economy.panels import COLOURS, Line, Panel, over_days, time_to_a_stake, time_to_exhaustion
from step_node.testing.economy.plots import draw_all
from step_node.testing.economy.results import Outcome
from step_node.testing.economy.words import in_short


def drawn(panel: Panel) -> Axes:
    axes: Axes = Figure().subplots()
    panel(axes)
    return axes


def beside_the_bars(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_place_that_lasts_for_less_than_a_year_is_drawn_in_days(outcomes: Sequence[Outcome]) -> None:
    axes = drawn(lambda axes: time_to_exhaustion(axes, outcomes))
    assert axes.get_xlabel() == "days"
    assert axes.get_xscale() == "linear"
    assert len(beside_the_bars(axes)) == len(outcomes)
    assert all(" days; half find nothing from day " in text for text in beside_the_bars(axes))


def test_where_bars_differ_a_lot_the_shortest_can_be_seen_and_the_longest_has_room(outcomes: Sequence[Outcome]) -> None:
    axes = drawn(lambda axes: time_to_a_stake(axes, outcomes))
    lengths = np.array([bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)])
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "years"
    low, high = axes.get_xlim()
    assert low < lengths.min()
    assert high > 2 * lengths.max()


def test_beyond_seven_variants_lines_are_told_apart_by_dashes(outcomes: Sequence[Outcome]) -> None:
    many = [replace(outcomes[0], variant=f"v{number}") for number in range(len(COLOURS) + 2)]
    lines = drawn(over_days(many, Line("gini", "Gini", "", is_share=True))).get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(many)


def test_every_figure_asks_something_and_has_its_sentence(outcomes: Sequence[Outcome]) -> None:
    titled = [replace(one, scenario=one.scenario.model_copy(update={"title": "$1$ & <b>"})) for one in outcomes]
    drawings = draw_all(titled)
    assert {one.name for one in drawings} <= set(in_short(outcomes))
    for one in drawings:
        assert one.question.endswith("?")
        assert one.question in one.svg.decode()
        assert "$1$ &amp; &lt;b&gt;" in one.svg.decode()
    # Nobody pays in this scenario: there is no figure of payments.
    assert "velocity" not in {one.name for one in drawings}


@pytest.mark.parametrize("name", ["invented_share", "gini"])
def test_shares_are_drawn_as_per_cent(outcomes: Sequence[Outcome], name: str) -> None:
    axes = drawn(over_days(outcomes, Line(name, "", "", is_share=True)))
    axes.figure.canvas.draw()
    assert axes.yaxis.get_major_formatter()(0.2) == "20 %"
