"""Looking through the chain that a store holds: batches, commits and receipts, from its first height to its head.

Together with the sum of the records (`audit`) this is all that a store can be asked: the state is that of the head's
root, the head is committed by a quorum, and every batch below is the one that the batch after it names. The receipts of
each batch are held against the root that its header has of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.values import ValidatorSet
from step_node.batch.batch import Batch
from step_node.chain.auditing import BrokenChain, ChainAudit
from step_node.chain.genesis import Genesis
from step_node.ledger.state import Receipt
from step_node.ledger.validators import validator_set
from step_node.offload import run_blocking
from step_node.operations.operation import decode_operation
from step_node.receipts.balances import unpack_balances
from step_node.receipts.leaves import operation_receipt_leaves, receipts_tree
from step_node.snapshot.copying import require_not_half_copied
from step_node.storage.interface import Storage, StorageMismatch, StoredBatch

READ_BATCHES = 16
_WHAT_TO_DO = "Check the disk, and fetch the store anew from the peers: `step-node store rebuild`"


@dataclass(frozen=True, slots=True)
class ChainAudited:
    """What was looked through. `quorums`: commits that were held against the validators of their height; of the others
    each signature is genuine, and the batch after it vouches for the batch."""

    first_height: int
    height: int
    batches: int
    proofs: int
    quorums: int


async def audit_chain(
    storage: Storage,
    genesis: Genesis,
    linked_sets: Sequence[ValidatorSet],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ChainAudited:
    """Look through the whole chain of the store, which may go on meanwhile. `linked_sets`: those that links lead to.

    Raises `StorageMismatch` naming the first bad height, `StorageUnavailable`.
    """
    head = await storage.head()
    height, first = head.chain.height, await storage.first_height()
    if height == 0:
        require_not_half_copied(head, first if (await storage.head()).chain.height == 0 else None)
        if head != genesis.head():
            raise _damaged(0, "it is not where genesis begins")
        return ChainAudited(1, 0, 0, 0, 0)
    if first is None:
        raise _damaged(height, "all batches are missing")
    present = (validator_set(head.validators, height=height), validator_set(head.validators))
    sets = {one.hash: one for one in (*present, validator_set(genesis.head().validators), *linked_sets)}
    audit = ChainAudit(chain_id=genesis.chain_id, find_set=sets.get, after=(0, genesis.hash) if first == 1 else None)
    at = first
    while at <= height:
        batches = await storage.batches(at, min(READ_BATCHES, height - at + 1))
        if not batches or batches[0].height != at:
            raise _damaged(at, "its batch is missing")
        for stored in batches:
            try:
                batch = await run_blocking(_taken, audit, at, stored)
                if at > first or first == 1:  # A snapshot brings the batch that it begins with, and no receipts.
                    await _check_receipts(storage, batch, stored)
            except BrokenChain as error:
                raise _damaged(error.height, error.reason) from error
            at += 1
        progress(at - first, height - first + 1)
    if audit.last != (height, head.chain.batch_hash):
        raise _damaged(height, "the head is of another batch")
    if validator_set(head.validators, height=height).hash != batch.header.validator_set_hash:
        raise _damaged(height, "its validators are not those of the state")
    return ChainAudited(first, height, audit.batches, audit.proofs, audit.quorums)


def _taken(audit: ChainAudit, height: int, stored: StoredBatch) -> Batch:
    batch, _ = audit.take(height, stored.batch, stored.commit)
    if (stored.height, stored.batch_hash, stored.timestamp_ms) != (height, batch.hash, batch.header.timestamp_ms):
        raise BrokenChain(height, "what the store says of its hash or its time is not so")
    return batch


async def _check_receipts(storage: Storage, batch: Batch, stored: StoredBatch) -> None:
    """Whether the receipts of a batch are those that its header commits to. Raises `BrokenChain`."""
    receipts = await storage.receipts([proof.proof_id for proof in batch.proofs])
    if len(receipts) != len(batch.proofs):
        known = {receipt.proof_id for receipt in receipts}
        lacking = next(proof.proof_id for proof in batch.proofs if proof.proof_id not in known)
        raise BrokenChain(stored.height, f"the receipt of its proof 0x{lacking.hex()} is missing")
    if not await run_blocking(_are_committed_to, batch, receipts, stored.operation_balances):
        raise BrokenChain(stored.height, "its receipts are not those that its header commits to")


def _are_committed_to(batch: Batch, receipts: Sequence[Receipt], operation_balances: bytes) -> bool:
    operations = [decode_operation(encoded) for encoded in batch.operations]
    results = unpack_balances(operation_balances, operations)
    if results is None:
        return False
    leaves = operation_receipt_leaves(batch.header.chain_id, operations, results)
    in_order = sorted(receipts, key=lambda receipt: receipt.index)
    return receipts_tree(leaves, in_order) == (batch.header.receipts_root, batch.header.receipts_size)


def _damaged(height: int, reason: str) -> StorageMismatch:
    return StorageMismatch(f"the store is damaged at height {height}: {reason}. {_WHAT_TO_DO}")
