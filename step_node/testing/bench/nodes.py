"""One node with much behind it: how soon it answers after a start, and what memory it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import trio

from step_node.home.paths import NodeHome
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_homes import HomesPlan, grown_homes
from step_node.testing.bench.networks import BATCH
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_client import Standing, Unavailable
from step_node.testing.load.engine import Load, LoadSettings
from step_node.testing.soak.samples import resident_kib

MANY_TIMES: Final = 10
"""How many times the accounts of other rows the chain has that a node is started with: a million, by default."""
START_SECONDS_MAX: Final = 600.0
POLL_SECONDS: Final = 0.02
WAITING_PROOFS: Final = 50_000
WAITING_RATE: Final = 2_000.0
SETTLE_SECONDS: Final = 10.0
KIB_A_MIB: Final = 1024


async def measure_start(workshop: Workshop) -> Sample:
    """Seconds from the process's start to its first answer, with a chain of a million accounts, beside a fresh one."""
    accounts = MANY_TIMES * workshop.accounts
    grown = await _start_seconds(workshop, accounts)
    return Sample(grown, await _start_seconds(workshop, 1), {"accounts": float(accounts)})


async def _start_seconds(workshop: Workshop, accounts: int) -> float:
    homes = await grown_homes(workshop, HomesPlan(1, accounts, prove=False))
    devnet = Devnet(DevnetSettings(validators=1, home=homes.root), report=workshop.tell)
    await devnet.prepare()
    try:
        began = trio.current_time()
        await devnet.nodes[0].spawn()
        await answering(devnet, 0)
        return trio.current_time() - began
    finally:
        await devnet.stop()


async def answering(devnet: Devnet, index: int) -> Standing:
    """Wait until node `index` answers. Raises NodeDied if it ends, or does not within `START_SECONDS_MAX`."""
    with trio.move_on_after(START_SECONDS_MAX):
        while devnet.nodes[index].is_running:
            try:
                return await devnet.clients[index].status()
            except Unavailable:
                await trio.sleep(POLL_SECONDS)
    raise devnet.nodes[index].death()


async def measure_memory(workshop: Workshop) -> Sample:
    """Resident memory while proofs wait on a grown chain, beside what it was before they came.

    One of two validators runs, so nothing is finalised meanwhile; 50,000 are offered, and it takes what it will.
    """
    homes = await grown_homes(workshop, HomesPlan(2, workshop.accounts))
    root = await trio.to_thread.run_sync(homes.copied_to, workshop.fresh_folder())
    devnet = Devnet(DevnetSettings(validators=2, home=root), report=workshop.tell)
    await devnet.prepare()
    try:
        await devnet.nodes[0].spawn()
        await answering(devnet, 0)
        await trio.sleep(SETTLE_SECONDS)
        before_kib = resident_kib(devnet.nodes[0].pid)
        settings = LoadSettings(
            devnet.urls[:1],
            WAITING_RATE,
            WAITING_PROOFS / WAITING_RATE,
            batch=BATCH,
            drain_seconds=SETTLE_SECONDS,
            known=homes.known,
        )
        report = await Load(settings).run()
        after_kib = resident_kib(devnet.nodes[0].pid)
    finally:
        await devnet.stop()
    grown_bytes = (after_kib - before_kib) * KIB_A_MIB
    return Sample(
        after_kib / KIB_A_MIB,
        before_kib / KIB_A_MIB,
        {
            "waiting proofs": float(report.accepted),
            "bytes a waiting proof": grown_bytes / max(1, report.accepted),
            "store, MiB": store_bytes(homes.root) / KIB_A_MIB**2,
        },
    )


def store_bytes(root: Path) -> int:
    """The size of the first home's ledger."""
    return NodeHome(root / "node0").ledger.stat().st_size


PLANS = (
    RowPlan(
        "start",
        "from a start to the first answer, with a million accounts and touched triangles",
        "s",
        measure_start,
        Bar(at_most=5),
        runs=3,
        limit_is="with a fresh chain",
    ),
    RowPlan(
        "memory",
        "resident while as many proofs wait as the node takes in, of 50,000 that are offered, on a grown chain",
        "MiB",
        measure_memory,
        runs=1,
        limit_is="before they came",
    ),
)
