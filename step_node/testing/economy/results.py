"""What many runs came to, as tables: one CSV file for each question, and the same in short as JSON.

All tables have the variant first. Where runs differ, a figure has its mean and the values that 5, 50 and 95 of 100 runs
do not pass.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic.alias_generators import to_camel

from mesh import EARTH_RADIUS_M, LEVEL_MAX
from step_node.durable.atomic_file import write_atomically
from step_node.economy.formulas import LEVELS, level_proofs, levels_pay_ustep
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.measuring import MEASURES, RunResult, days_kept
from step_node.testing.economy.movement import Floats, Integers
from step_node.testing.economy.scenario import Scenario

Cell: TypeAlias = str | int | float
Row: TypeAlias = tuple[Cell, ...]

PERCENTS: Final = (5, 50, 95)
SPREAD: Final = ("mean", "p5", "p50", "p95")
DAYS_A_YEAR: Final = 365
ELSEWHERE: Final = "elsewhere"
"""Where those prove who invent places anywhere in the world."""
READABLE: Final = 0o644
SHOWN_FIGURES: Final = 4
FIGURES: Final = 7
"""Digits of a figure that is no count."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A variant and all its runs."""

    variant: str
    scenario: Scenario
    runs: Sequence[RunResult]

    @property
    def title(self) -> str:
        """What people are told that it is."""
        return self.scenario.variant_title

    @property
    def days(self) -> tuple[int, ...]:
        """Of which there are rows."""
        return days_kept(self.scenario)

    @property
    def regions(self) -> list[str]:
        """The names of its cities, and elsewhere."""
        return [*(city.name for city in self.scenario.cities), ELSEWHERE]

    def measure(self, name: str) -> Floats:
        """One measure, runs by days."""
        column = MEASURES.index(name)
        return np.array([run.days[:, column] for run in self.runs])


@dataclass(frozen=True, slots=True)
class Table:
    """A file's content."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def csv(self) -> bytes:
        """With a line for the columns' names."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[_cell(cell) for cell in row] for row in self.rows])
        return text.getvalue().encode()


def table(name: str, outcomes: Sequence[Outcome]) -> Table:
    """The one of this name, of all variants."""
    columns, rows = _TABLES[name]
    return Table(name, ("variant", *columns), tuple((one.variant, *row) for one in outcomes for row in rows(one)))


def tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """All of them."""
    return [table(name, outcomes) for name in _TABLES]


def write_tables(folder: Path, found: Sequence[Table]) -> list[Path]:
    """A CSV file of each, whose paths are the answer."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for table in found:
        paths.append(folder / f"{table.name}.csv")
        write_atomically(paths[-1], table.csv(), READABLE)
    return paths


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """What stands in the end, by variant: for one line of JSON."""
    return {one.variant: _ending(one) for one in outcomes}


def spread(values: npt.ArrayLike) -> tuple[float, float, float, float]:
    """Mean and percentiles of what is a number; NaN of nothing."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return (math.nan,) * 4
    low, middle, high = (float(one) for one in np.percentile(known, PERCENTS))
    return float(known.mean()), low, middle, high


