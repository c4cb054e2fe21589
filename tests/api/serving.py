"""The API served on a real socket of this process, with bounds that a test does not meet unless it says so."""

from __future__ import annotations

from functools import partial
from typing import Final

import trio

from step_node.api.app import create_app
from step_node.api.server.limits import EVENT_LIMITS, ApiLimits, EventLimits
from step_node.api.server.serving import serve_api
from step_node.api.server.tls import Tls
from tests.api.made_up_node import MadeUpNode

AMPLE: Final = ApiLimits(
    connections_max=1_000,
    connections_per_address_max=1_000,
    cost_ms_per_second=1_000_000,
    address_cost_ms_per_second=1_000_000,
)


async def serve(
    node: MadeUpNode,
    *,
    limits: ApiLimits = AMPLE,
    host: str = "127.0.0.1",
    port: int = 0,
    wait_ms_max: int = 30_000,
    tls: Tls | None = None,
    account_submissions_per_minute: int = 0,
    event_limits: EventLimits = EVENT_LIMITS,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `node`'s API until cancelled; tells its port."""
    app = create_app(
        node.services(
            wait_ms_max=wait_ms_max,
            account_submissions_per_minute=account_submissions_per_minute,
            event_limits=event_limits,
        )
    )
    serving = partial(
        serve_api, limits=limits, clock=node.clock, metrics=node.metrics, tls=tls, on_stopping=node.feed.stop
    )
    await serving(app, host, port, task_status=task_status)
