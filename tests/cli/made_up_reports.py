"""Reports of some epochs of a made-up chain, kept in a home as a node would keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mesh import TriangleId
from step_node.economy.fairness.fold import EpochFold
from step_node.economy.fairness.kept import KeptEpoch
from step_node.economy.fairness.point import BatchStep, ChainPoint
from step_node.economy.side_file import EconomyFile
from step_node.home.paths import NodeHome
from step_node.ledger.records import TriangleState
from step_node.ledger.state import Receipt
from tests.support.chains import CHAIN_ID, make_genesis, validator_names
from tests.support.proofs import START_MS, address

EPOCH_BATCHES = 20
NAMES = validator_names(4)


async def keep_reports(home: Path, epochs: int) -> None:
    """So many epochs of some hundred people; the last one pays ten of them most of all."""
    genesis = make_genesis(4)
    NodeHome(home).data.mkdir(parents=True, exist_ok=True)
    file = EconomyFile.open(NodeHome(home).economy, genesis.hash)
    chance = np.random.default_rng(7)
    balances = {number.to_bytes(20, "big"): int(10 ** chance.uniform(3, 9.5)) for number in range(1, 120)}
    people = [*balances, *(number.to_bytes(20, "big") for number in range(120, 160))]
    point = ChainPoint.of(genesis.head())
    for epoch in range(1, epochs + 1):
        fold = EpochFold(point, chain_id=CHAIN_ID, epoch_batches=EPOCH_BATCHES)
        for _ in range(EPOCH_BATCHES):
            height = point.height + 1
            is_last_epoch = epoch == epochs
            proving = chance.choice(10 if is_last_epoch and chance.random() < 0.7 else len(people), 25)
            receipts = []
            for index, number in enumerate(proving):
                account, level = people[number], int(chance.choice([9, 10, 10, 10, 11, 12]))
                reward_ustep = 1_000_000 >> level - 1
                balances[account] = balances.get(account, 0) + reward_ustep
                triangle = TriangleId((0, 5, 5, 5, 11, 17)[number % 6], level, 0).integer
                receipts.append(
                    Receipt(
                        bytes(32),
                        height,
                        index,
                        account,
                        triangle,
                        reward_ustep,
                        1,
                        TriangleState.ACTIVE,
                        balances[account],
                        START_MS + height * 1_000,
                    )
                )
            signers = tuple(address(name) for name in NAMES if name != NAMES[2] or height % 5)
            after = ChainPoint(
                height,
                height.to_bytes(32, "big"),
                address(NAMES[0]),
                sum(one.reward_ustep for one in receipts),
                point.validators,
            )
            rewards = {signer: point.paid_ustep // 20 // len(signers) for signer in signers} if height > 1 else {}
            step = BatchStep(START_MS + height * 1_000, signers, rewards, receipts, after)
            fold.add(step)
            point = after
        kept = KeptEpoch.of(fold.report(fold.summed(fold.take_payments())), point)
        await file.keep_report(epoch, kept.encoded(), kept.encoded_headline)
    file.close()
