"""What must hold when a scenario is over, whatever was done in it.

Every proof that was submitted is final (none refused, none forgotten); each stands in the ledger exactly once; every
node has the same batches, the same height and the same state root.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from step_node.testing.devnet.agreement import AGREEMENT_SECONDS_MAX, check_agreement
from step_node.testing.devnet.node_client import NodeClient, Unavailable
from step_node.testing.devnet.walkers import WalkResult

PROBLEM_IDS_MAX = 3
"""Proof ids that a problem names."""


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """`problems` is empty if all is well; each is a sentence."""

    height: int
    roots_equal: bool
    exactly_once: bool
    problems: tuple[str, ...]


async def check_ledgers(clients: Sequence[NodeClient], walked: WalkResult) -> LedgerCheck:
    """Ask every node for every proof, its root and all its batches, once those that are behind have caught up."""
    problems: list[str] = []
    refused, final = walked.rejected_by_code(), [record.proof_id for record in walked.final]
    for code, count in refused.items():
        problems.append(f"{count} proofs were refused with {code}")
    undecided = len(walked.records) - len(final) - sum(refused.values())
    if undecided:
        problems.append(f"{undecided} proofs were never decided")
    agreement = await check_agreement(clients, final)
    if not agreement.state_roots_equal:
        problems.append(f"the nodes did not come to one height and root within {AGREEMENT_SECONDS_MAX:g} s")
    if agreement.missing:
        problems.append(f"{agreement.missing} proofs are not final on every node")
    ledgers: list[Counter[str]] = [Counter() for _ in clients]
    async with trio.open_nursery() as nursery:
        for client, ledger in zip(clients, ledgers, strict=True):
            nursery.start_soon(_read_ledger, client, agreement.height, ledger, problems)
    is_once = _check_counts(ledgers, final, problems)
    return LedgerCheck(agreement.height, agreement.state_roots_equal, is_once, tuple(problems))


async def _read_ledger(client: NodeClient, height: int, ledger: Counter[str], problems: list[str]) -> None:
    try:
        for number in range(1, height + 1):
            ledger.update(await client.batch_proof_ids(number))
    except Unavailable as error:
        problems.append(f"a ledger cannot be read: {error}")


def _check_counts(ledgers: Sequence[Counter[str]], final: Sequence[str], problems: list[str]) -> bool:
    before = len(problems)
    for index, ledger in enumerate(ledgers):
        if ledger != ledgers[0]:
            problems.append(f"nodes 0 and {index} hold different proofs")
        twice = [proof_id for proof_id, count in ledger.items() if count != 1]
        if twice:
            problems.append(f"node {index}: {len(twice)} proofs stand twice, such as {twice[:PROBLEM_IDS_MAX]}")
        missing = [proof_id for proof_id in final if proof_id not in ledger]
        if missing:
            problems.append(f"node {index}: {len(missing)} final proofs are in no batch: {missing[:PROBLEM_IDS_MAX]}")
    return len(problems) == before
