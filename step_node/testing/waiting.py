"""Waiting for what nothing signals, by trio's clock, which may be a simulated one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

LOOK_SECONDS: Final = 0.1
"""How often it is looked for, if nobody says otherwise."""


async def until(holds: Callable[[], bool], *, look_seconds: float = LOOK_SECONDS) -> None:
    """Wait until `holds` says so. Whoever cannot wait for ever gives a limit around it."""
    while not holds():
        await trio.sleep(look_seconds)
