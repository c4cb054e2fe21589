"""What stands in the figures: measures over days, bars, and spans of time, on Matplotlib's axes.

Colours are those of Okabe and Ito, which people who do not see all colours can tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from mesh import LEVEL_MAX
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.movement import Floats
from step_node.testing.economy.results import DAYS_A_YEAR, PERCENTS, Outcome, shown, table
from step_node.testing.economy.words import MILLION, lasting

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: Final = ("solid", "dashed", "dotted", "dashdot", (0, (6, 1)))
"""Of lines: beyond seven variants the colours come again, the next seven dashed, and so on."""
LABEL_POINTS: Final = 8.5
LABEL_PADDING: Final = 4
"""Points between a bar and what stands beside it."""
MARGIN: Final = 1.08
LINE_POINTS: Final = 1.8
LOG_FROM_TIMES: Final = 100
"""From there on bars stand on a scale of powers of ten: the shortest could not be seen otherwise."""
SHORT_SCALE_TIMES: Final = 300
TIME_MARKS_MAX: Final = 6
LABEL_SHARE: Final = 0.6
"""How much room there is beside the longest lying bar for what stands there, by its length."""

Panel = Callable[[Axes], None]


@dataclass(frozen=True, slots=True)
class Line:
    """A panel with one measure over the days."""

    measure: str
    title: str
    axis: str
    is_share: bool = False
    is_log: bool = False
    is_count: bool = False
    is_left_out_at_zero: bool = False
    """Whether there is nothing to see in it where it is 0 on all days."""


def over_days(outcomes: Sequence[Outcome], line: Line) -> Panel:
    """The middle run of each variant, and what nine of ten runs lie between."""

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
            width = LINE_POINTS * (1 + (len(outcomes) - 1 - number) * 0.25)
            style = DASHES[number // len(COLOURS)]
            axes.plot(days, middle, color=colour, linestyle=style, label=outcome.title, linewidth=width)
            top = max(top, float(high.max()))
        axes.set_title(line.title, loc="left")
        axes.set_ylabel(line.axis)
        axes.set_xlabel("day")
        axes.grid(axis="y", alpha=0.3)
        _scale(axes, line, top)

    return draw


def is_to_be_seen(outcomes: Sequence[Outcome], line: Line) -> bool:
    """Whether a panel of it has anything to see."""
    return not line.is_left_out_at_zero or any(np.nansum(one.measure(line.measure)) > 0 for one in outcomes)


def _scale(axes: Axes, line: Line, top: float) -> None:
    if line.is_share:
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    elif line.is_log and top > 0:
        axes.set_yscale("log")
        _name_marks(axes)
    else:
        axes.set_ylim(0, top * MARGIN or 1.0)
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        if line.is_count:
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def paid_by_level(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """A bar for each level and variant."""
    levels = np.arange(1, LEVEL_MAX + 1)
    means = [np.mean([run.emission_by_level[1:] for run in one.runs], axis=0) / USTEP_PER_STEP for one in outcomes]
    _bars(axes, [str(level) for level in levels], means, outcomes)
    axes.set_title("STEP paid for proofs, by level of triangles", loc="left")
    axes.set_xlabel("level: from continents (1) to rooms (21)")


def paid_by_group(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """A bar for each group and variant."""
    groups = outcomes[0].scenario.groups
    found = table("people", outcomes)
    means = [
        np.array([float(row[2]) * float(row[3]) for row in found.rows if row[0] == outcome.variant])
        for outcome in outcomes
    ]
    _bars(axes, [group.name for group in groups], means, outcomes)
    axes.set_title("STEP paid for proofs, by who made them", loc="left")


def is_elsewhere(outcomes: Sequence[Outcome]) -> bool:
    """Whether anything was paid in no city."""
    return any(run.emission_by_city[-1] for one in outcomes for run in one.runs)


def paid_by_city(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """A bar for each city and variant."""
    names = outcomes[0].regions
    means = [np.mean([run.emission_by_city for run in one.runs], axis=0) / USTEP_PER_STEP for one in outcomes]
    _bars(axes, names, means, outcomes)
    axes.set_title("STEP paid for proofs, by where they were made", loc="left")


def _bars(axes: Axes, names: Sequence[str], heights: Sequence[Floats], outcomes: Sequence[Outcome]) -> None:
    width = 0.8 / len(heights)
    places = np.arange(len(names))
    for number, values in enumerate(heights):
        at = places - 0.4 + width * (number + 0.5)
        axes.bar(at, values, width, color=COLOURS[number % len(COLOURS)], label=outcomes[number].title)
    axes.set_xticks(places, names)
    axes.set_ylabel("STEP")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    paid = np.concatenate(heights)
    paid = paid[paid > 0]
    if len(paid) and paid.max() > LOG_FROM_TIMES * paid.min():
        axes.set_yscale("log")
        axes.set_ylim(bottom=10.0 ** np.floor(np.log10(paid.min())))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))


def stakes(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """Stakes by rank, a line for each variant."""
    found = table("stakes", outcomes)
    for number, outcome in enumerate(outcomes):
        ranked = [(row[1], row[3]) for row in found.rows if row[0] == outcome.variant]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*ranked, strict=True), marker="o", markersize=4, color=colour, label=outcome.title)
    axes.set_yscale("log")
    _name_marks(axes)
    axes.set_title("How large the validators' stakes are", loc="left")
    axes.set_xlabel("validators, the largest stake first")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("STEP")
    axes.grid(axis="y", alpha=0.3)


def time_to_a_stake(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """A lying bar for each group and variant."""
    years = {
        outcome.variant: {str(row[1]): float(row[7]) for row in table("people", [outcome]).rows} for outcome in outcomes
    }
    names = [group.name for group in outcomes[0].scenario.groups]
    _spans(axes, names, years, outcomes, lambda outcome, name: lasting(years[outcome.variant][name]))
    axes.set_title("Until an average account has earned a stake", loc="left")


def time_to_exhaustion(axes: Axes, outcomes: Sequence[Outcome]) -> None:
    """A lying bar for each city and variant."""
    rows = {(outcome.variant, str(row[1])): row for outcome in outcomes for row in table("cities", [outcome]).rows}
    names = [city.name for city in outcomes[0].scenario.cities]
    years = {one.variant: {name: float(rows[one.variant, name][9]) for name in names} for one in outcomes}

    def label(outcome: Outcome, name: str) -> str:
        day = float(rows[outcome.variant, name][5])
        begins = "" if np.isnan(day) else f"; half find nothing from day {shown(day)} on"
        return f"{lasting(years[outcome.variant][name])}{begins}"

    _spans(axes, names, years, outcomes, label)
    axes.set_title("Until every proof that a city's area takes has been made", loc="left")


def _spans(
    axes: Axes,
    names: Sequence[str],
    years: dict[str, dict[str, float]],
    outcomes: Sequence[Outcome],
    label: Callable[[Outcome, str], str],
) -> None:
    """Lying bars of so many years, by variant and name; in days where none is as long as a year."""
    lengths = [length for of_variant in years.values() for length in of_variant.values() if length > 0]
    unit, units_a_year = ("days", DAYS_A_YEAR) if lengths and max(lengths) < 1 else ("years", 1)
    known = [length * units_a_year for length in lengths]
    height = 0.8 / len(outcomes)
    for number, outcome in enumerate(outcomes):
        at = np.arange(len(names)) - 0.4 + height * (number + 0.5)
        widths = [years[outcome.variant][name] * units_a_year for name in names]
        bars = axes.barh(at, widths, height, color=COLOURS[number % len(COLOURS)], label=outcome.title)
        axes.bar_label(bars, [label(outcome, name) for name in names], padding=LABEL_PADDING, fontsize=LABEL_POINTS)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    if known and max(known) > LOG_FROM_TIMES * min(known):
        axes.set_xscale("log")
        # From below the shortest on, which could not be seen otherwise; its label and the longest's need room.
        axes.set_xlim(min(known) / 10, max(known) * (max(known) / min(known)) ** LABEL_SHARE)
        axes.xaxis.set_major_locator(LogLocator(numticks=TIME_MARKS_MAX))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(0, max(known, default=1.0) * (1 + LABEL_SHARE))
        axes.xaxis.set_major_locator(MaxNLocator(TIME_MARKS_MAX))
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.set_xlabel(unit)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


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
