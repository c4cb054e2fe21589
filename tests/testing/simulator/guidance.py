"""What guidance by coverage gains: how many histories find a planted bug, plain seeds and a guided search side by side.

`python -m tests.testing.simulator.guidance` prints the table of docs/simulator.md. Both begin at the same seeds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count, islice

from step_node.testing.simulator.campaign import quiet
from step_node.testing.simulator.guided import histories
from step_node.testing.simulator.settings import SimulationSettings
from step_node.testing.simulator.world import History, simulate_seed
from tests.testing.simulator.planted_bugs import BUGS, PlantedBug

HARD = 10
"""Bugs that so many plain seeds did not find: where there is something to gain."""
HISTORIES_MAX = 150
"""A bug that so many do not find counts as found by the next one: that favours whoever is worse."""


def plain(settings: SimulationSettings, first_seed: int) -> Iterator[History]:
    """Seed after seed."""
    return (simulate_seed(seed, settings) for seed in count(first_seed))


def histories_to_find(bug: PlantedBug, tried: Iterator[History]) -> int:
    """How many histories it takes to see the bug."""
    with ExitStack() as stack:
        stack.enter_context(quiet())
        for one in bug.plant():
            stack.enter_context(one)
        for number, history in enumerate(islice(tried, HISTORIES_MAX), start=1):
            if history.violations or history.stuck:
                return number
    return HISTORIES_MAX + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="first seeds: 10000, 20000, …")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    for bug in BUGS:
        if bug.found_by < HARD or arguments.only not in bug.name:
            continue
        starts = [10_000 * (number + 1) for number in range(arguments.starts)]
        seeds = [histories_to_find(bug, plain(bug.settings, first)) for first in starts]
        guided = [histories_to_find(bug, histories(bug.settings, first)) for first in starts]
        sys.stdout.write(
            f"| {bug.name} | {statistics.median(seeds):g} ({min(seeds)}-{max(seeds)})"
            f" | {statistics.median(guided):g} ({min(guided)}-{max(guided)}) |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
