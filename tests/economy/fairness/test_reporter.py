"""Reports of a node that runs, starts again, joins late, prunes, and has trouble with its files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from step_node.chain.judging import JudgedBatch
from step_node.economy.fairness import reporter as reporter_module
from step_node.economy.fairness.drift import Drift
from step_node.economy.fairness.fold import EpochFold
from step_node.economy.fairness.kept import KeptEpoch, KeptReport, Lacking
from step_node.economy.fairness.point import BatchStep, ChainPoint
from step_node.economy.fairness.reporter import RETRY_SECONDS, FairnessReporter, unreported_from
from step_node.economy.side_file import EconomyFile, EconomyFileError, EpochReport
from step_node.storage.interface import Prunable, StorageUnavailable, StoredBatch
from step_node.storage.memory import MemoryStorage
from tests.economy.fairness.chains import EPOCH_BATCHES, EventfulChain
from tests.support.chains import CHAIN_ID

WAIT_SECONDS_MAX = 30.0


def expected(eventful: EventfulChain, epoch: int) -> bytes:
    """The epoch's report, from all of its batches at once."""
    first = (epoch - 1) * EPOCH_BATCHES
    fold = EpochFold(eventful.points[first], chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
    for judged in eventful.judged[first : first + EPOCH_BATCHES]:
        fold.add(BatchStep.of(judged))
    return fold.report(fold.summed(fold.take_payments())).canonical_json()


@asynccontextmanager
async def at_work(eventful: EventfulChain, file: EconomyFile) -> AsyncIterator[FairnessReporter]:
    """A reporter at the head of the chain; whoever grows the chain tells it."""
    reporter = FairnessReporter(eventful.chain, file)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        await caught_up(reporter, eventful)
        yield reporter
        nursery.cancel_scope.cancel()


async def caught_up(reporter: FairnessReporter, eventful: EventfulChain) -> None:
    """Wait until every epoch that has ended is dealt with."""
    height = eventful.chain.head.chain.height
    with trio.fail_after(WAIT_SECONDS_MAX):
        ended = height // EPOCH_BATCHES * EPOCH_BATCHES
        while reporter.height != height or (reporter.needed_from() or 0) <= ended:
            await trio.sleep(0.001)


async def grow(eventful: EventfulChain, reporter: FairnessReporter, *names: str) -> None:
    reporter.after_batch(await eventful.grow(*names))


async def reports(reporter: FairnessReporter) -> dict[int, bytes]:
    found = await reporter.headlines(before=1_000, limit=100)
    kept = {one.epoch: await reporter.kept(one.epoch) for one in found}
    return {epoch: one.report for epoch, one in kept.items() if one is not None}


@pytest.fixture
def file() -> EconomyFile:
    return EconomyFile.open(None, bytes(32))


async def test_reports_are_made_while_the_chain_grows_and_are_those_of_the_batches(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        for epoch in range(1, 4):
            for _ in range(EPOCH_BATCHES):
                await grow(eventful, reporter, "alice", "bob")
            await caught_up(reporter, eventful)
            assert await reports(reporter) == {one: expected(eventful, one) for one in range(1, epoch + 1)}
        assert await reporter.first_epoch() == 1
        assert reporter.latest is not None
        assert reporter.latest.epoch == 3
        assert reporter.drift is not None
        assert reporter.drift.compared_epochs == 2


async def test_a_report_that_was_cut_short_is_made_again_from_the_store(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        for names in (["alice"], ["bob"], ["alice"], ["carol"], ["alice", "bob"]):
            await grow(eventful, reporter, *names)
        await caught_up(reporter, eventful)
    # The node is gone within the second epoch, and two batches become final without it.
    await eventful.grow("dave")
    await eventful.grow("alice")
    async with at_work(eventful, file) as reporter:
        await grow(eventful, reporter, "carol")
        await caught_up(reporter, eventful)
        assert await reports(reporter) == {epoch: expected(eventful, epoch) for epoch in (1, 2)}
        assert reporter.drift is not None


async def test_a_store_that_has_all_gives_all_reports_again_without_a_side_file(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    await eventful.live_through_everything()
    async with at_work(eventful, file) as reporter:
        assert await reports(reporter) == {epoch: expected(eventful, epoch) for epoch in (1, 2, 3)}


async def test_a_node_that_begins_within_an_epoch_reports_from_the_next_one_on(file: EconomyFile) -> None:
    storage = MemoryStorage()
    eventful = await EventfulChain.open(storage)
    for _ in range(EPOCH_BATCHES + 2):
        await eventful.grow("alice")
    await storage.prune(Prunable.BATCHES, below=3)
    async with at_work(eventful, file) as reporter:
        for _ in range(2 + EPOCH_BATCHES):
            await grow(eventful, reporter, "bob")
        await caught_up(reporter, eventful)
        assert await reports(reporter) == {3: expected(eventful, 3)}
        begun_within = await reporter.kept(2)
        assert begun_within is not None
        assert begun_within.lacking is Lacking.BEGUN_WITHIN
        assert await reporter.kept(1) is None
        assert await reporter.first_epoch() == 3
    # And from there on after a restart, too: the point of the epoch without a report was kept.
    await eventful.grow("alice")
    async with at_work(eventful, file) as reporter:
        for _ in range(EPOCH_BATCHES - 1):
            await grow(eventful, reporter, "dave")
        await caught_up(reporter, eventful)
        assert (await reports(reporter))[4] == expected(eventful, 4)


async def test_a_chain_that_jumps_leaves_a_gap(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        await grow(eventful, reporter, "alice")
        await eventful.grow("bob")
        reporter.jumped()
        for _ in range(2 + EPOCH_BATCHES):
            await grow(eventful, reporter, "carol")
        await caught_up(reporter, eventful)
        assert await reports(reporter) == {2: expected(eventful, 2)}


async def test_nothing_of_an_epoch_is_pruned_before_its_report_is_kept(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    begun = FairnessReporter(eventful.chain, file)
    assert begun.needed_from() == 1, "it has not looked yet from where on it needs them"
    async with at_work(eventful, file) as reporter:
        for height in range(1, 2 * EPOCH_BATCHES):
            await grow(eventful, reporter, "alice")
            await caught_up(reporter, eventful)
            assert reporter.needed_from() == height // EPOCH_BATCHES * EPOCH_BATCHES + 1


class FailingFile:
    """A side file that takes nothing while it `fails`."""

    def __init__(self, file: EconomyFile) -> None:
        self._file = file
        self.fails = True

    async def keep_report(self, epoch: int, body: bytes, headline: bytes) -> None:
        if self.fails:
            raise EconomyFileError("the side file: disk I/O error")
        await self._file.keep_report(epoch, body, headline)

    async def report(self, epoch: int) -> bytes | None:
        return await self._file.report(epoch)

    async def reports(self, *, before: int, limit: int) -> Sequence[EpochReport]:
        return await self._file.reports(before=before, limit=limit)

    async def headlines(self, *, before: int, limit: int) -> Sequence[bytes]:
        return await self._file.headlines(before=before, limit=limit)

    async def first_headline_epoch(self) -> int | None:
        return await self._file.first_headline_epoch()


async def test_a_side_file_that_fails_keeps_no_pruning_waiting_and_gets_the_report_later(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    eventful, failing = await EventfulChain.open(), FailingFile(file)
    reporter = FairnessReporter(eventful.chain, failing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        while reporter.height is None:
            await trio.sleep(0.01)
        for _ in range(EPOCH_BATCHES):
            await grow(eventful, reporter, "alice")
        while reporter.needed_from() is not None:
            await trio.sleep(0.1)
        failing.fails = False
        await trio.sleep(2 * RETRY_SECONDS)
        while reporter.latest is None:
            await trio.sleep(0.1)
        assert await reports(reporter) == {1: expected(eventful, 1)}
        assert reporter.needed_from() == EPOCH_BATCHES + 1
        nursery.cancel_scope.cancel()


class DeafStorage(MemoryStorage):
    """A store that answers no reads of the past while it `is_deaf`."""

    is_deaf = True

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        if self.is_deaf:
            raise StorageUnavailable("the database does not answer")
        return await super().batches(from_height, limit)


async def test_a_store_that_does_not_answer_is_tried_again_and_pruning_waits(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    storage = DeafStorage()
    eventful = await EventfulChain.open(storage)
    for _ in range(EPOCH_BATCHES):
        await eventful.grow("alice")
    reporter = FairnessReporter(eventful.chain, file)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        await trio.sleep(3 * RETRY_SECONDS)
        deaf = (reporter.needed_from(), await reports(reporter))
        storage.is_deaf = False
        await trio.sleep(2 * RETRY_SECONDS)
        await caught_up(reporter, eventful)
        assert deaf == (1, {})
        assert await reports(reporter) == {1: expected(eventful, 1)}
        nursery.cancel_scope.cancel()


async def test_of_a_stopped_node_the_batches_behind_the_last_report_are_still_needed(tmp_path: Path) -> None:
    path = tmp_path / "economy.sqlite"
    assert unreported_from(path) is None
    file = EconomyFile.open(path, bytes(32))
    assert unreported_from(path) is None
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        for _ in range(EPOCH_BATCHES + 1):
            await grow(eventful, reporter, "alice")
        await caught_up(reporter, eventful)
    assert unreported_from(path) == EPOCH_BATCHES + 1
    await file.keep_report(9, b"no such thing")
    assert unreported_from(path) is None
    file.close()


async def test_what_is_switched_off_does_nothing_and_goes_on_from_the_store_when_it_is_on_again(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    eventful, is_on = await EventfulChain.open(), True
    reporter = FairnessReporter(eventful.chain, file, is_on=lambda: is_on)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reporter.run)
        while reporter.height is None:
            await trio.sleep(0.01)
        await grow(eventful, reporter, "alice")
        is_on = False
        for _ in range(EPOCH_BATCHES):
            await grow(eventful, reporter, "bob")
        await trio.sleep(3 * RETRY_SECONDS)
        off = (reporter.height, reporter.needed_from(), await reports(reporter))
        is_on = True
        await grow(eventful, reporter, "carol")
        await trio.sleep(2 * RETRY_SECONDS)
        await caught_up(reporter, eventful)
        assert off == (1, None, {})
        assert await reports(reporter) == {1: expected(eventful, 1)}
        nursery.cancel_scope.cancel()


async def test_batches_that_come_faster_than_reports_are_made_are_read_from_the_store(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        for _ in range(7 * EPOCH_BATCHES):
            # Without a checkpoint in which the reporter would get its turn.
            with trio.CancelScope(shield=True):
                judged = await eventful.grow("alice")
            reporter.after_batch(judged)
            assert len(reporter._ended) <= reporter_module.ENDED_MAX
        await caught_up(reporter, eventful)
        assert await reports(reporter) == {epoch: expected(eventful, epoch) for epoch in range(1, 8)}


async def test_an_epoch_of_too_many_accounts_has_no_report_and_the_next_one_has(
    file: EconomyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("step_node.economy.fairness.fold.ACCOUNTS_MAX", 1)
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        await grow(eventful, reporter, "alice", "bob")
        for _ in range(2 * EPOCH_BATCHES - 1):
            await grow(eventful, reporter, "alice")
        await caught_up(reporter, eventful)
        kept = await reporter.kept(1)
        assert kept is not None
        assert kept.lacking is Lacking.TOO_MANY_ACCOUNTS
        assert await reports(reporter) == {2: expected(eventful, 2)}


@pytest.mark.parametrize("rows_max", [1, 1 << 20], ids=["summed within", "summed at its end"])
@pytest.mark.parametrize("field", ["reward_ustep", "account", "triangle"])
async def test_an_epoch_whose_receipts_cannot_be_has_no_report_and_ends_nothing(
    file: EconomyFile, monkeypatch: pytest.MonkeyPatch, rows_max: int, field: str
) -> None:
    monkeypatch.setattr("step_node.economy.fairness.fold.ROWS_MAX", rows_max)
    wrong: dict[str, Any] = {"reward_ustep": -(2**64), "account": b"short", "triangle": 31}
    sound = BatchStep.of

    def of_a_faulty_ledger(judged: JudgedBatch) -> BatchStep:
        step = sound(judged)
        if step.after.height > EPOCH_BATCHES:
            return step
        return replace(step, receipts=[one._replace(**{field: wrong[field]}) for one in step.receipts])

    monkeypatch.setattr(BatchStep, "of", of_a_faulty_ledger)
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        await grow(eventful, reporter, "alice", "bob", "bob")
        for _ in range(2 * EPOCH_BATCHES - 1):
            await grow(eventful, reporter, "alice")
        await caught_up(reporter, eventful)
        kept = await reporter.kept(1)
        assert kept is not None
        assert kept.lacking is Lacking.UNSOUND
        assert await reports(reporter) == {2: expected(eventful, 2)}


@pytest.mark.parametrize("accounts_max", [1, 10])
async def test_payments_of_a_long_epoch_are_summed_while_it_goes_on(
    file: EconomyFile, monkeypatch: pytest.MonkeyPatch, accounts_max: int
) -> None:
    monkeypatch.setattr("step_node.economy.fairness.fold.ROWS_MAX", 1)
    monkeypatch.setattr("step_node.economy.fairness.fold.ACCOUNTS_MAX", accounts_max)
    eventful = await EventfulChain.open()
    async with at_work(eventful, file) as reporter:
        for _ in range(EPOCH_BATCHES):
            await grow(eventful, reporter, "alice", "bob")
        await caught_up(reporter, eventful)
        made = await reports(reporter)
    assert made == ({} if accounts_max == 1 else {1: expected(eventful, 1)})


async def test_a_chain_of_too_long_epochs_has_no_reports(file: EconomyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "EPOCH_BATCHES_MAX", EPOCH_BATCHES - 1)
    eventful = await EventfulChain.open()
    reporter = FairnessReporter(eventful.chain, file)
    await reporter.run()
    reporter.after_batch(await eventful.grow("alice"))
    assert not reporter.makes_reports
    assert reporter.needed_from() is None


async def test_what_cannot_be_read_in_the_side_file_counts_as_absent(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    await eventful.live_through_everything()
    await file.keep_report(3, b"no such thing")
    async with at_work(eventful, file) as reporter:
        assert await reporter.kept(3) is None
        assert sorted(await reports(reporter)) == [1, 2]


async def test_a_side_file_of_a_later_height_than_the_stores_is_used_up_to_the_store(tmp_path: Path) -> None:
    """As after a backup of the store was restored."""
    file = EconomyFile.open(tmp_path / "economy.sqlite", bytes(32))
    later = await EventfulChain.open()
    async with at_work(later, file) as reporter:
        for _ in range(3 * EPOCH_BATCHES):
            await grow(later, reporter, "alice")
        await caught_up(reporter, later)
    earlier = await EventfulChain.open()
    for _ in range(EPOCH_BATCHES + 1):
        await earlier.grow("alice")
    async with at_work(earlier, file) as reporter:
        assert reporter.latest is not None
        assert reporter.latest.epoch == 1
        for _ in range(EPOCH_BATCHES - 1):
            await grow(earlier, reporter, "alice")
        await caught_up(reporter, earlier)
        assert (await reports(reporter))[2] == expected(earlier, 2)
    file.close()


async def test_what_is_told_of_drift_is_the_same_for_a_page_and_for_the_last_epoch(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    await eventful.live_through_everything()
    async with at_work(eventful, file) as reporter:
        told = await reporter.with_drift(await reporter.headlines(before=4, limit=2))
        assert [(one.epoch, drift is None) for one, drift in told] == [(3, False), (2, False)]
        assert told[0] == (reporter.latest, reporter.drift)
        assert await reporter.with_drift([]) == []
        ((first, drift),) = await reporter.with_drift(await reporter.headlines(before=2, limit=9))
        assert (first.epoch, drift) == (1, Drift(compared_epochs=0, income_gini_ppm=None, income_top_share_ppm=None))
        assert [await reporter.drift_of_epoch(epoch) for epoch in (1, 2, 3, 4)] == [drift, told[1][1], told[0][1], None]


async def test_what_is_kept_of_an_epoch_is_read_as_it_was_written(file: EconomyFile) -> None:
    eventful = await EventfulChain.open()
    await eventful.live_through_everything()
    async with at_work(eventful, file) as reporter:
        kept = await reporter.kept(2)
    assert kept is not None
    assert KeptEpoch.decoded(kept.encoded()) == kept
    report = KeptReport.decoded(kept.encoded())
    assert (report.canonical_json, report.lacking) == (kept.report, Lacking.NOTHING)
    assert kept.headline is not None
    assert f"0x{report.hash.hex()}" == kept.headline.report_hash
    assert kept.point == eventful.points[2 * EPOCH_BATCHES]
    alone = KeptEpoch(ChainPoint.of(eventful.chain.head), lacking=Lacking.BEGUN_WITHIN)
    assert KeptEpoch.decoded(alone.encoded()) == alone
    assert KeptReport.decoded(alone.encoded()) == KeptReport(b"", b"", Lacking.BEGUN_WITHIN)
