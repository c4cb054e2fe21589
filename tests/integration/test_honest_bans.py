"""Whole nodes, and a validator that joins, changes its key, leaves, and votes all the while as fast as it can.

Its votes are well signed, but what they are worth depends on the height at which they are read. They reach the others
by way of one honest node only, which must not be charged for what it passes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import trio

from consensus.messages import PreCommit, PreVote, encode_message
from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import PeerId
from p2p.penalties import PENALTY_POINTS
from step_node.ledger.records import ValidatorState
from step_node.network.protocols import consensus_topic
from step_node.node.node import Node
from step_node.operations.operation import Operation
from step_node.parameters import USTEP_PER_STEP
from tests.integration.test_validator_life import NAMES, all_have, finalise_one, nodes_of, outsider, signed
from tests.support.chains import CHAIN_ID, make_genesis
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.operations import register, rotate, unbond, withdraw
from tests.support.proofs import address

FIRST_KEY, SECOND_KEY = "mallory", "mallory-again"
VOTES_A_SECOND = 100
GENESIS = make_genesis(4, allocations={"cold": 10**6 * USTEP_PER_STEP}, epoch_batches=2, unbonding_ms=1, **QUICK)


class Mallory:
    """Votes at every height near that of the nodes, by both of its keys; no two votes of it contradict each other."""

    def __init__(self, network: MemoryNetwork, nodes: Sequence[Node]) -> None:
        self._network = network
        self._nodes = nodes
        self.sent: list[bytes] = []

    async def vote(self) -> None:
        """Until cancelled."""
        for number in count():
            height = max(node.status().height for node in self._nodes) + number % 6 - 2
            name = (FIRST_KEY, SECOND_KEY)[number // 6 % 2]
            kind = (PreVote, PreCommit)[number // 12 % 2]
            if height > 0:
                vote = signed(kind(height, number, None, address(name)), name)
                self.sent.append(encode_message(vote))
                await self._network.publish(consensus_topic(CHAIN_ID), self.sent[-1])
            await trio.sleep(1 / VOTES_A_SECOND)


def charged(hub: MemoryHub, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """What each node has charged anybody with, of what costs points."""
    found: dict[str, dict[str, int]] = {}
    for name in names:
        (network,) = hub.running(PeerId(name))
        penalties = network.statistics().penalties
        found[name] = {str(fault): times for fault, times in penalties.items() if PENALTY_POINTS[fault]}
    return {name: faults for name, faults in found.items() if faults}


def link_through(hub: MemoryHub, names: Sequence[str]) -> None:
    """Mend all links, but let Mallory's reach only these nodes."""
    hub.heal()
    for name in set(NAMES) - set(names):
        hub.cut("outsider", name)


async def handed_in(nodes: Sequence[Node], operation: Operation, name: str, state: ValidatorState | None) -> None:
    """Have the operation applied, and go on until the validator is in this state everywhere."""
    assert await nodes[1].operations.submit(operation) is None
    for number in count():
        await finalise_one(nodes[number % 4], account=f"{operation.type}-{number}", lat=float(number % 80))
        records = nodes[0].services(wait_ms_max=0).chain.head.validators
        found = next((one.state for one in records if one.address == address(name)), None)
        if found is state:
            break
    await all_have(nodes, name, state)


async def test_a_validator_that_votes_through_its_whole_life_makes_no_honest_node_charge_another(
    tmp_path: Path,
) -> None:
    hub = MemoryHub()
    async with nodes_of(NAMES, GENESIS, hub, tmp_path) as nodes, outsider(hub, GENESIS) as network:
        mallory = Mallory(network, nodes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mallory.vote)
            link_through(hub, NAMES[:1])
            await handed_in(nodes, register("cold", FIRST_KEY, 0), FIRST_KEY, ValidatorState.ACTIVE)
            await handed_in(nodes, rotate("cold", FIRST_KEY, SECOND_KEY, 1), SECOND_KEY, ValidatorState.ACTIVE)
            await handed_in(nodes, unbond("cold", SECOND_KEY, 2), SECOND_KEY, ValidatorState.UNBONDING)
            # Who was cut off is some heights behind when it hears the others again, and passes votes on to them.
            hub.partition({NAMES[3]}, {*NAMES[:3], "outsider"})
            for number in range(4):
                await finalise_one(nodes[0], account=f"apart-{number}", lat=10.0 + number)
            link_through(hub, NAMES[3:])
            await handed_in(nodes, withdraw("cold", SECOND_KEY, 3), SECOND_KEY, None)
            nursery.cancel_scope.cancel()
        assert charged(hub, NAMES) == {}
        # What Mallory has recorded reaches a newcomer, which has yet to hear of it all, from everybody.
        hub.heal()
        async with running_node(hub, "newcomer", GENESIS, tmp_path / "newcomer") as newcomer:
            for vote in mallory.sent[::7]:
                await network.publish(consensus_topic(CHAIN_ID), vote)
            await equal_roots([*nodes, newcomer])
            for vote in mallory.sent[::7]:
                await network.publish(consensus_topic(CHAIN_ID), vote)
            assert charged(hub, [*NAMES, "newcomer"]) == {}
            assert len(newcomer.status().peers) == 5
