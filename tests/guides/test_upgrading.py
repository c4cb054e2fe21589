"""docs/upgrading.md, run to the letter on a network of four under load: agreed on, called off, and in force.

What stands for the reader's own is set as shell variables, as the page has it: the URL of a node, and the height. The
homes `node`, `node1` and `node2` of the page are three of the network's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.ports import NodePorts
from step_node.testing.devnet.walkers import Walkers
from tests.support.operator import ROOT, Block, Ended, Machine, blocks_under

pytestmark = pytest.mark.long

PAGE: Final = ROOT / "docs" / "upgrading.md"
SECONDS_MAX: Final = 400.0
POLL_SECONDS: Final = 0.2
PARAMETERS: Final = Parameters(
    batch_interval_ms=300,
    timeout_propose_ms=1_500,
    timeout_pre_vote_ms=800,
    timeout_pre_commit_ms=500,
    timeout_delta_ms=200,
    epoch_batches=20,
)
HOMES: Final = ("node", "node1", "node2")
EPOCHS_TO_SPARE: Final = 3


async def until(devnet: Devnet, index: int, **wanted: object) -> Mapping[str, Any]:
    """What `/upgrade` of a node says, once it says all this."""
    while True:
        answer = await devnet.clients[index].get("/upgrade")
        if all(answer[name] == value for name, value in wanted.items()):
            return answer
        await trio.sleep(POLL_SECONDS)


async def test_validators_follow_the_page_and_come_to_other_rules(tmp_path: Path) -> None:
    (propose,), approve, (cancel,) = [_lines(one) for one in blocks_under("New rules", PAGE)]
    shows = blocks_under("What runs here, and elsewhere", PAGE)
    devnet = Devnet(DevnetSettings(base_port=0, parameters=PARAMETERS, home=tmp_path / "net"))
    with trio.fail_after(SECONDS_MAX):
        async with devnet, trio.open_nursery() as nursery:
            nursery.start_soon(Walkers(devnet.clients, PARAMETERS, proofs=100_000, rate=1.5).run)
            operator = Machine(tmp_path, NodePorts(0, 0), password="")
            for name, node in zip(HOMES, devnet.nodes, strict=False):
                (tmp_path / name).symlink_to(node.home.root)
            asked = await devnet.clients[0].get("/upgrade")
            height = int(asked["firstPossibleHeight"]) + EPOCHS_TO_SPARE * PARAMETERS.epoch_batches
            operator.names |= {"URL": devnet.node_url(0), "HEIGHT": str(height)}
            upgrade = {"protocolVersion": 2, "activationHeight": height, "release": "0.1.0", "isKnown": True}

            await operator.follow([propose])
            for command in approve:
                await _once_it_is_known(operator, command)
            told = await until(devnet, 3, agreed=upgrade)
            assert len(told["approvals"]) == len(HOMES)
            await operator.follow([cancel])
            await until(devnet, 3, agreed=None)
            # With what was called off approved again, it is agreed on again.
            await _once_it_is_known(operator, approve[0])
            await until(devnet, 3, agreed=upgrade)
            shown = [await operator.run(command) for block in shows for command in block]
            assert [one.status for one in shown] == [0, 0]
            assert f"version 2 from height {height} on, release 0.1.0" in shown[1].text
            for index in range(len(devnet.nodes)):
                in_force = await until(devnet, index, inForce=upgrade)
                assert in_force["height"] >= height - 1
            nursery.cancel_scope.cancel()


def _lines(block: Block) -> Block:
    return [line for line in block if line.startswith("step-node upgrade ")]


async def _once_it_is_known(operator: Machine, command: str) -> Ended:
    """Approve, once the node that is asked has what was proposed: as an operator who is told so a second too early."""
    while (ended := await operator.run(command)).status:
        assert "nobody has proposed version 2" in ended.text, ended.text
        await trio.sleep(POLL_SECONDS)
    return ended
