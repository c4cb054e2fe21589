"""What takes too long for every commit, one after another: `make nightly`.

Each step is a target of the Makefile, run by make itself, so that a step that failed is played again with one command
and takes the same variables (SEEDS, SECONDS_EACH, REPEAT …). A step that fails does not end the night: the others tell
as much as they would have told without it. All failures stand in the table at the end, and the status is 1 then.

What a step says goes to a file of its own; on standard error stand its begin, its end, and the last lines of a failure.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LOGS = Path("nightly")
FAILURE_LINES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step ended: its exit status (negative: the signal that ended it), and where its output is."""

    name: str
    status: int
    seconds: float
    log: Path


def play(
    steps: Mapping[str, Sequence[str]], logs: Path, say: Callable[[str], None], now: Callable[[], float]
) -> list[Outcome]:
    """Run every step, name → command, whatever becomes of those before it.

    An interrupt (Ctrl-C) ends the step that runs, and the night; what is done by then is returned.
    """
    logs.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for number, (name, command) in enumerate(steps.items(), start=1):
        log = logs / f"{name}.log"
        say(f"{number}/{len(steps)} {name}: {' '.join(command)} > {log}")
        began = now()
        try:
            with log.open("wb") as output:
                status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
        except KeyboardInterrupt:
            say(f"{name}: interrupted")
            outcomes.append(Outcome(name, -2, now() - began, log))
            break
        outcomes.append(Outcome(name, status, now() - began, log))
        say(f"{name}: {_ending(status)} after {now() - began:.0f} s")
        if status != 0:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            for line in lines[-FAILURE_LINES_SHOWN:]:
                say(f"  {line}")
    return outcomes


def table(outcomes: Iterable[Outcome], steps: Iterable[str]) -> str:
    """A line for each step, those that were not reached too."""
    ended = {outcome.name: outcome for outcome in outcomes}
    lines = [f"{'step':<12} {'seconds':>8}  outcome"]
    for name in steps:
        if name not in ended:
            lines.append(f"{name:<12} {'':>8}  not run")
            continue
        outcome = ended[name]
        where = "" if outcome.status == 0 else f": {outcome.log}"
        lines.append(f"{name:<12} {outcome.seconds:>8.0f}  {_ending(outcome.status)}{where}")
    return "\n".join(lines)


def _ending(status: int) -> str:
    return "passed" if status == 0 else f"FAILED (status {status})"


def main(targets: Sequence[str]) -> int:
    """Status 0 if every one of the Makefile's `targets` passed, 1 if one did not, 2 if none was named."""
    if not targets:
        sys.stderr.write("usage: python -m scripts.nightly TARGET…, targets of the Makefile\n")
        return 2
    steps = {target: ("make", "--no-print-directory", target) for target in targets}
    outcomes = play(steps, LOGS, _tell, time.monotonic)
    sys.stdout.write(table(outcomes, steps) + "\n")
    return 0 if len(outcomes) == len(steps) and all(outcome.status == 0 for outcome in outcomes) else 1


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
