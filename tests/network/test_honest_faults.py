"""No honest node is charged by another, however far apart the two have come, and whoever joins or leaves meanwhile."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.messages import Commit, SignedMessage, encode_message
from p2p.memory import MemoryHub
from p2p.network import Fault
from p2p.penalties import PENALTY_POINTS
from step_node.chain.chain import Chain
from step_node.ledger.records import ValidatorState
from step_node.network import peers, sync
from step_node.network.consensus_judge import ConsensusJudge, Refused
from step_node.network.gossip import decode_operation_message
from step_node.snapshot.store import SnapshotStore
from tests.network.histories import GENESIS, History, Step, history_of
from tests.network.nodes import syncing_node
from tests.support.chains import CHAIN_ID
from tests.support.waiting import until

WHOLE_LIVES: list[Step] = [
    ("register", 0),
    ("rotate", 1),
    ("unbond", 0),
    ("nothing", 0),
    ("slash", 2),
    ("rotate", 3),
    ("nothing", 0),
    ("withdraw", 0),
    ("register", 1),
    ("withdraw", 1),
    ("unbond", 2),
    ("nothing", 0),
]
"""In which everything happens."""

STEPS = st.lists(
    st.tuples(st.sampled_from(["register", "rotate", "unbond", "withdraw", "slash", "nothing"]), st.integers(0, 7)),
    min_size=2,
    max_size=12,
)


def fault_at(chain: Chain, data: bytes) -> Fault | None:
    """What a node there charges who hands this over; None if it passes the message on."""
    try:
        ConsensusJudge(chain).judge(data)
    except Refused as error:
        return error.fault
    return None


def check_gossip(history: History) -> None:
    """Of every message, at every height."""
    chains = [history.at(height) for height in range(history.height + 1)]
    for message in history.messages():
        for chain in chains:
            fault = fault_at(chain, encode_message(message))
            assert fault is None or PENALTY_POINTS[fault] == 0, (chain.next_height, fault, message)
    charged_somewhere = 0
    for data in history.forgeries():
        faults = [fault_at(chain, data) for chain in chains]
        charged = [fault for fault in faults if fault is not None and PENALTY_POINTS[fault]]
        # Where one node charges, no honest node has passed it on.
        assert not charged or None not in faults, faults
        charged_somewhere += bool(charged)
    assert charged_somewhere
    for data in history.encoded_operations():
        decode_operation_message(data, CHAIN_ID)


def check_what_is_known_for_certain(history: History) -> None:
    """A node can tell the sets of two heights, and the parameters never change."""
    for height in range(history.height + 1):
        chain = history.at(height)
        assert chain.parameters == GENESIS.parameters
        for one in (height, height + 1):
            known = chain.validators_of(one)
            expected = history.at(one - 1).validators if one else None
            assert (known and [validator.address for validator in known]) == (
                expected and [validator.address for validator in expected]
            )
        assert chain.validators_of(height + 2) is None


def check_own_messages_are_passed_on(history: History) -> None:
    """What validators sign at the height where they stand is of use to who stands there, or has just finalised it."""
    chains = [history.at(height) for height in range(history.height + 1)]
    for message in history.messages():
        if isinstance(message, Commit):
            readers = chains[message.height - 1 : message.height + 1]
        elif isinstance(message, SignedMessage) and message.height <= history.height:
            members = history.at(message.height - 1).validators
            readers = chains[message.height - 1 : message.height + 1] if message.signer in members else []
        else:
            readers = []
        assert {fault_at(chain, encode_message(message)) for chain in readers} <= {None}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_no_signed_message_costs_points_anywhere_on_the_chain(steps: list[Step]) -> None:
    async def check() -> None:
        history = await history_of(steps)
        check_gossip(history)
        check_what_is_known_for_certain(history)

    trio.run(check)


async def test_whole_lives_are_among_what_is_tried() -> None:
    history = await history_of(WHOLE_LIVES)
    states = {record.state for head in history.heads for record in head.validators}
    assert states == set(ValidatorState)
    assert any(
        {one.address for one in before.validators} - {one.address for one in after.validators}
        for before, after in zip(history.heads, history.heads[1:], strict=False)
    ), "somebody has withdrawn"
    check_gossip(history)
    check_what_is_known_for_certain(history)
    check_own_messages_are_passed_on(history)


async def greet_and_catch_up(history: History, first: int, second: int, home: Path) -> None:
    """Two nodes at these heights do all over streams that they have for one another; a newcomer joins from both."""
    hub = MemoryHub()
    behind, ahead = sorted((first, second))
    stores, chains = {}, {}
    for name, height in (("one", first), ("two", second)):
        chains[name] = await history.grown_to(height)
        stores[name] = await SnapshotStore.open(home / name)
        if height > 1:
            await stores[name].take((await history.grown_to(height - 1)).storage)
    async with (
        syncing_node(
            hub, "one", chains["one"], home, snapshot_store=stores["one"], set_links=await history.links_at(first)
        ) as one,
        syncing_node(
            hub, "two", chains["two"], home, snapshot_store=stores["two"], set_links=await history.links_at(second)
        ) as two,
    ):
        await until(lambda: one.height == two.height == ahead)
        one.sync.want_proposal(one.chain.next_height, b"\x01" * 32)
        newcomer = await history.grown_to(0)
        async with syncing_node(
            hub, "new", newcomer, home, snapshot_store=await SnapshotStore.open(home / "new"), distance_batches=1
        ) as new:
            await until(lambda: new.height == ahead)
            assert new.chain.head == history.heads[ahead]
            for node in (one, two, new):
                assert node.faults() == {}
                assert node.network.statistics().handler_failures == 0
    assert behind <= ahead


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(STEPS, st.integers(0, 12), st.integers(0, 12))
def test_no_answer_over_streams_costs_points(
    monkeypatch: pytest.MonkeyPatch, steps: list[Step], first: int, second: int
) -> None:
    monkeypatch.setattr(sync, "GRACE_MS", 1)
    monkeypatch.setattr(peers, "GREETING_INTERVAL_MS", 10)

    async def check() -> None:
        history = await history_of(steps)
        with TemporaryDirectory() as home:
            await greet_and_catch_up(history, first % (history.height + 1), second % (history.height + 1), Path(home))

    trio.run(check)
