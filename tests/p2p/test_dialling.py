"""How a lost peer is dialled again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio

from p2p.dialling import JITTER, stay_connected


@pytest.mark.parametrize(
    ("lasted_seconds", "expected"),
    [(100.0, [1.0, 2.0, 4.0, 4.0, 1.0, 2.0, 4.0]), (0.0, [1.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0])],
    ids=["a connection that lasts", "a peer that hangs up at once"],
)
async def test_delays_double_up_to_the_cap_and_begin_again_after_a_success(
    lasted_seconds: float, expected: list[float], autojump_clock: Any
) -> None:
    del autojump_clock
    answers = iter([False, False, False, False, True, False, False])
    dialled_at: list[float] = []
    finished = trio.Event()

    async def dial() -> bool:
        dialled_at.append(trio.current_time())
        answer = next(answers, None)
        if answer is None:
            finished.set()
            await trio.sleep_forever()
        return bool(answer)

    async def wait_until_lost() -> None:
        await trio.sleep(lasted_seconds)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: stay_connected(dial, wait_until_lost, delay_initial_seconds=1.0, delay_max_seconds=4.0)
        )
        await finished.wait()
        nursery.cancel_scope.cancel()

    delays = [after - before for before, after in itertools.pairwise(dialled_at)]
    delays[4] -= lasted_seconds
    assert len(delays) == len(expected)
    for delay, nominal in zip(delays, expected, strict=True):
        assert nominal * (1 - JITTER) <= delay <= nominal * (1 + JITTER)