def shown(value: float) -> str:
    """A figure for people: four digits, no exponent; a dash for none."""
    if math.isnan(value):
        return "-"
    digits = max(0, SHOWN_FIGURES - 1 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ending(outcome: Outcome) -> dict[str, object]:
    ends = {name: spread(outcome.measure(name)[:, -1]) for name in MEASURES}
    found: dict[str, object] = {
        "runs": len(outcome.runs),
        "days": outcome.scenario.days,
        "measures": {to_camel(name): dict(zip(SPREAD, map(_rounded, ends[name]), strict=True)) for name in MEASURES},
    }
    for name in _IN_SHORT:
        columns, rows = _TABLES[name]
        keys = [to_camel(column) for column in columns]
        found[name] = [dict(zip(keys, map(_rounded, row), strict=True)) for row in rows(outcome)]
    return found


def _runs(outcome: Outcome) -> Iterator[Row]:
    for run in outcome.runs:
        yield (run.seed, *map(float, run.days[-1]))


def _days(outcome: Outcome) -> Iterator[Row]:
    for name in MEASURES:
        for day, values in zip(outcome.days, outcome.measure(name).T, strict=True):
            yield (day, name, *spread(values))


def _emission(outcome: Outcome) -> Iterator[Row]:
    levels = np.array([run.emission_by_level for run in outcome.runs]) / USTEP_PER_STEP
    cities = np.array([run.emission_by_city for run in outcome.runs]) / USTEP_PER_STEP
    total = max(float(levels.sum()), 1e-12)
    for level in range(1, LEVEL_MAX + 1):
        share = float(levels[:, level].sum()) / total
        yield ("level", str(level), share, *spread(levels[:, level]))
    for number, name in enumerate(outcome.regions):
        share = float(cities[:, number].sum()) / total
        yield ("city", name, share, *spread(cities[:, number]))


def _people(outcome: Outcome) -> Iterator[Row]:
    scenario = outcome.scenario
    first, days = scenario.validators.count, scenario.days
    stake_ustep = scenario.parameters.min_stake * USTEP_PER_STEP
    late_days = days - days * 3 // 4
    for group in scenario.groups:
        part = slice(first, first + group.accounts)
        first += group.accounts
        earned = np.concatenate([run.earned[part] for run in outcome.runs])
        late = np.concatenate([run.last_quarter[part] for run in outcome.runs])
        reached = np.concatenate([run.stake_day[part] for run in outcome.runs])
        got_there = reached[reached >= 0]
        per_day = float(late.mean()) / late_days
        missing = max(0.0, stake_ustep - float(earned.mean()))
        yield (
            group.name,
            group.accounts,
            float(earned.mean()) / USTEP_PER_STEP,
            float(np.percentile(earned, PERCENTS[-1])) / USTEP_PER_STEP,
            len(got_there) / len(reached),
            float(np.median(got_there)) if len(got_there) else math.nan,
            _years_to_a_stake(reached, days, missing, per_day),
        )


def _years_to_a_stake(reached: Integers, days: int, missing_ustep: float, ustep_per_day: float) -> float:
    """Of the middle account, if half of them had a stake by `days`; else of the average one, at its last pace."""
    got_there = reached[reached >= 0]
    if 2 * len(got_there) >= len(reached):
        return float(np.sort(got_there)[(len(reached) - 1) // 2]) / DAYS_A_YEAR
    return (days + missing_ustep / ustep_per_day) / DAYS_A_YEAR if ustep_per_day > 0 else math.nan


def _cities(outcome: Outcome) -> Iterator[Row]:
    scenario = outcome.scenario
    for number, city in enumerate(scenario.cities):
        halved = np.array([run.pay_halved_day[number] for run in outcome.runs])
        exhausted = np.array([run.exhausted_day[number] for run in outcome.runs])
        per_day = float(np.mean([run.city_proofs[number] for run in outcome.runs])) / scenario.days
        part = part_of_earth(math.pi * (city.radius_km * 1_000) ** 2)
        capacity = sum(level_proofs(level, part) for level in LEVELS)
        yield (
            city.name,
            float(np.mean(~np.isnan(halved))),
            spread(halved)[2],
            float(np.mean(~np.isnan(exhausted))),
            spread(exhausted)[2],
            per_day,
            capacity,
            levels_pay_ustep(scenario.protocol_version, part=part) / USTEP_PER_STEP,
            capacity / per_day / DAYS_A_YEAR if per_day > 0 else math.nan,
        )


def part_of_earth(area_m2: float) -> Fraction:
    """The share that an area has of it."""
    return Fraction(area_m2 / (4 * math.pi * EARTH_RADIUS_M**2))


def _stakes(outcome: Outcome) -> Iterator[Row]:
    ranks = max((len(run.stakes) for run in outcome.runs), default=0)
    for rank in range(ranks):
        held = [int(run.stakes[rank]) for run in outcome.runs if len(run.stakes) > rank]
        yield (rank + 1, len(held), sum(held) / len(held) / USTEP_PER_STEP)


def _validators(outcome: Outcome) -> Iterator[Row]:
    validators, days = outcome.scenario.validators, outcome.scenario.days
    for number in range(validators.count):
        earned = float(np.mean([run.validator_balances[number] for run in outcome.runs])) / USTEP_PER_STEP
        left = float(np.mean([run.validator_stakes[number] for run in outcome.runs])) / USTEP_PER_STEP
        colludes = number >= validators.count - validators.colluding
        yearly = earned / validators.stake_step * DAYS_A_YEAR / days
        yield (number, int(colludes), earned, yearly, validators.stake_step - left)


_TABLES: Final[dict[str, tuple[tuple[str, ...], Callable[[Outcome], Iterator[Row]]]]] = {
    "runs": (("seed", *MEASURES), _runs),
    "days": (("day", "measure", *SPREAD), _days),
    "emission": (("by", "name", "share", *(f"{name}_step" for name in SPREAD)), _emission),
    "people": (
        (
            "group",
            "accounts",
            "earned_step_per_account",
            "earned_step_p95_account",
            "share_with_a_stake_by_proofs",
            "days_to_a_stake_p50",
            "years_to_a_stake",
        ),
        _people,
    ),
    "cities": (
        (
            "city",
            "pay_halved_in_share_of_runs",
            "pay_halved_day_p50",
            "exhausted_in_share_of_runs",
            "exhausted_day_p50",
            "proofs_per_day",
            "proofs_it_takes_in_all",
            "step_it_pays_in_all",
            "years_to_exhaustion_at_this_pace",
        ),
        _cities,
    ),
    "stakes": (("rank", "runs", "stake_step_mean"), _stakes),
    "validators": (
        ("validator", "colluding", "earned_step_mean", "earned_per_year_of_stake", "lost_step_mean"),
        _validators,
    ),
}
"""By the names of their files: the columns after the variant, and a variant's rows."""

_IN_SHORT: Final = ("people", "cities", "emission", "stakes", "validators")
"""The tables that stand in the JSON."""


def _cell(cell: Cell) -> Cell:
    if isinstance(cell, float):
        return "" if math.isnan(cell) else f"{cell:.{FIGURES}g}"
    return cell


def _rounded(cell: Cell) -> Cell | None:
    if isinstance(cell, float):
        return None if math.isnan(cell) else float(f"{cell:.{FIGURES}g}")
    return cell
