"""The receipts of a batch as its header commits to them: leaves of a Merkle tree (RFC 6962), those of its operations
first, then those of its proofs, both in the batch's order (protocol.md §3).

A leaf is one canonical MessagePack array that begins with its kind. Each names the id of the proof or operation, which
covers all that was signed, so a leaf says only what the ledger has added to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgpack

from step_node.batch.merkle import merkle_root
from step_node.ledger.records import TriangleState
from step_node.ledger.state import OperationReceipt, Receipt
from step_node.operations.operation import Operation, operation_id

PROOF_KIND: Final = "proof"
OPERATION_KIND: Final = "operation"


def receipt_leaf(receipt: Receipt) -> bytes:
    """`["proof", id, account, triangle (integer form), reward µSTEP, clicks, state, balance µSTEP]`.

    `clicks` and `state` (0 active, 1 subdivided, 2 exhausted) are the triangle's right after the proof, `balance` the
    account's.
    """
    return receipt_leaves((receipt,))[0]


def receipt_leaves(receipts: Iterable[Receipt]) -> list[bytes]:
    """`receipt_leaf` of each, by one packer."""
    pack: Callable[[object], bytes] = msgpack.Packer().pack
    return [
        pack((PROOF_KIND, proof_id, account, triangle, reward_ustep, clicks, int(state), balance_ustep))
        for proof_id, _, _, account, triangle, reward_ustep, clicks, state, balance_ustep, _ in receipts
    ]


def proof_leaf_of(
    proof_id: bytes,
    account: bytes,
    triangle: int,
    *,
    reward_ustep: int,
    clicks: int,
    state: TriangleState,
    balance_ustep: int,
) -> bytes:
    """`receipt_leaf`, of its parts."""
    return receipt_leaf(
        Receipt(proof_id, 0, 0, account, triangle, reward_ustep, clicks, state, balance_ustep, processed_at_ms=0)
    )


def operation_leaf_of(identity: bytes, owner: bytes, *, balance_ustep: int) -> bytes:
    """`["operation", id, owner, balance µSTEP]`: `balance` is the owner's right after the operation."""
    leaf: bytes = msgpack.packb((OPERATION_KIND, identity, owner, balance_ustep))
    return leaf


def operation_receipt_leaves(
    chain_id: str, operations: Sequence[Operation], receipts: Sequence[OperationReceipt]
) -> tuple[bytes, ...]:
    """`operation_leaf_of` each; `receipts[i]` belongs to `operations[i]`."""
    return tuple(
        operation_leaf_of(operation_id(operation, chain_id), receipt.owner, balance_ustep=receipt.balance_ustep)
        for operation, receipt in zip(operations, receipts, strict=True)
    )


def receipts_tree(operation_leaves: Iterable[bytes], receipts: Iterable[Receipt]) -> tuple[bytes, int]:
    """`(receipts_root, receipts_size)` for the header of a batch with these operations and proofs."""
    leaves = [*operation_leaves, *receipt_leaves(receipts)]
    return merkle_root(leaves), len(leaves)
