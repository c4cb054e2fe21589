"""Whether the nodes of a network grow while it runs for long: `make soak` (docs/soak.md).

    python -m scripts.soak --minutes 60

Four validators as real processes, a few proofs a second, peers with new identities and clients that come and go. Says
on standard error how far it is, and on standard output by how much each figure of each node grew a minute. The status
is 1 if memory, descriptors, tasks, or what is kept of visitors grows, or a node ends, 2 if there is nothing to judge.
"""

from __future__ import annotations

import argparse
import sys

import trio

from step_node.errors import StepNodeError, foreseen
from step_node.testing.soak.run import SoakSettings, soak
from step_node.testing.soak.slopes import table


def main() -> int:
    """Read the arguments, soak, print."""
    defaults = SoakSettings()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=defaults.minutes)
    parser.add_argument("--validators", type=int, default=defaults.validators)
    parser.add_argument("--proofs-per-second", type=float, default=defaults.proofs_per_second)
    parser.add_argument("--peers-per-minute", type=float, default=defaults.peers_per_minute)
    parser.add_argument("--clients-per-minute", type=float, default=defaults.clients_per_minute)
    parser.add_argument(
        "--retention", metavar="HOW MUCH", help='what nodes keep of the past, as "1000 batches": then stores stay level'
    )
    parser.add_argument("--json", action="store_true", help="everything, samples too, as one line of JSON")
    arguments = vars(parser.parse_args())
    as_json = arguments.pop("json")
    settings = SoakSettings(**arguments)
    try:
        soaked = trio.run(lambda: soak(settings, report=_tell))
    except (StepNodeError, BaseExceptionGroup) as ended:
        for error in foreseen(ended):
            _tell(f"error: {error}")
        return 1
    except ValueError as error:
        _tell(f"error: {error}")
        return 2
    sys.stdout.write((soaked.to_json() if as_json else table(soaked.growth)) + "\n")
    for fault in soaked.faults():
        _tell(f"FAILED: {fault}")
    return 1 if soaked.faults() else 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
