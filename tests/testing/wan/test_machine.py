"""A processor does one thing after another, and a line carries one byte after another."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from p2p.network import PeerId
from step_node.testing.wan.machine import Downlink, Processor, Uplink
from step_node.testing.wan.network import WideArea

MEGABIT = 1e6


@pytest.fixture
def air() -> WideArea:
    return WideArea(random.Random(0), delay_seconds=0.1, jitter_seconds=0.0)


async def test_a_processor_does_one_thing_after_another(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    processor, began, done = Processor(), trio.current_time(), list[tuple[str, float]]()

    async def work(name: str, work_us: float) -> None:
        await processor.work(work_us)
        done.append((name, round(trio.current_time() - began, 6)))

    async with trio.open_nursery() as nursery:
        # In the order in which they are given, whichever is shorter.
        for name, work_us in (("long", 2e6), ("short", 1e6), ("shortest", 5e5)):
            nursery.start_soon(work, name, work_us)
            await trio.sleep(0.1)
        assert processor.behind_seconds == pytest.approx(3.2)
    assert done == [("long", 2.0), ("short", 3.0), ("shortest", 3.5)]
    assert processor.busy_seconds == 3.5


async def test_a_processor_without_work_begins_at_once(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    processor = Processor()
    await processor.work(1e6)
    await trio.sleep(5)
    began = trio.current_time()
    await processor.work(1e6)
    assert trio.current_time() - began == pytest.approx(1.0)


async def test_what_is_urgent_overtakes_what_waits_for_the_line(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    air: WideArea,
) -> None:
    uplink, departed = Uplink(air.at, 8 * MEGABIT), list[tuple[str, float]]()
    began = trio.current_time()

    def note(name: str) -> None:
        departed.append((name, round(trio.current_time() - began, 6)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(air.run)
        await trio.testing.wait_all_tasks_blocked()
        for name, urgent in (("first", False), ("second", False), ("vote", True)):
            uplink.send("v1", 500_000, lambda name=name: note(name), urgent=urgent)  # type: ignore[misc]
        assert uplink.bulk_for("v1") == (1, 500_000)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    # What has begun to leave is not taken back.
    assert departed == [("first", 0.5), ("vote", 1.0), ("second", 1.5)]
    assert uplink.busy_seconds == 1.5


async def test_what_arrives_together_is_there_one_after_another(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    downlink, now = Downlink(8 * MEGABIT), trio.current_time()
    assert [downlink.take(1_000_000) - now, downlink.take(500_000) - now] == [1.0, 1.5]
    assert downlink.busy_seconds == 1.5


def test_of_some_peers_as_many_are_drawn_as_are_asked_for(air: WideArea) -> None:
    peers = [PeerId(f"v{number}") for number in range(20)]
    assert len(air.some_of(peers, 8)) == 8
