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
from step_node.storage.interface import FinalisedOperation, Place, Transaction


def place_of(transaction: Transaction) -> Place:
    """Where it stands in every history: (height, number in the batch, operations before proofs)."""
    if isinstance(transaction, FinalisedOperation):
        return transaction.height, transaction.index
    return transaction.receipt.height, OPERATIONS_MAX + transaction.receipt.index


def edge_of_proofs(place: Place | None) -> Place | None:
    """The (height, index) below which the proofs before this place lie, and above which those after it do.

    The index is negative where the place is an operation's. Of operations the edge is the place itself.
    """
    return None if place is None else (place[0], place[1] - OPERATIONS_MAX)


def merged(limit: int, *histories: Iterable[Transaction], is_oldest_first: bool) -> tuple[Transaction, ...]:
    """The first `limit` of several histories, each of which goes in that direction itself."""
    return tuple(islice(heapq.merge(*histories, key=place_of, reverse=not is_oldest_first), limit))
