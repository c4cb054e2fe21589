"""Figures of what many runs came to, for people who are no engineers. The same results give the same bytes.

Matplotlib is no dependency of a node; the extra `plots` brings it. So this module is imported where figures are drawn,
and nowhere else. Colours are those of Okabe and Ito, which people who do not see all colours can tell apart.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from mesh import LEVEL_MAX
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.movement import Floats
from step_node.testing.economy.results import DAYS_A_YEAR, PERCENTS, Outcome, shown, table

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
WIDTH_INCHES: Final = 8.0
PANEL_INCHES: Final = 3.6
CAPTION_CHARACTERS: Final = 105
CAPTION_POINTS: Final = 8.5
MARGIN: Final = 1.08
LINE_POINTS: Final = 1.8
LOG_FROM_TIMES: Final = 100
"""From there on bars stand on a scale of powers of ten: the shortest could not be seen otherwise."""
SHORT_SCALE_TIMES: Final = 300
TIME_MARKS_MAX: Final = 7
MILLION: Final = 1_000_000
LEGEND_COLUMNS: Final = 4


@dataclass(frozen=True, slots=True)
class _Line:
    """A panel with one measure over the days."""

    measure: str
    title: str
    axis: str
    is_share: bool = False
    is_log: bool = False
    is_count: bool = False
    is_left_out_at_zero: bool = False
    """Whether there is nothing to see in it where it is 0 on all days."""


_FIGURES: Final[dict[str, tuple[str, tuple[_Line, ...]]]] = {
    "supply": (
        "Proofs and validators are the only sources of new STEP. What validators of the start had put up is not shown.",
        (
            _Line("minted_since_genesis_step", "STEP made since the chain began", "STEP"),
            _Line("paid_step_per_day", "STEP paid for proofs each day", "STEP a day", is_log=True),
        ),
    ),
    "pay": (
        "The first proofs in an area find large triangles, which pay most; those after them find ever smaller ones.",
        (
            _Line("people_pay_ustep_per_proof", "What one proof pays to people", "millionths of a STEP", is_log=True),
            _Line(
                "invented_share",
                "What invented accounts take of all that proofs are paid",
                "of all",
                is_share=True,
                is_left_out_at_zero=True,
            ),
            _Line(
                "nothing_left_share",
                "Proofs that find nothing left where they are made",
                "of all",
                is_share=True,
                is_left_out_at_zero=True,
            ),
        ),
    ),
    "velocity": (
        "What is sent in a week, as a share of what all accounts hold, times 52: 1 means that on average each STEP is"
        " handed on once a year.",
        (_Line("velocity_per_year", "How often a STEP changes hands in a year", "times a year"),),
    ),
    "concentration": (
        "Of what people hold, with their own stakes. Gini: 0 % where all have the same, 100 % where one has all.",
        (
            _Line("top_1_percent_share", "What the richest 1 % of accounts hold", "of all", is_share=True),
            _Line("gini", "How unequal all accounts are (Gini coefficient)", "", is_share=True),
        ),
    ),
    "validators": (
        "Whoever controls more than a third of the validators can stop the chain. Those that collude in the scenario"
        " count as one, and so do those of invented accounts.",
        (
            _Line("validators", "Validators", "how many", is_count=True),
            _Line("nakamoto", "How many of them must act as one to stop the chain", "how many", is_count=True),
        ),
    ),
}


def draw_all(outcomes: Sequence[Outcome], *, form: str = "svg") -> dict[str, bytes]:
    """Each figure's file name and bytes."""
    drawn: dict[str, bytes] = {}
    for name, (caption, lines) in _FIGURES.items():
        panels = [_over_days(outcomes, line) for line in lines if _is_to_be_seen(outcomes, line)]
        drawn[f"{name}.{form}"] = _figure(name, outcomes, caption, panels, form)
    emission: list[_Draw] = [lambda axes: _paid_by_level(axes, outcomes), lambda axes: _paid_by_group(axes, outcomes)]
    if len(outcomes[0].scenario.cities) > 1 or _is_elsewhere(outcomes):
        emission.append(lambda axes: _paid_by_city(axes, outcomes))
    drawn[f"emission.{form}"] = _figure(
        "emission",
        outcomes,
        "Paid for proofs by the end, on average. A triangle of level 1 is as large as a continent, one of level 21 as a"
        " room. Where bars differ a lot, the scale goes by powers of ten: a little more is much more.",
        emission,
        form,
    )
    drawn[f"stakes.{form}"] = _figure(
        "stakes",
        outcomes,
        "Validators from the largest stake to the smallest, those that wait to join included. The mean of all runs.",
        [lambda axes: _stakes(axes, outcomes)],
        form,
    )
    drawn[f"time-to-a-stake.{form}"] = _figure(
        "time-to-a-stake",
        outcomes,
        "How long an average account of each kind would take to earn the least stake of a validator by proofs alone, if"
        " it went on to be paid as in the last quarter of the simulated days. Pay falls, so it would take longer.",
        [lambda axes: _time_to_a_stake(axes, outcomes)],
        form,
    )
    return drawn


