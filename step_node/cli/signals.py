"""SIGINT and SIGTERM: the first asks everything to stop cleanly, the second is obeyed at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _nothing() -> None:
    """What to do before ending at once, where there is nothing to do."""


@contextmanager
def cancelled_by_signals(scope: trio.CancelScope, *, before_the_end: Callable[[], None] = _nothing) -> Iterator[None]:
    """Cancel `scope` at the first signal; at a second one call `before_the_end`, and die of the signal.

    Must be entered in trio's main thread, and held until everything has stopped, so that the second one is heard.
    """
    token = trio.lowlevel.current_trio_token()
    is_stopping = False

    def hear(number: int, _frame: object) -> None:
        nonlocal is_stopping
        if is_stopping:
            before_the_end()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        is_stopping = True
        os.write(2, b"stopping; once more to end at once\n")
        token.run_sync_soon(scope.cancel)

    previous = {number: signal.signal(number, hear) for number in STOPPING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
