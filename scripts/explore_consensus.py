"""The exhaustive check of the shipped consensus machine, as deep as there is time for: docs/exhaustive-check.md.

    python -m scripts.explore_consensus --rounds 2
    python -m scripts.explore_consensus --rounds 3 --seconds 600 --byzantine 1
    python -m scripts.explore_consensus --bugs

The exit code is 1 if something unsafe was found (with --bugs: if a bug was not).
"""

import argparse
import sys
from functools import partial

from tests.consensus.exhaustive.bugs import BUGS
from tests.consensus.exhaustive.joint import Figures, Search


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description="Every interleaving of three honest validators and a Byzantine one.")
    parser.add_argument("--rounds", type=int, default=2, choices=(1, 2, 3, 4))
    parser.add_argument(
        "--byzantine",
        type=int,
        choices=range(4),
        help="only this place of the Byzantine validator; validator r proposes in round r (default: all that differ)",
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each place, at most")
    parser.add_argument(
        "--lost-logs", action="store_true", help="each validator may lose its consensus log at any time"
    )
    parser.add_argument("--bugs", action="store_true", help="plant one bug after the other and show what it leads to")
    arguments = parser.parse_args()
    if arguments.bugs:
        return 1 if [bug for bug in BUGS if not _finds(bug.name)] else 0
    # Those that propose in none of the rounds are alike, so one of them is enough.
    places = range(min(arguments.rounds + 1, 4)) if arguments.byzantine is None else [arguments.byzantine]
    found = [
        _search(arguments.rounds, byzantine, arguments.seconds, loses_logs=arguments.lost_logs) for byzantine in places
    ]
    return 1 if any(figures.violation for figures in found) else 0


def _search(rounds: int, byzantine: int, seconds: float, *, loses_logs: bool) -> Figures:
    figures = Search(rounds, byzantine, loses_logs=loses_logs).run(seconds=seconds, told=_tell)
    _say(f"\r{_summary(figures)}")
    _show(figures)
    return figures


def _finds(name: str) -> bool:
    bug = next(bug for bug in BUGS if bug.name == name)
    with bug.planted():
        search = Search(bug.rounds, bug.byzantine, watch_locks=bug.watch_locks, loses_logs=bug.loses_logs)
        figures = search.run()
    _say(f"== {bug.name}: {_summary(figures)}")
    _show(figures)
    return figures.violation is not None and figures.confirmed


def _summary(figures: Figures) -> str:
    verdict = "UNSAFE" if figures.violation else "exhausted, safe" if figures.exhausted else "safe as far as it went"
    return (
        f"{figures.rounds} round(s), validator {figures.byzantine} Byzantine: {verdict}; {figures.nodes:,} nodes, "
        f"{figures.edges:,} edges, {figures.joint_states:,} joint states, up to {figures.depth} messages sent; "
        f"{figures.local_states:,} local states, apply called {figures.applied:,} times, {figures.wall_seconds:.0f} s"
    )


def _tell(figures: Figures) -> None:
    sys.stderr.write(f"\r{figures.depth} messages sent: {figures.nodes:,} nodes, {figures.wall_seconds:.0f} s ")
    sys.stderr.flush()


def _show(figures: Figures) -> None:
    for line in figures.trace:
        _say(f"    {line}")
    if figures.violation:
        _say(f"    {figures.violation}")
        if not figures.confirmed:
            _say("    not confirmed: the search that keeps orders of events apart does not find it")


_say = partial(print, flush=True)

if __name__ == "__main__":
    sys.exit(main())
