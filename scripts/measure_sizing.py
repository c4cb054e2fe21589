"""What a node needs at 1, 10, 100 and 1,000 proofs a second, and the page about it: `make sizing`.

    python -m scripts.measure_sizing --out sizing.md

Takes about half an hour, on a machine that has nothing else to do. Says on standard error what it does.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import trio

from step_node.durable.atomic_file import write_atomically
from step_node.errors import StepNodeError, foreseen
from step_node.testing.bench.sizing import LOADS, Sizing, measure, page
from step_node.testing.machine import Conditions, is_busy

READABLE = 0o644


def main() -> int:
    """Read the arguments, measure, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=1.0, help="of the time that each rate is given, to try it out")
    arguments = parser.parse_args()
    conditions = Conditions.now(was_busy=is_busy())
    try:
        sizings = trio.run(_measure_all, arguments.share)
    except (StepNodeError, BaseExceptionGroup) as ended:
        for error in foreseen(ended):
            _tell(f"error: {error}")
        return 1
    write_atomically(arguments.out, page(conditions, sizings).encode(), READABLE)
    _tell(f"written: {arguments.out}")
    return 0


async def _measure_all(share: float) -> list[Sizing]:
    return [await measure(rate, share * seconds, tell=_tell) for rate, seconds in LOADS]


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
