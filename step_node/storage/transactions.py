"""An account's transactions: its finalised proofs and the operations that it has signed or that have credited it, as
one history.

A batch applies its operations before its proofs, so within a height they come first: a transaction's *place* is its
height and its number there, counted over the operations and then the proofs of a batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from itertools import islice

from step_node.batch.batch import OPERATIONS_MAX
from step_node.storage.interface import FinalisedOperation, Transaction


def place_of(transaction: Transaction) -> tuple[int, int]:
    """Where it stands in every history: (height, number in the batch, operations before proofs)."""
    if isinstance(transaction, FinalisedOperation):
        return transaction.height, transaction.index
    return transaction.receipt.height, OPERATIONS_MAX + transaction.receipt.index


def proofs_before(before: tuple[int, int] | None) -> tuple[int, int] | None:
    """The (height, index) below which the proofs before this place lie. Of operations it is the place itself."""
    return None if before is None else (before[0], max(0, before[1] - OPERATIONS_MAX))


def newest_first(limit: int, *histories: Iterable[Transaction]) -> tuple[Transaction, ...]:
    """The first `limit` of several histories, each of which is newest first itself."""
    return tuple(islice(heapq.merge(*histories, key=place_of, reverse=True), limit))
