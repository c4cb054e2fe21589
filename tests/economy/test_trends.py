"""What is answered of trends: that of one height, whatever has happened since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing

from mesh import Box, Disc, TriangleId, corners, locate, triangles_in_bounding_box
from step_node.economy import trends as trends_module
from step_node.economy.columns import PERIOD_MS, FoldedBatch, ProofColumns, period_of
from step_node.economy.observatory import Observatory
from step_node.economy.plausibility import account_signals
from step_node.economy.side_file import EconomyFile
from step_node.economy.trending import TrendingBase, TrendingRegion, top_regions
from step_node.economy.trends import COVER_MAX, TRENDING_MAX, Area, Trends, TrendsAt, compute_top, cover
from step_node.economy.window import ProofWindow
from step_node.storage.interface import Prunable
from tests.economy.test_observatory import GENESIS, GrowingChain, until


@asynccontextmanager
async def following(chain: GrowingChain) -> AsyncIterator[tuple[Observatory, Trends]]:
    file = EconomyFile.open(None, GENESIS)
    observatory = chain.observatory(file)
    trends = Trends(observatory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observatory.run)
        nursery.start_soon(trends.run)
        yield observatory, trends
        nursery.cancel_scope.cancel()
    file.close()


def expected(chain: GrowingChain, height: int, level: int) -> list[TrendingRegion]:
    """Computed from the chain's batches up to `height`, at once."""
    window = ProofWindow()
    for batch in chain.batches[:height]:
        header = batch.header
        window.append(ProofColumns.of_batch(batch), height=header.height, batch_time_ms=header.timestamp_ms)
    before = ProofColumns.joined(window.parts(window.first, window.period_first))
    signals = account_signals(before)
    rows = ProofColumns.joined(window.parts(window.first, window.end))
    period = period_of(window.batch_time_ms)
    base = TrendingBase.of(rows, period, signals.keys, signals.implausibility_bps)
    return top_regions(base, ProofColumns.empty(), level, TRENDING_MAX)


def at_of(trends: Trends) -> TrendsAt:
    at = trends.now()
    assert at is not None
    return at


async def test_each_batch_is_in_the_answer_at_once_and_a_period_that_begins_as_soon_as_it_is_computed() -> None:
    chain = await GrowingChain.begun(3)
    async with following(chain) as (observatory, trends):
        assert trends.now() is None
        await until(lambda: trends.now() is not None and at_of(trends).is_complete)
        for step_ms in (1_000, 2_000, PERIOD_MS, 1_000, 60 * PERIOD_MS):
            before = at_of(trends)
            await chain.grow(observatory, after_ms=step_ms)
            # Until the new period is computed, what is told is as of the last height of the one before.
            at = at_of(trends)
            assert at.height == (chain.height if step_ms < PERIOD_MS else before.height)
            assert await trends.top(at, 10, None) == expected(chain, at.height, 10)
            await until(lambda: at_of(trends).height == chain.height)
            at = at_of(trends)
            assert await trends.top(at, 10, None) == expected(chain, chain.height, 10)
            assert at.batch_time_ms == chain.batches[-1].header.timestamp_ms


async def test_the_answer_of_a_height_stays_while_batches_come_and_is_computed_once() -> None:
    chain = await GrowingChain.begun(1)
    async with following(chain) as (observatory, trends):
        await until(lambda: trends.now() is not None)
        at = at_of(trends)
        first = await trends.top(at, 8, None)
        assert trends.is_known(at, 8, None)
        assert not trends.is_known(at, 9, None)
        await chain.grow(observatory, after_ms=1_000)
        assert await trends.top(at, 8, None) == first == expected(chain, 1, 8)
        later = at_of(trends)
        assert not trends.is_known(later, 8, None)
        assert await trends.top(later, 8, None) == expected(chain, 2, 8)


async def test_what_was_computed_of_a_height_is_not_given_as_of_the_next_that_was_asked_for_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(1)
    async with following(chain) as (observatory, trends):
        await until(lambda: trends.now() is not None)
        at, is_asked_again = at_of(trends), trio.Event()

        async def slow(*asked: object) -> list[TrendingRegion]:
            await is_asked_again.wait()
            return compute_top(*asked)  # type: ignore[arg-type]

        async with trio.open_nursery() as nursery:
            with monkeypatch.context() as patching:
                patching.setattr(trends_module, "run_blocking", lambda _work, *asked: slow(*asked))
                nursery.start_soon(trends.top, at, 8, None)
                await trio.testing.wait_all_tasks_blocked()
            await chain.grow(observatory, after_ms=1_000)
            assert not trends.is_known(at_of(trends), 8, None)
            is_asked_again.set()
        assert await trends.top(at_of(trends), 8, None) == expected(chain, 2, 8)


