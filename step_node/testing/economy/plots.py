"""Figures of what many runs came to, for people who are no engineers. The same results give the same bytes.

Matplotlib is no dependency of a node; the extra `plots` brings it. So this module is imported where figures are drawn,
and nowhere else.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from matplotlib import rc_context
from matplotlib.figure import Figure

from step_node.testing.economy.panels import (
    Line,
    Panel,
    is_elsewhere,
    is_to_be_seen,
    over_days,
    paid_by_city,
    paid_by_group,
    paid_by_level,
    stakes,
    time_to_a_stake,
    time_to_exhaustion,
)
from step_node.testing.economy.results import Outcome

WIDTH_INCHES: Final = 8.0
PANEL_INCHES: Final = 3.3
BAR_INCHES: Final = 0.19
FRAME_INCHES: Final = 1.1
CAPTION_CHARACTERS: Final = 120
CAPTION_POINTS: Final = 8.5
QUESTION_POINTS: Final = 13
LEGEND_CHARACTERS: Final = 95
"""Of all names in a row of the legend."""
LEGEND_MARK_CHARACTERS: Final = 7
"""As wide is the coloured mark before a name."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure: by its file's name, what it asks, what one has to know to read it, and itself, as SVG."""

    name: str
    question: str
    explanation: str
    svg: bytes


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a figure is about, and its panels, with how high they are. Without panels it is not drawn."""

    name: str
    question: str
    explanation: str
    panels: Sequence[tuple[Panel, float]]
    has_lines: bool = False


def draw_all(outcomes: Sequence[Outcome]) -> list[Drawing]:
    """All figures for which there is something to see, in the order in which one reads them."""
    return [
        Drawing(subject.name, subject.question, _explanation(subject, outcomes), _svg(subject, outcomes))
        for subject in _subjects(outcomes)
        if subject.panels
    ]


def _subjects(outcomes: Sequence[Outcome]) -> Iterator[_Subject]:
    yield _over_time(
        outcomes,
        "supply",
        "How many STEP come into being?",
        "Proofs and validators are the only sources of new STEP. What validators of the start had put up is not shown.",
        Line("minted_since_genesis_step", "STEP made since the chain began", "STEP"),
        Line("paid_step_per_day", "STEP paid for proofs each day", "STEP a day", is_log=True),
    )
    yield _over_time(
        outcomes,
        "pay",
        "What is a proof paid, and who gets it?",
        "The first proofs in an area find large triangles, which pay most; those after them find ever smaller ones. So"
        " pay falls by powers of ten, and the scale goes by them.",
        Line("people_pay_ustep_per_proof", "What one proof pays to people", "millionths of a STEP", is_log=True),
        Line(
            "invented_share",
            "What invented accounts take of all that proofs are paid",
            "of all pay",
            is_share=True,
            is_left_out_at_zero=True,
        ),
        Line(
            "nothing_left_share",
            "Proofs that find nothing left where they are made",
            "of all proofs",
            is_share=True,
            is_left_out_at_zero=True,
        ),
    )
    yield _emission(outcomes)
    yield _Subject(
        "exhaustion",
        "How long until a place is used up?",
        "Every place takes a number of proofs and no more. So long all of them last, if people go on to prove as many"
        " everywhere in it. Where they mostly are, nothing is left long before: the day on which half of those who"
        " tried found nothing stands beside the bar. Where bars differ a lot, the scale goes by powers of ten.",
        [(lambda axes: time_to_exhaustion(axes, outcomes), _bars_inches(outcomes, len(outcomes[0].scenario.cities)))],
    )
    yield _over_time(
        outcomes,
        "velocity",
        "How often does a STEP change hands?",
        "What is sent in a week, as a share of what all accounts hold, times 52: 1 means that on average each STEP is"
        " handed on once a year. What one person collects from accounts that he has invented counts as well.",
        Line("velocity_per_year", "How often a STEP changes hands in a year", "times a year", is_left_out_at_zero=True),
    )
    yield _over_time(
        outcomes,
        "concentration",
        "How unequal do people become?",
        "Of what people hold, with their own stakes; those who have not come yet are not counted. Gini: 0 % where all"
        " have the same, 100 % where one has all. Invented accounts are accounts too, and most of them are empty after"
        " each time that they have been collected from.",
        Line("top_1_percent_share", "What the richest 1 % of accounts hold", "of all they hold", is_share=True),
        Line("gini", "How unequal all accounts are", "Gini coefficient", is_share=True),
    )
    yield _Subject(
        "time-to-a-stake",
        "How long does it take to earn a validator's stake?",
        "How long an average account of each kind would take to earn the least stake of a validator by proofs alone, if"
        " it went on to be paid as in the last quarter of the simulated days. Pay falls, so it would take longer. Where"
        " bars differ a lot, the scale goes by powers of ten.",
        [(lambda axes: time_to_a_stake(axes, outcomes), _bars_inches(outcomes, len(outcomes[0].scenario.groups)))],
    )
    yield _Subject(
        "stakes",
        "How large are the validators' stakes?",
        "Validators from the largest stake to the smallest, those that wait to join included. The mean of all runs. The"
        " scale goes by powers of ten.",
        [(lambda axes: stakes(axes, outcomes), PANEL_INCHES)],
    )
    yield _over_time(
        outcomes,
        "validators",
        "How many could stop the chain?",
        "Whoever controls a third of the validators or more can stop the chain. Those that collude in the scenario"
        " count as one, and so do those of invented accounts.",
        Line("validators", "Validators", "validators", is_count=True),
        Line("nakamoto", "How many of them must act as one to stop the chain", "validators", is_count=True),
    )


def _over_time(outcomes: Sequence[Outcome], name: str, question: str, explanation: str, *lines: Line) -> _Subject:
    panels = [(over_days(outcomes, line), PANEL_INCHES) for line in lines if is_to_be_seen(outcomes, line)]
    return _Subject(name, question, explanation, panels, has_lines=True)


def _emission(outcomes: Sequence[Outcome]) -> _Subject:
    panels: list[tuple[Panel, float]] = [
        (lambda axes: paid_by_level(axes, outcomes), PANEL_INCHES),
    ]
    if len(outcomes[0].scenario.groups) > 1:
        panels.append((lambda axes: paid_by_group(axes, outcomes), PANEL_INCHES))
    if len(outcomes[0].scenario.cities) > 1 or is_elsewhere(outcomes):
        panels.append((lambda axes: paid_by_city(axes, outcomes), PANEL_INCHES))
    return _Subject(
        "emission",
        "Where does the pay go?",
        "Paid for proofs by the end, on average. A triangle of level 1 is as large as a continent, one of level 21 as a"
        " room. Where bars differ a lot, the scale goes by powers of ten: a little more is much more.",
        panels,
    )


def _bars_inches(outcomes: Sequence[Outcome], names: int) -> float:
    return FRAME_INCHES + names * max(2, len(outcomes) + 1) * BAR_INCHES


def _svg(subject: _Subject, outcomes: Sequence[Outcome]) -> bytes:
    # Text stays text, and ids follow from the name: figures can be searched, and compared. A $ in a title is a $.
    heights = [inches for _, inches in subject.panels]
    with rc_context({"svg.hashsalt": f"step {subject.name}", "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + FRAME_INCHES), layout="constrained")
        places = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (draw, _) in zip(places, subject.panels, strict=True):
            draw(axes)
            axes.spines[["top", "right"]].set_visible(False)
        # The question is the legend's title: beside it, one would lie over the other.
        lines, names = figure.axes[0].get_legend_handles_labels() if len(outcomes) > 1 else ([], [])
        figure.legend(
            lines,
            names,
            title=subject.question,
            title_fontproperties={"weight": "bold", "size": QUESTION_POINTS},
            alignment="left",
            loc="outside upper left",
            frameon=False,
            ncols=_legend_columns(names),
        )
        figure.supxlabel(
            textwrap.fill(_explanation(subject, outcomes), CAPTION_CHARACTERS),
            fontsize=CAPTION_POINTS,
            color="#444444",
            x=0.01,
            ha="left",
        )
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return drawn.getvalue()


def _legend_columns(names: Sequence[str]) -> int:
    widest = max(map(len, names), default=0) + LEGEND_MARK_CHARACTERS
    return max(1, min(len(names), LEGEND_CHARACTERS // widest))


def _explanation(subject: _Subject, outcomes: Sequence[Outcome]) -> str:
    return f"{subject.explanation} {_runs(outcomes, has_lines=subject.has_lines)}"


def _runs(outcomes: Sequence[Outcome], *, has_lines: bool) -> str:
    count = len(outcomes[0].runs)
    title = outcomes[0].scenario.title
    if count == 1:
        return f"Simulated: {title}. One run."
    same = " Where lines lie on one another, the variants do not differ." if has_lines and len(outcomes) > 1 else ""
    lines = "; lines are the middle run, shades hold nine of ten runs" if has_lines else ""
    return f"Simulated: {title}. {count:,} runs{lines}.{same}"
