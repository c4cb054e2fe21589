"""A key signs for one node at a time, whatever nodes do and whenever: a property of the signer's service.

Nodes here are ends of streams, and time goes by when it is told to. A bug that is planted, a lease that nobody looks
at, is found.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from step_node.home.paths import NodeHome
from step_node.signer.keys import SignerKeys
from step_node.signer.service import LEASE_SECONDS, SignerService
from step_node.signing.guard import SigningGuard
from step_node.signing.history import SigningKind
from step_node.signing.remote.wire import (
    LENGTH,
    Answer,
    Open,
    Opened,
    Ping,
    Refused,
    Request,
    Sign,
    Signed,
    decode_answer,
    encode_frame,
)
from step_node.signing.signer import ValidatorSigner
from step_node.testing.simulator.disk import Mount, SimulatedDisk
from tests.signer.homes import KEY, NAME
from tests.support.chains import CHAIN_ID
from tests.support.proofs import private_key

NODES = 3
SILENCE_SECONDS = LEASE_SECONDS * 0.6
"""Two of these in a row are more than a lease outlives."""

Act = tuple[str, int]
ACTS = st.lists(
    st.tuples(st.sampled_from(("open", "sign", "ping", "hang up")), st.integers(0, NODES - 1))
    | st.just(("time goes by", 0)),
    max_size=25,
)


class TwoHolders(AssertionError):
    """The key has signed, or would, for two nodes at once."""


class SimulatedNode:
    """One node's side of a connection, as far as there is one."""

    def __init__(self, number: int) -> None:
        self.name = f"node {number}"
        self.stream: trio.StapledStream[Any, Any] | None = None
        self.has_key = False
        self.heard_at = 0.0
        """When the signer has heard of it last."""

    async def ask(self, request: Request) -> Answer | None:
        """The answer; None if the signer has ended the connection."""
        if self.stream is None:
            return None
        try:
            await self.stream.send_all(encode_frame(request))
            head = await self._received(LENGTH.size)
            if not head:
                return None
            self.heard_at = trio.current_time()
            return decode_answer(await self._received(LENGTH.unpack(head)[0]))
        except trio.BrokenResourceError:
            return None

    async def _received(self, count: int) -> bytes:
        assert self.stream is not None
        received = b""
        while len(received) < count and (more := await self.stream.receive_some(count - len(received))):
            received += more
        return received

    async def hang_up(self) -> None:
        if self.stream is not None:
            await self.stream.aclose()
        self.stream, self.has_key = None, False


async def run_acts(acts: Sequence[Act], plant: type[dict[bytes, str]] = dict) -> list[str]:
    """What nodes do, one after another; what became of it. Raises TwoHolders."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    nodes, height, told = [SimulatedNode(number) for number in range(NODES)], 0, []
    async with _service(plant) as service, trio.open_nursery() as nursery:
        for act, number in acts:
            node = nodes[number]
            match act:
                case "open":
                    await node.hang_up()
                    await wait_all_tasks_blocked()
                    holders = [one for one in nodes if one.has_key]
                    node.stream, served = memory_stream_pair()
                    nursery.start_soon(_serve, service, served, node.name)
                    answer = await node.ask(Open(CHAIN_ID, KEY, node.name))
                    if isinstance(answer, Opened) and holders:
                        raise TwoHolders(f"{node.name} has the key, and so has {holders[0].name}")
                    if not isinstance(answer, Opened) and not holders:
                        raise AssertionError(f"nobody has the key, and {node.name} is told {answer}")
                    node.has_key = isinstance(answer, Opened)
                    if isinstance(answer, Refused):
                        assert answer.code == "LEASED"
                        assert holders[0].name in answer.message
                case "sign":
                    height += 1
                    answer = await node.ask(Sign(height, SigningKind.PRE_VOTE.value, height, 0, bytes(32)))
                    if isinstance(answer, Signed) and not node.has_key:
                        raise TwoHolders(f"{node.name} is given a signature, and has no lease")
                    if node.has_key and not isinstance(answer, Signed):
                        raise AssertionError(f"{node.name} has the key, and is told {answer}")
                case "ping":
                    await node.ask(Ping(1))
                case "hang up":
                    await node.hang_up()
                case _:
                    clock.jump(SILENCE_SECONDS)
                    await wait_all_tasks_blocked()
                    for one in nodes:
                        if one.has_key and trio.current_time() - one.heard_at >= LEASE_SECONDS:
                            one.has_key = False
            await wait_all_tasks_blocked()
            told.append(f"{act} {number}: {[one.name for one in nodes if one.has_key]}")
        nursery.cancel_scope.cancel()
    return told


@asynccontextmanager
async def _service(plant: type[dict[bytes, str]]) -> AsyncIterator[SignerService]:
    home, rng = NodeHome(Path("home")), random.Random(0)
    keys = SignerKeys(home, chain_id=CHAIN_ID, password="")
    disk = Mount(SimulatedDisk(rng, bytes(32)), rng)
    guard = SigningGuard.open(home.signing_history(KEY), chain_id=CHAIN_ID, validator=KEY, files=disk)
    keys.add(ValidatorSigner(private_key(NAME), guard))
    service = SignerService(keys, chain_id=CHAIN_ID, believable_height=lambda: 2**31)
    service._leases = plant()
    try:
        yield service
    finally:
        keys.close()


async def _serve(service: SignerService, stream: trio.abc.Stream, origin: str) -> None:
    await service.serve(stream, origin=origin)


class LeasesThatNobodyLooksAt(dict[bytes, str]):
    """The planted bug."""

    def get(self, *_: object) -> None:  # type: ignore[override]  # a bug
        return None

    def __delitem__(self, validator: bytes) -> None:
        self.pop(validator, None)


def outcome(acts: Sequence[Act], plant: type[dict[bytes, str]] = dict) -> list[str]:
    return trio.run(run_acts, acts, plant, clock=MockClock())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ACTS)
def test_a_key_signs_for_one_node_at_a_time_whatever_nodes_do(acts: list[Act]) -> None:
    outcome(acts)


def test_a_lease_that_is_not_checked_is_found() -> None:
    """Two nodes on one signer would both sign: the property above notices it."""

    def fails(acts: list[Act]) -> bool:
        try:
            outcome(acts, LeasesThatNobodyLooksAt)
        except ExceptionGroup as group:
            return group.subgroup(TwoHolders) is not None
        return False

    without_shrinking = settings(max_examples=200, deadline=None, database=None, phases=[Phase.generate])
    try:
        find(ACTS, fails, settings=without_shrinking)
    except NoSuchExample:
        pytest.fail("nobody has noticed that two nodes have one key")
    assert fails([("open", 0), ("open", 1)])


def test_a_silent_node_loses_the_key_and_the_next_one_has_it() -> None:
    acts: list[Act] = [("open", 0), ("open", 1), ("time goes by", 0), ("time goes by", 0), ("open", 1), ("sign", 1)]
    assert outcome(acts)[-1].endswith("['node 1']")
