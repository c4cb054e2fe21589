"""How slow an answer of many messages may be."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

import pytest
import trio
from trio.testing import MockClock

from p2p.errors import PeerFault
from p2p.network import Fault, PeerId, Stream
from step_node.network.protocols import (
    ANSWER_BYTES_PER_SECOND_MIN,
    ANSWER_MS_PER_MESSAGE,
    ANSWER_TIMEOUT_MS,
    PacedAnswer,
    PeerTooSlow,
)


class PlannedStream(Stream):
    """Gives messages of so many bytes after so many seconds each."""

    def __init__(self, plan: Iterator[tuple[float, int]]) -> None:
        self._plan = plan

    @property
    def peer_id(self) -> PeerId:
        return PeerId("peer")

    @property
    def protocol(self) -> str:
        return "/step/planned/1"

    async def send_message(self, data: bytes) -> None:
        raise NotImplementedError

    async def receive_message(self) -> bytes | None:
        seconds, size_bytes = next(self._plan)
        await trio.sleep(seconds)
        return bytes(size_bytes)

    async def close(self) -> None: ...

    async def reset(self) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def forever(seconds: float, size_bytes: int) -> Iterator[tuple[float, int]]:
    while True:
        yield seconds, size_bytes


async def received(plan: Iterator[tuple[float, int]], messages: int, *, worked_on_seconds: float = 0) -> int:
    """How many of `messages` come before the peer is too slow."""
    answer = PacedAnswer(PlannedStream(plan))
    for number in range(messages):
        try:
            await answer.receive()
        except PeerTooSlow:
            return number
        await trio.sleep(worked_on_seconds)
    return messages


async def test_one_message_just_before_each_time_out_is_too_slow(autojump_clock: MockClock) -> None:
    del autojump_clock
    began = trio.current_time()
    assert await received(forever(ANSWER_TIMEOUT_MS / 1000 - 0.1, 100), 256) == 1
    assert trio.current_time() - began < ANSWER_TIMEOUT_MS / 1000 + 1


async def test_who_keeps_the_pace_is_heard_to_the_end(autojump_clock: MockClock) -> None:
    del autojump_clock
    assert await received(forever(ANSWER_MS_PER_MESSAGE / 1000, 100), 256) == 256
    assert await received(forever(1_000_000 / ANSWER_BYTES_PER_SECOND_MIN / 3, 1_000_000), 256) == 256


async def test_large_messages_may_take_longer_but_not_for_ever(autojump_clock: MockClock) -> None:
    del autojump_clock
    assert await received(forever(9.9, 500_000), 8_192) == 8_192
    assert await received(forever(9.9, 400_000), 8_192) < 100


async def test_the_time_that_the_asker_takes_is_not_the_peers(autojump_clock: MockClock) -> None:
    del autojump_clock
    assert await received(forever(0.01, 100), 256, worked_on_seconds=60) == 256


async def test_silence_is_a_stall_and_not_a_slow_answer(autojump_clock: MockClock) -> None:
    del autojump_clock
    answer = PacedAnswer(PlannedStream(iter([(10 * ANSWER_TIMEOUT_MS / 1000, 1)])))
    with pytest.raises(PeerFault) as caught:
        await answer.receive()
    assert caught.value.fault is Fault.STALLED


async def test_a_message_that_is_looked_at_long_after_its_time_ends_nothing_but_the_answer(
    autojump_clock: MockClock,
) -> None:
    """The event loop of a busy machine may be held up for longer than a peer has."""

    class HeldUp(PlannedStream):
        async def receive_message(self) -> bytes | None:
            data = await super().receive_message()
            autojump_clock.jump(2 * ANSWER_TIMEOUT_MS / 1000)
            return data

    answer = PacedAnswer(HeldUp(iter([(0.0, 100), (60.0, 100)])))
    assert await answer.receive() == bytes(100)
    with pytest.raises(PeerTooSlow):
        await answer.receive()
