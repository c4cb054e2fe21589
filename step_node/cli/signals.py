"""SIGINT and SIGTERM: the first asks everything to stop cleanly, the second is obeyed at once."""

from __future__ import annotations

import os
import signal
import sys

import trio

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def cancel_on_signal(
    scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Cancel `scope` at the first signal; at a second one, die of it as if nobody had listened.

    Listens until the process ends, whatever happens to the caller, so that the second one is heard while stopping.
    """
    loop = trio.lowlevel.current_trio_token()

    def hear(number: int, _frame: object) -> None:
        for each in STOPPING_SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        os.write(2, b"stopping; once more to end at once\n")
        try:
            loop.run_sync_soon(scope.cancel)
        except trio.RunFinishedError:
            sys.exit(128 + number)

    for each in STOPPING_SIGNALS:
        signal.signal(each, hear)
    task_status.started()
