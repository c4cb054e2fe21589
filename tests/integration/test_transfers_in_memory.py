"""Four whole nodes: people send one another STEP through different nodes, and gather a stake that none of them has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from p2p.memory import MemoryHub
from step_node.ledger.records import Account, ValidatorState
from step_node.node.node import Node
from step_node.operations.operation import OperationCode, operation_id
from tests.integration.test_validator_life import NAMES, nodes_of
from tests.support.chains import CHAIN_ID, make_genesis
from tests.support.nodes import QUICK, equal_roots
from tests.support.operations import STAKE_USTEP, register, transfer
from tests.support.proofs import address

LONGEST_SECONDS = 60.0
SHARES = dict.fromkeys(("ann", "ben", "cid"), STAKE_USTEP // 4) | {"dan": STAKE_USTEP // 4 + 1_000_000}


async def all_show(nodes: Sequence[Node], name: str, holds: Callable[[Account], bool]) -> None:
    """Wait until on each node the account is as wanted."""
    with trio.fail_after(LONGEST_SECONDS):
        for node in nodes:
            storage = node.services(wait_ms_max=0).chain.storage
            while not holds(await storage.account(address(name)) or Account(address(name))):
                await trio.sleep(0.01)


async def test_a_stake_is_gathered_from_several_accounts_and_registered(tmp_path: Path) -> None:
    genesis = make_genesis(4, allocations=SHARES, epoch_batches=1_000, **QUICK)
    async with nodes_of(NAMES, genesis, MemoryHub(), tmp_path) as nodes:
        refused = await nodes[0].operations.submit(register("ann", "newcomer", 0))
        assert refused is not None
        assert refused.code is OperationCode.INSUFFICIENT_BALANCE
        sent = [
            transfer(name, "ann", 0, amount_ustep=STAKE_USTEP // 4, memo=f"from {name}")
            for name in ("ben", "cid", "dan")
        ]
        for node, operation in zip(nodes, sent, strict=False):
            assert await node.operations.submit(operation) is None
        await all_show(nodes, "ann", lambda account: account.balance_ustep == STAKE_USTEP)
        assert await nodes[3].operations.submit(register("ann", "newcomer", 0)) is None
        await all_show(nodes, "ann", lambda account: account.operations == 1)
        # Two with one number, at two nodes: one of them is applied, the same everywhere.
        rivals = [transfer("dan", "eve", 1), transfer("dan", "fay", 1)]
        for node, operation in zip(nodes, rivals, strict=False):
            refused = await node.operations.submit(operation)
            assert refused is None or refused.code in (OperationCode.POOL_FULL, OperationCode.WRONG_SEQUENCE)
        await all_show(nodes, "dan", lambda account: account.operations == 2)
        await equal_roots(nodes)
        histories = []
        for node in nodes:
            chain = node.services(wait_ms_max=0).chain
            (newcomer,) = [one for one in chain.head.validators if one.address == address("newcomer")]
            assert (newcomer.state, newcomer.stake_ustep) == (ValidatorState.WAITING, STAKE_USTEP)
            page = await chain.storage.account_page(address("ann"), limit=20)
            assert page.account is not None
            assert page.account.balance_ustep == 0
            applied = await chain.storage.operations([operation_id(one, CHAIN_ID) for one in (*sent, *rivals)])
            assert len(applied) == 4
            histories.append((page, frozenset(one.operation_id for one in applied)))
        assert len(set(histories)) == 1
        assert len(histories[0][0].transactions) == 4
