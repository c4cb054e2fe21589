"""What clients notice when MongoDB loses its primary (docs/scaling.md).

    python -m scripts.mongodb_failover --blow kill --answers-from secondaries

A throw-away replica set of three members, a validator (or several) on it, proofs that come in and a reader that asks,
all on this machine. Says on standard error how far it is, and on standard output what was measured. The status is 1 if
something was lost.
"""

from __future__ import annotations

import argparse
import sys

import trio

from step_node.testing.failover import Blow, FailoverSettings, failover, table


def main() -> int:
    """Read the arguments, run, print."""
    defaults = FailoverSettings()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--blow", type=Blow, choices=list(Blow), default=defaults.blow)
    parser.add_argument("--validators", type=int, default=defaults.validators)
    parser.add_argument("--answers-from", choices=("primary", "secondaries"), default=defaults.answers_from)
    parser.add_argument("--election-timeout-ms", type=int, default=defaults.election_timeout_ms)
    parser.add_argument("--proofs-per-second", type=float, default=defaults.proofs_per_second)
    settings = FailoverSettings(**vars(parser.parse_args()))
    result = trio.run(lambda: failover(settings, report=_tell))
    sys.stdout.write(table(result) + "\n")
    return 1 if result.missing or result.twice else 0


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
