"""The window of a running node: the same however it came to be, and kept over a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from step_node.batch.batch import Batch
from step_node.chain.chain import Chain
from step_node.economy import observatory as observatory_module
from step_node.economy.columns import COLUMNS, PERIOD_MS, FoldedBatch, ProofColumns
from step_node.economy.observatory import FOLDED_AT_ONCE_MAX, KEPT_EVERY_SECONDS, Observatory
from step_node.economy.side_file import EconomyFile, EconomyFileError, Hashes
from step_node.economy.window import ProofWindow
from step_node.offload import offload_of_task
from step_node.storage.interface import Prunable, StorageUnavailable, StoredBatch
from step_node.storage.memory import MemoryStorage
from tests.support.chains import finalise, open_chain
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, signed_proof

GENESIS = bytes(32)
EVERY_MS = PERIOD_MS * 31
"""Some five hours: the window has ten batches."""
WORK_SECONDS = 0.05


@pytest.fixture(autouse=True)
def _on_the_loop() -> Iterator[None]:
    """What would run on a thread takes simulated time."""

    async def run(work: partial[Any], /) -> Any:
        await trio.sleep(WORK_SECONDS)
        return work()

    token = offload_of_task.set(run)
    yield
    offload_of_task.reset(token)


class GrowingChain:
    """A chain whose batches come when the test says so, five hours apart."""

    def __init__(self, chain: Chain, clock: SetClock) -> None:
        self.chain = chain
        self.storage = chain.storage
        self.clock = clock
        self.batches = list[Batch]()

    @classmethod
    async def begun(cls, batches: int, storage: MemoryStorage | None = None) -> GrowingChain:
        clock = SetClock(START_MS)
        grown = cls(await open_chain(storage=storage or MemoryStorage(), clock=clock), clock)
        for _ in range(batches):
            await grown.grow()
        return grown

    @property
    def height(self) -> int:
        return self.chain.head.chain.height

    async def grow(
        self, *told: Observatory, after_ms: int = EVERY_MS, places: Sequence[tuple[float, float]] | None = None
    ) -> None:
        self.clock.advance(after_ms)
        number, now_ms = self.height + 1, self.clock.now_ms()
        somewhere = places or [(number / 2, 8.5417)] * (number % 3 + 1)
        proofs = [
            signed_proof(f"{number}-{one}", lat=lat, lon=lon, timestamp_ms=now_ms - one)
            for one, (lat, lon) in enumerate(somewhere)
        ]
        batch = (await finalise(self.chain, proofs)).batch
        self.batches.append(batch)
        for observatory in told:
            observatory.finalised(batch)

    def observatory(self, file: EconomyFile) -> Observatory:
        return Observatory(storage=self.storage, file=file, height=lambda: self.height)

    def expected(self) -> ProofWindow:
        window = ProofWindow()
        for batch in self.batches:
            header = batch.header
            window.append(ProofColumns.of_batch(batch), height=header.height, batch_time_ms=header.timestamp_ms)
        return window


def assert_equal(found: ProofWindow, expected: ProofWindow) -> None:
    """Both hold the same rows, and say the same of themselves, but for how they count places."""
    one, other = found.standing, expected.standing
    assert (one.height, one.batch_time_ms, one.is_complete) == (other.height, other.batch_time_ms, other.is_complete)
    assert found.period_first - found.first == expected.period_first - expected.first
    rows = [ProofColumns.joined(window.parts(window.first, window.end)) for window in (found, expected)]
    for column in COLUMNS:
        assert getattr(rows[0], column).tolist() == getattr(rows[1], column).tolist(), column


@asynccontextmanager
async def running(observatory: Observatory) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observatory.run)
        yield
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(3_600):
        while not condition():
            await trio.sleep(0.01)


@pytest.fixture
def file() -> Any:
    opened = EconomyFile.open(None, GENESIS)
    yield opened
    opened.close()


async def test_batches_are_folded_in_as_they_become_final_from_the_first_one_on(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    chain = await GrowingChain.begun(0)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head)
        for _ in range(14):
            await chain.grow(observatory)
            assert observatory.window.height == chain.height
        assert_equal(observatory.window, chain.expected())
        assert (observatory.needed_from, observatory.wanted()) == (None, None)


async def test_after_a_restart_the_window_goes_on_from_the_side_file_and_reads_only_what_came_after_it(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(0)
    first = chain.observatory(file)
    async with running(first):
        await until(lambda: first.is_at_head)
        for _ in range(12):
            await chain.grow(first)
        await trio.sleep(KEPT_EVERY_SECONDS + 1)
        for _ in range(2):
            await chain.grow(first)
    # As in a crash: the last two are not in the file, and more have come since.
    for _ in range(FOLDED_AT_ONCE_MAX + 1):
        await chain.grow()
    reads, batches = list[int](), chain.storage.batches

    async def watched(from_height: int, limit: int) -> Sequence[StoredBatch]:
        reads.append(from_height)
        return await batches(from_height, limit)

    monkeypatch.setattr(chain.storage, "batches", watched)
    second = chain.observatory(file)
    assert second.needed_from == 1
    async with running(second):
        await until(lambda: second.is_at_head)
        assert reads == [12, 13, 13 + FOLDED_AT_ONCE_MAX]
        assert_equal(second.window, chain.expected())
        await chain.grow(second)
        assert_equal(second.window, chain.expected())


async def test_a_store_from_before_there_was_a_window_is_read_backwards_while_the_node_is_at_the_head(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    chain = await GrowingChain.begun(30)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head)
        assert (observatory.window.complete_from_height, observatory.window.is_complete) == (30, False)
        assert (observatory.needed_from, observatory.wanted()) == (1, None)
        await chain.grow(observatory)
        await until(lambda: observatory.window.is_complete)
        assert observatory.window.complete_from_height > 30 - 2 * FOLDED_AT_ONCE_MAX  # No further than is wanted.
        assert_equal(observatory.window, chain.expected())
        assert observatory.needed_from is None


async def test_what_is_read_backwards_is_kept_too_and_gone_on_with_after_a_restart(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(20)
    monkeypatch.setattr(observatory_module, "FOLDED_AT_ONCE_MAX", 2)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head and observatory.window.complete_from_height <= 18)
        await observatory.keep()
        await until(lambda: observatory.window.complete_from_height <= 15)
        await observatory.keep()
    kept = await file.load()
    assert kept is not None
    assert not kept.standing.is_complete
    second = chain.observatory(file)
    async with running(second):
        await until(lambda: second.is_at_head)
        assert second.window.complete_from_height <= 15
        await until(lambda: second.window.is_complete)
        assert_equal(second.window, chain.expected())


async def test_batches_that_neither_window_nor_store_has_are_asked_for_and_taken_from_whoever_has_them(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    chain = await GrowingChain.begun(20)
    while await chain.storage.prune(Prunable.BATCHES, below=16):
        pass
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.wanted() is not None)
        assert observatory.needed_from is None
        assert observatory.wanted() == (15, chain.batches[14].hash)
        await observatory.take_earlier([FoldedBatch.of(batch) for batch in chain.batches[13:15]])
        await observatory.keep()
    # Over a restart as well.
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.wanted() is not None)
        assert observatory.wanted() == (13, chain.batches[12].hash)
        # What is beyond the window's beginning is left out.
        await observatory.take_earlier([FoldedBatch.of(batch) for batch in chain.batches[:13]])
        assert observatory.window.is_complete
        assert_equal(observatory.window, chain.expected())


async def test_a_node_that_jumps_over_batches_begins_anew_and_keeps_nothing_of_before(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    chain = await GrowingChain.begun(3)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head)
        await observatory.keep()
        for _ in range(15):
            await chain.grow()
        while await chain.storage.prune(Prunable.BATCHES, below=18):
            pass
        observatory.jumped()
        await until(lambda: observatory.is_at_head)
        assert observatory.window.complete_from_height == 18
        await observatory.keep()
        kept = await file.load()
        assert kept is not None
        assert kept.rows.height.tolist() == [18] * (18 % 3 + 1)


async def test_a_batch_that_was_not_told_is_read_from_the_store_and_one_told_twice_counts_once(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    chain = await GrowingChain.begun(2)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head)
        await chain.grow()
        await chain.grow(observatory)
        assert observatory.window.height == 2
        await until(lambda: observatory.is_at_head)
        observatory.finalised(chain.batches[-1])
        await until(lambda: observatory.window.is_complete)
        assert_equal(observatory.window, chain.expected())


@pytest.mark.parametrize("fault", ["another history", "far behind", "ahead of the store"])
async def test_a_side_file_that_does_not_go_with_the_store_is_not_gone_on_with(
    fault: str,
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(5)
    window = chain.expected()
    hashes = Hashes(chain.batches[-1].hash, bytes(32))
    rows = window.parts(window.first, window.end)
    if fault == "another history":
        hashes = Hashes(bytes(32), bytes(32))
    elif fault == "far behind":
        monkeypatch.setattr(observatory_module, "FORWARD_MAX", 3)
        for _ in range(4):
            await chain.grow()
    else:
        chain = await GrowingChain.begun(3)
    await file.keep(window.standing, hashes, [(window.first, rows)])
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head and observatory.window.is_complete)
        assert_equal(observatory.window, chain.expected())
        await observatory.keep()
        kept = await file.load()
        assert kept is not None
        assert kept.standing == observatory.window.standing


async def test_a_store_that_does_not_answer_is_asked_again(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(3)
    window = chain.expected()
    rows = window.parts(window.first, window.end)
    await file.keep(window.standing, Hashes(chain.batches[-1].hash, bytes(32)), [(window.first, rows)])
    await chain.grow()
    batches, failures = chain.storage.batches, [0]

    async def flaky(from_height: int, limit: int) -> Sequence[StoredBatch]:
        failures[0] += 1
        if failures[0] % 2:
            raise StorageUnavailable("gone fishing")
        return await batches(from_height, limit)

    monkeypatch.setattr(chain.storage, "batches", flaky)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.is_at_head)
        assert_equal(observatory.window, chain.expected())
        assert failures[0] == 4


async def test_a_damaged_batch_of_the_store_ends_nothing_and_is_asked_of_whoever_has_it(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(5)
    batches = chain.storage.batches

    async def damaged(from_height: int, limit: int) -> Sequence[StoredBatch]:
        found = await batches(from_height, limit)
        return [replace(one, batch=one.batch[:-1]) if one.height == 2 else one for one in found]

    monkeypatch.setattr(chain.storage, "batches", damaged)
    observatory = chain.observatory(file)
    async with running(observatory):
        await until(lambda: observatory.wanted() is not None)
        first = observatory.window.complete_from_height
        assert observatory.wanted() == (first - 1, chain.batches[first - 2].hash)
        await observatory.take_earlier([FoldedBatch.of(one) for one in chain.batches[: first - 1]])
        await chain.grow(observatory)
        assert observatory.window.is_complete
        assert_equal(observatory.window, chain.expected())


async def test_a_side_file_that_fails_ends_nothing_and_is_written_later(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(1)

    async def fails(*_: object) -> Any:
        raise EconomyFileError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(file, "load", fails)
        patch.setattr(file, "keep", fails)
        observatory = chain.observatory(file)
        async with running(observatory):
            await trio.sleep(2 * KEPT_EVERY_SECONDS + 1)
            await chain.grow(observatory)
            assert observatory.window.height == 2
            patch.undo()
            await trio.sleep(KEPT_EVERY_SECONDS + 1)
    kept = await file.load()
    assert kept is not None
    assert kept.standing == observatory.window.standing


async def test_who_follows_is_told_before_and_after_a_period_begins(
    file: EconomyFile,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    chain = await GrowingChain.begun(1)
    observatory = chain.observatory(file)
    told = list[int]()
    observatory.before_period.append(lambda: told.append(observatory.window.height))
    async with running(observatory):
        await until(lambda: observatory.is_at_head)
        told.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(observatory.wait_for_change)
            await wait_all_tasks_blocked()
            await chain.grow(observatory)
        assert told == [1]
