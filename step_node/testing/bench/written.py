"""How much four validators write for a batch when little goes on: by the system's count of what goes to the disk.

At three proofs a second nearly every batch is one of a few proofs, so that what is written is what a batch costs, not
what a proof costs (docs/adr/0055-bytes-written.md).
"""

from __future__ import annotations

from typing import Final

import trio

from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.networks import DRAIN_SECONDS
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.bench.sizing import DAY_SECONDS, Usage
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.load.engine import Load, LoadSettings

VALIDATORS: Final = 4
RATE: Final = 3.0
SECONDS: Final = 120.0
SETTLED_SECONDS: Final = 5.0
"""After the start, which makes files of its own."""
KIB: Final = 1_024


async def measure_written(workshop: Workshop, *, seconds: float = SECONDS) -> Sample:
    """KiB a batch and node. Raises StepNodeError where there is no `/proc`."""
    async with Devnet(DevnetSettings(validators=VALIDATORS, base_port=0), report=workshop.tell) as devnet:
        await trio.sleep(SETTLED_SECONDS)
        before = [Usage.of(node.pid).written_bytes for node in devnet.nodes]
        began = trio.current_time()
        report = await Load(LoadSettings(devnet.urls, RATE, seconds, batch=1, drain_seconds=DRAIN_SECONDS)).run()
        lasted = trio.current_time() - began
        after = [Usage.of(node.pid).written_bytes for node in devnet.nodes]
        batches = (await devnet.clients[0].status()).height
    written = (sum(after) - sum(before)) / VALIDATORS
    return Sample(
        written / batches / KIB,
        figures={
            "batches": float(batches),
            "proofs a batch": report.final / batches,
            "GB a day": written / lasted * DAY_SECONDS / 1e9,
        },
    )


PLANS: Final = (
    RowPlan(
        "written",
        f"what a validator of four writes for a batch at {RATE:g} proofs a second",
        "KiB",
        measure_written,
        Bar(at_most=16.0),
        runs=1,
    ),
)