def _about(years: float) -> str:
    if math.isnan(years):
        return "never"
    if years < 1:
        days = float(f"{years * DAYS_A_YEAR:.2g}")
        return f"{shown(days)} day{'' if days == 1 else 's'}"
    number = float(f"{years:.2g}")
    return f"{shown(number / MILLION)} million years" if number >= MILLION else f"{shown(number)} years"


_Draw = Callable[[Axes], None]


def _figure(name: str, outcomes: Sequence[Outcome], caption: str, panels: Sequence[_Draw], form: str) -> bytes:
    # Text stays text, and ids follow from the name: figures can be searched, and compared.
    with rc_context({"svg.hashsalt": f"step {name}", "svg.fonttype": "none"}):
        figure = Figure(figsize=(WIDTH_INCHES, PANEL_INCHES * len(panels) + 0.6), layout="constrained")
        for axes, draw in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
            draw(axes)
            axes.spines[["top", "right"]].set_visible(False)
        if len(outcomes) > 1:
            lines, names = figure.axes[0].get_legend_handles_labels()
            figure.legend(lines, names, loc="outside upper left", frameon=False, ncols=min(LEGEND_COLUMNS, len(names)))
        figure.supxlabel(
            textwrap.fill(f"{caption} {_runs(outcomes, has_lines=name in _FIGURES)}", CAPTION_CHARACTERS),
            fontsize=CAPTION_POINTS,
            color="#444444",
        )
        drawn = BytesIO()
        figure.savefig(drawn, format=form, dpi=110, metadata={"Date": None, "Creator": None} if form == "svg" else None)
    return drawn.getvalue()


def _runs(outcomes: Sequence[Outcome], *, has_lines: bool) -> str:
    count = len(outcomes[0].runs)
    title = outcomes[0].scenario.title
    if count == 1:
        return f"Simulated: {title}. One run."
    same = " Where lines lie on one another, the variants do not differ." if has_lines and len(outcomes) > 1 else ""
    lines = "; lines are the middle run, shades hold nine of ten runs" if has_lines else ""
    return f"Simulated: {title}. {count:,} runs{lines}.{same}"


def _over_days(outcomes: Sequence[Outcome], line: _Line) -> _Draw:
    def draw(axes: Axes) -> None:
        top = 0.0
        for number, outcome in enumerate(outcomes):
            colour, values = COLOURS[number % len(COLOURS)], outcome.measure(line.measure)
            if line.is_log:
                values = np.where(values > 0, values, np.nan)
            # On days on which nobody does anything there is no pay of a proof, and no share of nothing.
            is_known = ~np.isnan(values).all(axis=0)
            days = np.array(outcome.days)[is_known]
            low, middle, high = np.nanpercentile(values[:, is_known], PERCENTS, axis=0)
            axes.fill_between(days, low, high, color=colour, alpha=0.15, linewidth=0)
            # The first line is the widest, so that one that lies over it hides none.
            width = LINE_POINTS * (1 + (len(outcomes) - 1 - number) * 0.35)
            axes.plot(days, middle, color=colour, label=outcome.variant, linewidth=width, solid_capstyle="butt")
            top = max(top, float(high.max()))
        axes.set_title(line.title, loc="left", fontweight="bold")
        axes.set_ylabel(line.axis)
        axes.set_xlabel("day")
        axes.grid(axis="y", alpha=0.3)
        _scale(axes, line, top)

    return draw


def _is_to_be_seen(outcomes: Sequence[Outcome], line: _Line) -> bool:
    return not line.is_left_out_at_zero or any(np.nansum(one.measure(line.measure)) > 0 for one in outcomes)


