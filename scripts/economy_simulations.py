"""Writes what the shipped scenarios come to, where docs/economy-simulation.md and ADR 65 say it.

    python -m scripts.economy_simulations

It takes some minutes of a processor. Run it after a change of the ledger's rules, of a scenario or of how people move;
`make economy` says when it was forgotten. It replaces the numbers before the markers, and nothing else: look through
what it has changed, for sentences that are no longer true.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from scripts.economy import DECISION, FIGURE, ROOT
from step_node.testing.economy.campaign import run_all
from step_node.testing.economy.results import Outcome, spread, table
from step_node.testing.economy.scenario import load_scenario

PAGES: Final = (ROOT / "docs" / "economy-simulation.md", DECISION)
RUNS: Final = 20
"""Of each variant, with the seeds from 0 on."""
SCENARIOS: Final = ("farmers", "horizon", "rewards", "slashing", "stadium", "staking", "village")
"""Those that the pages speak of."""
DIGITS: Final = 3
"""Of a figure that is written in whole numbers ending with zeros."""


def simulated(*, runs: int = RUNS, days: int | None = None) -> dict[str, float]:
    """The figures by the names that they have on the pages. `days` makes the scenarios shorter."""
    return dict(_all(runs, days))


def _all(runs: int, days: int | None) -> Iterator[tuple[str, float]]:
    processes = min(os.cpu_count() or 1, runs)
    for scenario in SCENARIOS:
        for variant, of_variant in load_scenario(scenario).items():
            shorter = of_variant if days is None else of_variant.model_copy(update={"days": days})
            if runs > 1:
                sys.stderr.write(f"{scenario}: {variant}\n")
            found = run_all(shorter, range(runs), exact=False, processes=processes, variant=variant)
            for name, value in _of(Outcome(variant, shorter, found)):
                yield f"{scenario}.{variant}.{name}", value


def _of(outcome: Outcome) -> Iterator[tuple[str, float]]:
    """Of the middle run's last day, and out of the tables."""
    yield "invented", 100 * spread(outcome.measure("invented_share")[:, -1])[2]
    yield "validators", spread(outcome.measure("validators")[:, -1])[2]
    yield "nakamoto", spread(outcome.measure("nakamoto")[:, -1])[2]
    yield "minted", spread(outcome.measure("minted_since_genesis_step")[:, -1])[0]
    for row in table("people", [outcome]).rows:
        yield f"{row[1]}.earned", float(row[3])
        yield f"{row[1]}.all", float(row[2]) * float(row[3])
        yield f"{row[1]}.with-stake", 100 * float(row[5])
        yield f"{row[1]}.stake-day", float(row[6])
        yield f"{row[1]}.years", float(row[7])
    for row in table("cities", [outcome]).rows:
        yield "exhausted", float(row[5])
        yield "lasts", float(row[9])
    validators = table("validators", [outcome]).rows
    yield "validators-earned", sum(float(row[3]) for row in validators)
    for row in validators:
        yield f"validator-{row[1]}.lost", float(row[5])


def as_written(value: float, text: str) -> str:
    """`value` as it stands in place of `text`: to as many places, or to three digits where `text` ends with zeros."""
    decimals = len(text.partition(".")[2])
    if not decimals and text.endswith("00"):
        value = float(f"{value:.{DIGITS}g}")
    return f"{value:,.{decimals}f}"


def page_of(page: str, found: dict[str, float]) -> str:
    """`page` with what was simulated written anew."""

    def written(marked: re.Match[str]) -> str:
        name = marked["name"]
        return (as_written(found[name], marked["text"]) if name in found else marked["text"]) + marked["unit"]

    return FIGURE.sub(written, page)


def names_on(pages: Iterable[str]) -> list[str]:
    """What is marked as simulated."""
    names = [marked["name"] for page in pages for marked in FIGURE.finditer(page)]
    return [name for name in names if name.partition(".")[0] in SCENARIOS]


def main() -> int:
    """Simulate, and write it."""
    found = simulated()
    for page in PAGES:
        page.write_text(page_of(page.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
