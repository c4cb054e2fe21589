"""What was simulated, in words: what measures and columns are called, and what each figure comes to in a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.results import DAYS_A_YEAR, Cell, Outcome, shown, spread, table

MILLION: Final = 1_000_000
LISTED_MAX: Final = 2
"""So many different values are listed; of more, the ends are."""

MEASURE_WORDS: Final = {
    "supply_step": "STEP there are: made, less what was burnt",
    "minted_since_genesis_step": "STEP made since the chain began",
    "burnt_step": "STEP burnt by slashing",
    "paid_step_per_day": "STEP paid for proofs in a day",
    "pay_ustep_per_proof": "pay of a proof, millionths of a STEP",
    "people_pay_ustep_per_proof": "pay of a person's proof, millionths of a STEP",
    "invented_share": "what invented accounts take of all pay",
    "proofs_per_day": "proofs in a day",
    "refused_share": "proofs refused for their time or movement",
    "nothing_left_share": "proofs that find nothing left",
    "velocity_per_year": "how often a STEP changes hands in a year",
    "gini": "how unequal accounts are (Gini; 0 % is all alike)",
    "top_1_percent_share": "what the richest 1 % hold",
    "accounts": "accounts that hold something",
    "validators": "validators",
    "staked_step": "STEP staked",
    "nakamoto": "how many must act as one to stop the chain",
}
"""For each measure."""

COLUMN_WORDS: Final = {
    "variant": "variant",
    "group": "who",
    "accounts": "accounts",
    "earned_step_per_account": "each has earned, STEP",
    "earned_step_p95_account": "one of twenty has earned more than, STEP",
    "share_with_a_stake_by_proofs": "have earned a stake",
    "days_to_a_stake_p50": "the middle one of these after, days",
    "years_to_a_stake": "a stake takes",
    "city": "city",
    "pay_halved_in_share_of_runs": "runs in which pay has halved",
    "pay_halved_day_p50": "by day",
    "exhausted_in_share_of_runs": "runs in which half find nothing left",
    "exhausted_day_p50": "from day",
    "proofs_per_day": "proofs a day",
    "proofs_it_takes_in_all": "proofs it takes in all",
    "step_it_pays_in_all": "STEP it pays in all",
    "years_to_exhaustion_at_this_pace": "all of it lasts",
}
"""For each column of the tables that people are shown."""


TABLE_WORDS: Final = {
    "runs": "every run, with each measure on its last day",
    "days": "every measure on every day: mean, and what 5, 50 and 95 of 100 runs do not pass",
    "emission": "what proofs were paid, by level and by city",
    "people": "what accounts have earned, and how long a stake takes",
    "cities": "how places are used up",
    "stakes": "the validators' stakes, by rank",
    "validators": "what the validators of the start have earned and lost",
}
"""For each table."""


def told(name: str, value: Cell) -> str:
    """A measure's or a column's value: shares as per cent, years to two digits."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else value
    if name.startswith("years"):
        return lasting(value)
    return f"{shown(100 * value)} %" if _is_share(name) and not math.isnan(value) else shown(value)


def _is_share(name: str) -> bool:
    return name == "gini" or "share" in name


def lasting(years: float) -> str:
    """So long, to two digits: `12 days`, `3.3 years`, `4.2 million years`, `never`."""
    if math.isnan(years):
        return "never"
    if years < 1:
        days = float(f"{years * DAYS_A_YEAR:.2g}")
        return f"{shown(days)} day{'' if days == 1 else 's'}"
    number = float(f"{years:.2g}")
    return f"{shown(number / MILLION)} million years" if number >= MILLION else f"{shown(number)} years"


