"""What a row of the benchmark says: medians over runs, the limit beside them, and whether the bar is met. Pure.

A machine that is busy, or slows down, does so for the measured thing and for its limit alike, so each run measures
both, one right after the other, and the ratio of a row is the median of the ratios of its runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Bar:
    """What a row is to reach: `at_least` or `at_most`, its value or, with `of` "ratio", its value over its limit."""

    at_least: float | None = None
    at_most: float | None = None
    of: Literal["value", "ratio"] = "value"

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a bar is either at_least or at_most")

    @property
    def threshold(self) -> float:
        """The figure that is to be reached, or not to be passed."""
        return self.at_least if self.at_least is not None else self.at_most or 0.0

    def is_met(self, figure: float) -> bool:
        """Whether `figure`, a value or a ratio as `of` says, is good enough."""
        return figure >= self.threshold if self.at_least is not None else figure <= self.threshold

    def __str__(self) -> str:
        sign = "≥" if self.at_least is not None else "≤"
        return f"{sign} {plain_number(self.threshold)}{' of the limit' if self.of == 'ratio' else ''}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a row. `limit` is in the same unit, measured beside it; None where there is none.

    `figures` are others of the same run, by name. `failures` says what else the bar asks for and did not hold,
    `details` what no figure can.
    """

    value: float
    limit: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: medians over `runs` runs.

    `ratio` is the value over the limit, `spread` the distance between the largest and the smallest value, as a part of
    the median. `bar` is in the unit of `value`, also where it is a part of the limit.
    """

    name: str
    value: float
    unit: str
    limit: float | None
    ratio: float | None
    bar: float | None
    meets_bar: bool | None
    runs: int
    spread: float
    figures: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    """What else the bar asks for, and did not hold."""
    details: tuple[str, ...] = ()
    """What no figure can say, of each run."""
    rule: str = ""
    """The bar, for people."""

    def as_json(self) -> dict[str, object]:
        """The object that `--json` prints: exactly these nine."""
        return {
            "name": self.name,
            "value": rounded(self.value),
            "unit": self.unit,
            "limit": None if self.limit is None else rounded(self.limit),
            "ratio": None if self.ratio is None else rounded(self.ratio),
            "bar": None if self.bar is None else rounded(self.bar),
            "meets_bar": self.meets_bar,
            "runs": self.runs,
            "spread": rounded(self.spread),
        }


def summarise(name: str, unit: str, bar: Bar | None, samples: Sequence[Sample]) -> Row:
    """The row of these runs. Raises ValueError for none, or for a bar of the ratio where a run has no limit."""
    if not samples:
        raise ValueError(f"{name}: there is no run to summarise")
    values = [sample.value for sample in samples]
    value = median(values)
    limits = [sample.limit for sample in samples if sample.limit is not None]
    limit = median(limits) if len(limits) == len(samples) else None
    ratio = None if limit is None else median(one.value / one.limit for one in samples if one.limit)
    failures = tuple(dict.fromkeys(failure for sample in samples for failure in sample.failures))
    threshold: float | None = None
    meets_bar: bool | None = None
    if bar is not None:
        judged = value if bar.of == "value" else ratio
        if judged is None or (bar.of == "ratio" and limit is None):
            raise ValueError(f"{name}: its bar is a part of its limit, and a run has none")
        threshold = bar.threshold * (limit or 0.0) if bar.of == "ratio" else bar.threshold
        meets_bar = bar.is_met(judged) and not failures
    return Row(
        name=name,
        value=value,
        unit=unit,
        limit=limit,
        ratio=ratio,
        bar=threshold,
        meets_bar=meets_bar,
        runs=len(samples),
        spread=(max(values) - min(values)) / abs(value) if value else 0.0,
        figures=_medians(samples),
        failures=failures,
        details=tuple(dict.fromkeys(detail for sample in samples for detail in sample.details)),
        rule="" if bar is None else str(bar),
    )


def rounded(number: float) -> float:
    """As many digits as a measurement has."""
    return float(f"{number:.{SIGNIFICANT_DIGITS}g}")


def plain_number(number: float | None) -> str:
    """For people: thousands apart, and no more digits than a measurement has."""
    if number is None:
        return "-"
    short = rounded(number)
    return f"{short:,.0f}" if abs(short) >= 1_000 or short == int(short) else f"{short:g}"


def _medians(samples: Sequence[Sample]) -> dict[str, float]:
    names = dict.fromkeys(name for sample in samples for name in sample.figures)
    return {name: median(one.figures[name] for one in samples if name in one.figures) for name in names}
