"""Staying connected to a list of addresses.

Theory of operation. One task for each address dials until the peer is connected, with a delay that doubles up to a
cap, and some jitter so that nodes restarted together do not dial in step; then it waits until the peer is gone, and
begins again. It goes on for as long as the network runs.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final

import trio

JITTER: Final = 0.25
"""Each delay is varied by up to this fraction."""


async def stay_connected(
    dial: Callable[[], Awaitable[bool]],
    wait_until_lost: Callable[[], Awaitable[None]],
    *,
    delay_initial_seconds: float,
    delay_max_seconds: float,
) -> None:
    """Dial for ever. `dial` returns whether the peer is connected; `wait_until_lost` returns when it no longer is."""
    delay_seconds = delay_initial_seconds
    while True:
        if await dial():
            delay_seconds = delay_initial_seconds
            await wait_until_lost()
        await trio.sleep(delay_seconds * random.uniform(1 - JITTER, 1 + JITTER))
        delay_seconds = min(delay_seconds * 2, delay_max_seconds)
