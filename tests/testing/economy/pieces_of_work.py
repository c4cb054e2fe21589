"""Work for other processes, which are handed it by its name. Run as a program it begins two pieces that have no end."""

from __future__ import annotations

import signal
import sys
from threading import Event

from step_node.testing.economy.processes import in_order

BEGUN = "begun"
FAULTY = 1


def slowest_first(piece: int) -> int:
    """Its square; that of 0 when some of the others have been made."""
    if piece == 0:
        Event().wait(0.3)
    return piece * piece


def without_end_but_for_one(piece: int) -> int:
    """The one that is faulty fails; the others go on for ever."""
    if piece == FAULTY:
        raise ArithmeticError(f"piece {piece} does not add up")
    Event().wait()
    return piece


def without_end(piece: int) -> int:
    """Goes on for ever, and says that it has begun."""
    sys.stdout.write(f"{BEGUN}\n")
    sys.stdout.flush()
    Event().wait()
    return piece


if __name__ == "__main__":
    # Who was begun in the background by a shell has it ignored, and its children have.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from tests.testing.economy import pieces_of_work

    list(in_order(pieces_of_work.without_end, range(2), 2))
