"""Validators that know one peer find all others, and go on without it; real processes."""

from __future__ import annotations

import json

import pytest
import trio

from step_node.home.paths import NodeHome
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.walkers import Walkers
from tests.integration.test_processes_killed import LONGEST_SECONDS, QUICK
from tests.support.waiting import until

VALIDATORS = 5


@pytest.mark.long
async def test_five_validators_that_know_one_peer_are_fully_connected_and_go_on_when_it_dies() -> None:
    settings = DevnetSettings(validators=VALIDATORS, base_port=0, parameters=QUICK, bootstrap_at_first_only=True)
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(settings) as devnet:  # It is up when everybody is connected to everybody.
            await devnet.kill(0)
            survivors = devnet.clients[1:]
            walkers = Walkers(survivors, QUICK, proofs=20, rate=8)
            await walkers.run()
            assert len(walkers.result.final) == 20, walkers.result.rejected_by_code()
            agreement = await check_agreement(survivors, [record.proof_id for record in walkers.result.final])
            assert agreement.state_roots_equal
            assert agreement.missing == 0
            # And so do those that are restarted while the one that they were told of is still dead.
            await devnet.kill(1)
            await devnet.restart(1)
            await devnet.wait_until_connected()
            assert [(await client.status()).peers for client in survivors] == [VALIDATORS - 2] * (VALIDATORS - 1)
            # Each pair of them has one connection, so it is in the book of the one that has dialled.
            await until(lambda: sum(known_addresses(node.home) for node in devnet.nodes[1:]) >= 6)


def known_addresses(home: NodeHome) -> int:
    """How many addresses stand in the node's address book, as its file says."""
    return len(json.loads(home.address_book.read_bytes())["known"]) if home.address_book.exists() else 0