def _scale(axes: Axes, line: _Line, top: float) -> None:
    if line.is_share:
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    elif line.is_log and top > 0:
        axes.set_yscale("log")
        _name_marks(axes)
    else:
        axes.set_ylim(0, top * MARGIN or 1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        if line.is_count:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _paid_by_level(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    levels = np.arange(1, LEVEL_MAX + 1)
    means = [np.mean([run.emission_by_level[1:] for run in one.runs], axis=0) / USTEP_PER_STEP for one in outcomes]
    _bars(axes, [str(level) for level in levels], means, outcomes)
    axes.set_title("STEP paid for proofs, by level of triangles", loc="left", fontweight="bold")
    axes.set_xlabel("level: from continents (1) to rooms (21)")


def _paid_by_group(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    groups = outcomes[0].scenario.groups
    found = table("people", outcomes)
    means = [
        np.array([float(row[2]) * float(row[3]) for row in found.rows if row[0] == outcome.variant])
        for outcome in outcomes
    ]
    _bars(axes, [group.name for group in groups], means, outcomes)
    axes.set_title("STEP paid for proofs, by who made them", loc="left", fontweight="bold")


def _is_elsewhere(outcomes: Sequence[Outcome]) -> bool:
    return any(run.emission_by_city[-1] for one in outcomes for run in one.runs)


def _paid_by_city(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    names = outcomes[0].regions
    means = [np.mean([run.emission_by_city for run in one.runs], axis=0) / USTEP_PER_STEP for one in outcomes]
    _bars(axes, names, means, outcomes)
    axes.set_title("STEP paid for proofs, by where they were made", loc="left", fontweight="bold")


def _bars(axes: Axes, names: Sequence[str], heights: Sequence[Floats], outcomes: Sequence[Outcome]) -> None:
    width = 0.8 / len(heights)
    places = np.arange(len(names))
    for number, values in enumerate(heights):
        at = places - 0.4 + width * (number + 0.5)
        axes.bar(at, values, width, color=COLOURS[number % len(COLOURS)], label=outcomes[number].variant)
    axes.set_xticks(places, names)
    axes.set_ylabel("STEP")
    axes.grid(axis="y", alpha=0.3)
    paid = np.concatenate(heights)
    paid = paid[paid > 0]
    if len(paid) and paid.max() > LOG_FROM_TIMES * paid.min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=10.0 ** np.floor(np.log10(paid.min())))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def _stakes(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    found = table("stakes", outcomes)
    for number, outcome in enumerate(outcomes):
        ranked = [(row[1], row[3]) for row in found.rows if row[0] == outcome.variant]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*ranked, strict=True), marker="o", markersize=4, color=colour, label=outcome.variant)
    axes.set_yscale("log")
    _name_marks(axes)
    axes.set_title("How large the validators' stakes are", loc="left", fontweight="bold")
    axes.set_xlabel("validators, the largest stake first")
    axes.set_ylabel("STEP")
    axes.grid(axis="y", alpha=0.3)


def _time_to_a_stake(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    found = table("people", outcomes)
    groups = [group.name for group in outcomes[0].scenario.groups]
    height = 0.8 / len(outcomes)
    for number, outcome in enumerate(outcomes):
        years = {str(row[1]): float(row[7]) for row in found.rows if row[0] == outcome.variant}
        at = np.arange(len(groups)) - 0.4 + height * (number + 0.5)
        bars = axes.barh(
            at, [years[name] for name in groups], height, color=COLOURS[number % len(COLOURS)], label=outcome.variant
        )
        axes.bar_label(bars, [f" {_about(years[name])}" for name in groups], fontsize=CAPTION_POINTS)
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.xaxis.set_major_locator(LogLocator(numticks=TIME_MARKS_MAX))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.set_xlabel("years")
    axes.set_title("How long a validator's stake takes to earn", loc="left", fontweight="bold")
    axes.grid(axis="x", alpha=0.3)


def _plain(value: float, _position: int | None) -> str:
    number = float(f"{value:.6g}")
    return f"{shown(number / MILLION)} million" if number >= MILLION else shown(number)


def _name_marks(axes: Axes) -> None:
    """Plain numbers beside a scale of powers of ten; where it spans few of them, beside 2 and 5 as well."""
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    low, high = axes.get_ylim()
    is_short = high < SHORT_SCALE_TIMES * low
    axes.yaxis.set_minor_formatter(FuncFormatter(_plain_if_round) if is_short else NullFormatter())


def _plain_if_round(value: float, _position: int | None) -> str:
    """Of the marks between powers of ten, only 2 and 5 are named."""
    return _plain(value, None) if f"{value:.6e}"[0] in "25" else ""
