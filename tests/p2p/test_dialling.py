"""How a lost peer is dialled again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio

from p2p.addresses import PeerAddress, parse_peer_address
from p2p.dialling import JITTER, Dialler, stay_connected
from p2p.libp2p_host import peer_id_of
from p2p.network import PeerId, Scope
from tests.p2p.worlds import private_key_of


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


async def test_a_dial_under_way_comes_to_its_end_when_its_peer_is_no_longer_kept(autojump_clock: Any) -> None:
    del autojump_clock
    address = parse_peer_address(f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id_of(private_key_of('other'))}")
    begun: list[float] = []
    ended: list[float] = []

    async def connect(_address: PeerAddress, _narrowest: Scope) -> None:
        begun.append(trio.current_time())
        await trio.sleep(1)
        ended.append(trio.current_time())

    async def wait_until_lost(_peer_id: PeerId) -> None:
        await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        dialler = Dialler(
            nursery,
            connect=connect,
            is_welcome=lambda _peer_id: True,
            wait_until_lost=wait_until_lost,
            delay_initial_seconds=1.0,
            delay_max_seconds=4.0,
        )
        dialler.keep({address.peer_id: {address: Scope.LOOPBACK}})
        await trio.sleep(0.5)
        dialler.keep({})
        assert dialler.kept == frozenset()
        # The nursery ends with its last task: nothing is dialled any more.
    assert len(begun) == len(ended) == 1
