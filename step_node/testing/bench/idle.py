"""How soon a single proof is final while nothing else goes on."""

from __future__ import annotations

import time
from functools import partial
from statistics import quantiles
from typing import Final

import trio

from step_node.parameters import Parameters
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.load.connection import Connection, Endpoint
from step_node.testing.load.material import sign_for_now

PROOFS: Final = 20
VALIDATORS: Final = 4
PAUSE_SECONDS: Final = 0.3
"""Between two proofs, so that the network is idle again."""
WAIT_MS: Final = 20_000


async def measure_idle(workshop: Workshop, *, batch_interval_ms: int) -> Sample:
    """The median of `PROOFS` proofs, one after another, to the nodes in turn; beside it, what the chain waits for."""
    parameters = Parameters(batch_interval_ms=batch_interval_ms)
    settings = DevnetSettings(validators=VALIDATORS, base_port=0, parameters=parameters)
    latencies_ms: list[float] = []
    async with Devnet(settings, report=workshop.tell) as devnet:
        connections = [Connection(Endpoint.of(url)) for url in devnet.urls]
        for index, signed in enumerate(sign_for_now(PROOFS)):
            await trio.sleep(PAUSE_SECONDS)
            began = time.perf_counter()
            answer = await connections[index % VALIDATORS].request(
                "POST", f"/proof/submit?wait_ms={WAIT_MS}", signed.body, seconds_max=WAIT_MS / 500
            )
            latencies_ms.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise RuntimeError(f"a proof on an idle network is not final: {answer.status} {answer.body[:300]!r}")
        for connection in connections:
            await connection.close()
    cuts = quantiles(latencies_ms, n=20)
    return Sample(cuts[9], float(batch_interval_ms), {"p95": cuts[18]})


PLANS = (
    RowPlan(
        "idle_finality",
        "one proof on an idle network of four, p50",
        "ms",
        partial(measure_idle, batch_interval_ms=Parameters().batch_interval_ms),
        Bar(at_most=1_200),
        runs=3,
        limit_is="the batch interval, which a proof waits for others",
    ),
    RowPlan(
        "idle_finality_50ms",
        "the same on a chain with batch_interval_ms 50",
        "ms",
        partial(measure_idle, batch_interval_ms=50),
        Bar(at_most=150),
        runs=3,
        limit_is="the batch interval",
    ),
)
