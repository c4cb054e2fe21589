"""Waiting for what nothing signals: it is looked for again and again, and a limit far beyond any good run ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import trio

SECONDS_MAX: Final = 300.0
LOOK_SECONDS: Final = 0.01
BLOCKING_LOOK_SECONDS: Final = 0.1
"""What is looked for without an event loop is mostly another process, which a question costs something."""


async def until(condition: Callable[[], object], *, seconds_max: float = SECONDS_MAX) -> None:
    """Wait until `condition` holds, by trio's clock. Raises TooSlowError after `seconds_max`."""
    with trio.fail_after(seconds_max):
        while not condition():
            await trio.sleep(LOOK_SECONDS)


def block_until(condition: Callable[[], object], *, seconds_max: float = SECONDS_MAX) -> None:
    """The same in a test that has no event loop. Raises AssertionError."""
    last = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < last, f"it has not come about within {seconds_max:g} s"
        time.sleep(BLOCKING_LOOK_SECONDS)
