"""Reports of fairness made from a store are the same bytes on each engine."""

from __future__ import annotations

import trio

from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.side_file import EconomyFile
from step_node.storage.interface import Storage
from tests.economy.fairness.chains import EPOCH_BATCHES, EventfulChain
from tests.economy.fairness.test_reporter import expected

EPOCHS = 3
WAIT_SECONDS_MAX = 60.0


async def test_each_engine_gives_the_reports_that_were_made_as_the_batches_became_final(store: Storage) -> None:
    eventful = await EventfulChain.open(store)
    await eventful.live_through_everything()
    assert len(eventful.judged) == EPOCHS * EPOCH_BATCHES
    reporter = FairnessReporter(eventful.chain, EconomyFile.open(None, eventful.chain.genesis.hash))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        with trio.fail_after(WAIT_SECONDS_MAX):
            while reporter.latest is None or reporter.latest.epoch < EPOCHS:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    for epoch in range(1, EPOCHS + 1):
        kept = await reporter.kept(epoch)
        assert kept is not None
        assert kept.report == expected(eventful, epoch)