async def test_a_window_that_begins_anew_does_not_change_what_is_said_of_a_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = await GrowingChain.begun(3)
    async with following(chain) as (observatory, trends):
        await until(lambda: trends.now() is not None and at_of(trends).is_complete)
        for _ in range(15):
            await chain.grow()
        while await chain.storage.prune(Prunable.BATCHES, below=18):
            pass
        with monkeypatch.context() as patching:
            patching.setattr(trends_module, "run_blocking", lambda *_: trio.sleep_forever())
            observatory.jumped()
            await until(lambda: observatory.window.height == 18)
            at = at_of(trends)
            assert (at.height, at.batch_time_ms) == (3, chain.batches[2].header.timestamp_ms)
            assert compute_top(at, 10, None) == expected(chain, 3, 10)


async def test_many_rows_of_one_period_are_sorted_again_before_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends_module, "TOLD_ROWS", 3)
    monkeypatch.setattr("step_node.economy.observatory.TOLD_ROWS", 3)
    chain = await GrowingChain.begun(1)
    async with following(chain) as (observatory, trends):
        await until(lambda: trends.now() is not None)
        for _ in range(6):
            await chain.grow(observatory, after_ms=1_000)
        await until(lambda: not at_of(trends).since)
        assert len(at_of(trends).base.triangle) == len(observatory.window)
        assert await trends.top(at_of(trends), 10, None) == expected(chain, chain.height, 10)


async def test_a_window_that_becomes_complete_by_a_batch_without_proofs_is_said_to_be() -> None:
    chain = await GrowingChain.begun(2)
    while await chain.storage.prune(Prunable.BATCHES, below=2):
        pass
    async with following(chain) as (observatory, trends):
        await until(lambda: observatory.wanted() is not None and trends.now() is not None)
        assert (at_of(trends).is_complete, at_of(trends).complete_from_height) == (False, 2)
        first = chain.batches[0].header
        await observatory.take_earlier(
            [FoldedBatch(1, bytes(32), first.timestamp_ms, first.previous_batch_hash, ProofColumns.empty())]
        )
        await until(lambda: at_of(trends).is_complete)


async def test_an_area_has_the_regions_that_touch_it_and_no_others() -> None:
    chain = await GrowingChain.begun(0)
    async with following(chain) as (observatory, trends):
        await until(lambda: observatory.is_at_head)
        places = [(47.0 + number / 50, 8.0 + number / 40) for number in range(30)]
        await chain.grow(observatory, places=places)
        await until(lambda: trends.now() is not None and at_of(trends).height == 1)
        at, box = at_of(trends), Box.checked(47.2, 8.2, 47.4, 8.6)
        found = await trends.top(at, 10, Area("box", box))
        everywhere = await trends.top(at, 10, None)
        assert 0 < len(found) < len(everywhere)
        assert found == [one for one in everywhere if box.touches(corners(one.triangle))]
        (one,) = await trends.top(at, 10, Area("disc", Disc.checked(*places[3], 1.0)))
        assert one.triangle == locate(*places[3], 10)


@pytest.mark.parametrize("level", [1, 5, 10, 21])
@pytest.mark.parametrize(
    "box", [(-90, -180, 90, 180), (47.3, 8.5, 47.4, 8.6), (-1, 179, 1, -179), (89, 0, 90, 10), (0, 0, 0, 0)]
)
def test_a_cover_has_all_triangles_of_an_area_in_few_ranges(box: tuple[float, float, float, float], level: int) -> None:
    ranges = cover(Box.checked(*box), level)
    assert 0 < len(ranges) <= COVER_MAX
    assert all(one[1] < other[0] for one, other in pairwise(ranges))
    if level <= 5 or box[0] == box[2]:
        for triangle in triangles_in_bounding_box(*box, level):
            assert any(first <= triangle.integer <= last for first, last in ranges)
            assert TriangleId.from_int(ranges[0][0]).level <= level
