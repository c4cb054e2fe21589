"""The proofs of the last two days, as columns: what trending and plausibility are computed from.

Everything here goes by the time of batches, which is the chain's own, and by nothing that only one node knows. So the
rows that a node holds after a height are the same on every node ([ADR 63](../../docs/adr/0063-economy-window.md)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from step_node.batch.batch import Batch
from step_node.proofs.proof import ADDRESS_BYTES, SignedProof

PERIOD_MS: Final = 600_000
"""What changes over the whole window changes once in so long: rows leave it, signals of plausibility are computed."""

WINDOW_MS: Final = 172_800_000
"""48 hours: rows of older batches leave at the next period's beginning."""

HALF_LIFE_MS: Final = 21_600_000
"""6 hours: after so long a click counts half."""

WINDOW_PROOFS_MAX: Final = 2**20
"""Rows that stay at a period's beginning; the oldest beyond leave."""

Integers: TypeAlias = npt.NDArray[np.int64]
Keys: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Selection: TypeAlias = "slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]"


def period_of(batch_time_ms: int) -> int:
    """The number of the period that a batch of this time is in."""
    return batch_time_ms // PERIOD_MS


@dataclass(frozen=True, eq=False)
class ProofColumns:
    """Proofs of final batches, oldest first: by height, and within a batch in its order. All columns are as long.

    `height` and `batch_time_ms` are the batch's, `timestamp_ms` what the client signed; `triangle` is the integer form,
    `lat` and `lon` degrees and `accuracy_m` metres, as signed; `account` has 20 bytes a row.
    """

    height: Integers
    batch_time_ms: Integers
    timestamp_ms: Integers
    triangle: Keys
    lat: Floats
    lon: Floats
    accuracy_m: Floats
    account: Bytes

    @classmethod
    def empty(cls) -> ProofColumns:
        """No rows."""
        return cls.of_proofs((), height=0, batch_time_ms=0)

    @classmethod
    def of_batch(cls, batch: Batch) -> ProofColumns:
        """The rows of one final batch."""
        return cls.of_proofs(batch.proofs, height=batch.header.height, batch_time_ms=batch.header.timestamp_ms)

    @classmethod
    def of_proofs(cls, proofs: Sequence[SignedProof], *, height: int, batch_time_ms: int) -> ProofColumns:
        """The rows of the proofs of one batch."""
        rows = len(proofs)
        return cls(
            height=np.full(rows, height, np.int64),
            batch_time_ms=np.full(rows, batch_time_ms, np.int64),
            timestamp_ms=np.fromiter((proof.timestamp_ms for proof in proofs), np.int64, rows),
            triangle=np.fromiter((proof.triangle.integer for proof in proofs), np.uint64, rows),
            lat=np.fromiter((proof.lat for proof in proofs), np.float64, rows),
            lon=np.fromiter((proof.lon for proof in proofs), np.float64, rows),
            accuracy_m=np.fromiter((proof.accuracy_m for proof in proofs), np.float64, rows),
            account=np.frombuffer(b"".join([proof.account for proof in proofs]), np.uint8).reshape(rows, ADDRESS_BYTES),
        )

    @classmethod
    def joined(cls, parts: Sequence[ProofColumns]) -> ProofColumns:
        """The rows of all `parts`, one after another."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, column) for part in parts]) for column in COLUMNS))

    def rows(self, selection: Selection) -> ProofColumns:
        """Some of the rows: by a slice, which copies nothing, a mask, or indices."""
        return ProofColumns(*(getattr(self, column)[selection] for column in COLUMNS))

    @cached_property
    def account_key(self) -> Keys:
        """The first 8 bytes of each account, big-endian: by it accounts are told apart.

        Two accounts that share it count as one, which gains neither anything.
        """
        return np.ascontiguousarray(self.account[:, :8]).view(">u8")[:, 0].astype(np.uint64)

    def __len__(self) -> int:
        return len(self.height)


@dataclass(frozen=True, slots=True)
class FoldedBatch:
    """What is taken of a final batch: where it stands in the chain, and its rows."""

    height: int
    batch_hash: bytes
    batch_time_ms: int
    previous_batch_hash: bytes
    rows: ProofColumns

    @classmethod
    def of(cls, batch: Batch) -> FoldedBatch:
        """Of one final batch."""
        header = batch.header
        rows = ProofColumns.of_batch(batch)
        return cls(header.height, batch.hash, header.timestamp_ms, header.previous_batch_hash, rows)


COLUMNS: Final = tuple(column.name for column in fields(ProofColumns))