def in_short(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """A sentence or two on each figure, by its name: what the middle run's last day, or the average account, has."""
    return {name: sentence(outcomes) for name, sentence in _SENTENCES.items()}


def _ends(outcomes: Sequence[Outcome], measure: str) -> str:
    """By variant; of many, the least and the greatest."""
    middles = {one.title: spread(one.measure(measure)[:, -1])[2] for one in outcomes}
    texts = {title: told(measure, value) for title, value in middles.items()}
    known = sorted((value, title) for title, value in middles.items() if not math.isnan(value))
    if len(set(texts.values())) <= LISTED_MAX or not known:
        return _listed(outcomes, lambda one: texts[one.title])
    return "from " + " to ".join(f"{texts[title]} ({title})" for _, title in (known[0], known[-1]))


def _listed(outcomes: Sequence[Outcome], text_of: Callable[[Outcome], str]) -> str:
    """What is said of each variant, once of those of which it is the same."""
    titles: dict[str, list[str]] = {}
    for one in outcomes:
        titles.setdefault(text_of(one), []).append(one.title)
    if len(titles) == 1:
        return next(iter(titles))
    return "; ".join(f"{text} ({' and '.join(of_text)})" for text, of_text in titles.items())


def _supply(outcomes: Sequence[Outcome]) -> str:
    made, a_day = _ends(outcomes, "minted_since_genesis_step"), _ends(outcomes, "paid_step_per_day")
    return f"STEP made in {outcomes[0].scenario.days} days: {made}. Paid for the proofs of the last day: {a_day}."


def _pay(outcomes: Sequence[Outcome]) -> str:
    pay = _ends(outcomes, "people_pay_ustep_per_proof")
    text = f"What a person's proof is paid on the last day, in millionths of a STEP: {pay}."
    if any(np.nansum(one.measure("invented_share")) > 0 for one in outcomes):
        text += f" What invented accounts take of all pay then: {_ends(outcomes, 'invented_share')}."
    return text


def _velocity(outcomes: Sequence[Outcome]) -> str:
    return f"How often a STEP changes hands in a year, by the last week: {_ends(outcomes, 'velocity_per_year')}."


def _concentration(outcomes: Sequence[Outcome]) -> str:
    top, gini = _ends(outcomes, "top_1_percent_share"), _ends(outcomes, "gini")
    return f"What the richest 1 % hold in the end: {top}. The Gini coefficient: {gini}."


def _validators(outcomes: Sequence[Outcome]) -> str:
    count, least = _ends(outcomes, "validators"), _ends(outcomes, "nakamoto")
    return f"Validators in the end: {count}. How many of them must act as one to stop the chain: {least}."


def _emission(outcomes: Sequence[Outcome]) -> str:
    def level(one: Outcome) -> str:
        paid = np.sum([run.emission_by_level for run in one.runs], axis=0)
        return f"level {int(np.argmax(paid))}" if paid.any() else "nowhere"

    def group(one: Outcome) -> str:
        earned = {str(row[1]): float(row[2]) * float(row[3]) for row in table("people", [one]).rows}
        total = sum(earned.values())
        most = max(earned, key=lambda name: earned[name])
        return f"{most}, {shown(float(f'{100 * earned[most] / total:.3g}'))} %" if total else "nobody"

    return f"Most was paid at: {_listed(outcomes, level)}. Most was paid to: {_listed(outcomes, group)}."


def _stakes(outcomes: Sequence[Outcome]) -> str:
    def ends(one: Outcome) -> str:
        stakes = np.concatenate([run.stakes for run in one.runs]) / USTEP_PER_STEP
        if not len(stakes):
            return "none is left"
        low, high = float(stakes.min()), float(stakes.max())
        return f"{shown(high)}" if low == high else f"{shown(low)} to {shown(high)}"

    return f"The stakes in the end, in STEP: {_listed(outcomes, ends)}."


def _time_to_a_stake(outcomes: Sequence[Outcome]) -> str:
    def quickest(one: Outcome) -> str:
        years = {str(row[1]): float(row[7]) for row in table("people", [one]).rows}
        known = {name: value for name, value in years.items() if not math.isnan(value)}
        if not known:
            return "nobody"
        first = min(known, key=lambda name: known[name])
        return f"{first}, {lasting(known[first])}"

    return f"Who earns a stake first, and how long it takes: {_listed(outcomes, quickest)}."


def _exhaustion(outcomes: Sequence[Outcome]) -> str:
    def city(one: Outcome) -> str:
        days = {str(row[1]): float(row[5]) for row in table("cities", [one]).rows}
        known = [f"{name}, from day {shown(day)} on" for name, day in days.items() if not math.isnan(day)]
        return " and ".join(known) or "nowhere"

    days = outcomes[0].scenario.days
    return f"Where half of those who try find nothing left within {days} days: {_listed(outcomes, city)}."


_SENTENCES: Final[Mapping[str, Callable[[Sequence[Outcome]], str]]] = {
    "supply": _supply,
    "pay": _pay,
    "emission": _emission,
    "exhaustion": _exhaustion,
    "velocity": _velocity,
    "concentration": _concentration,
    "time-to-a-stake": _time_to_a_stake,
    "stakes": _stakes,
    "validators": _validators,
}
