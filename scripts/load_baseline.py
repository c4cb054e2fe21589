"""The two loads that others are compared with, and the page about them: `make load`.

    python -m scripts.load_baseline --out docs/load-baseline.md

Each load has a new network of four validators on this machine. Says on standard error what it does. The status is 1 if
something that was accepted was lost or dropped, or a node ended.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trio

from step_node.durable.atomic_file import write_atomically
from step_node.errors import StepNodeError, foreseen
from step_node.testing.bench.baseline import SCENARIOS, Scenario, measure, page
from step_node.testing.load.report import LoadReport
from step_node.testing.machine import Conditions, is_busy

READABLE = 0o644


def main() -> int:
    """Read the arguments, measure, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/load-baseline.md"))
    out: Path = parser.parse_args().out
    conditions = Conditions.now(was_busy=is_busy())
    try:
        reports = trio.run(_measure_all)
    except (StepNodeError, BaseExceptionGroup) as ended:
        for error in foreseen(ended):
            _tell(f"error: {error}")
        return 1
    write_atomically(out, page(conditions, reports).encode(), READABLE)
    _tell(f"written: {out}")
    return 1 if any(report.lost or report.dropped for _, report in reports) else 0


async def _measure_all() -> list[tuple[Scenario, LoadReport]]:
    return [(scenario, await measure(scenario, tell=_tell)) for scenario in SCENARIOS]


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
