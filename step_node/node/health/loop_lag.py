"""How late the event loop is: everything but what is on threads waits behind what holds it up."""

from __future__ import annotations

from typing import Final

import trio

from step_node.metrics import NodeMetrics

LAG_CHECK_MS: Final = 250


async def measure_lag(metrics: NodeMetrics) -> None:
    """Sleep, and count by how much each sleep was too long, until cancelled."""
    while True:
        due = trio.current_time() + LAG_CHECK_MS / 1000
        await trio.sleep_until(due)
        metrics.event_loop_late(trio.current_time() - due)
