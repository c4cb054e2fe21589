"""A store that is to be verified: its batches, to be executed again, and what it says of each of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from step_node.amounts import step_text
from step_node.chain.judging import JudgedBatch
from step_node.economy.verifying.claims import NAMED_MAX, Claim, Difference, HeadClaim, LevelCountsClaim, RecordsClaim
from step_node.economy.verifying.replay import BatchRejected
from step_node.economy.verifying.spooled import SpooledRecords
from step_node.errors import StepNodeError
from step_node.ledger.state import Receipt
from step_node.receipts.balances import pack_balances
from step_node.storage.interface import Storage, StoredBatch

READ_BATCHES: Final = 16
"""Batches that are read of the store at once."""
COUNTS_TRIES_MAX: Final = 20
"""How often the counts are read anew because the node has gone on meanwhile."""


class UnsteadyStore(StepNodeError):
    """A node goes on so quickly that nothing can be read of its store at one height."""


@dataclass(frozen=True, slots=True)
class Batches:
    """A batch with its commit, as they are encoded."""

    height: int
    batch: bytes
    commit: bytes


class StoreWitness:
    """Reads a store, which may be a running node's, and only reads. `last_height` is that of `claims`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._read: dict[int, StoredBatch] = {}

    async def claims(self, folder: Path) -> list[Claim]:
        """What it says of its present: head, counts by level, every record. Files of `folder` have the records.

        Where a node runs on it these may be of two heights, one after the other.
        Raises `UnsteadyStore`, `StorageUnavailable`, OSError.
        """
        for _ in range(COUNTS_TRIES_MAX):
            before = await self._storage.head()
            counts = await self._storage.level_counts()
            if (await self._storage.head()).chain.height == before.chain.height:
                break
        else:
            raise UnsteadyStore(
                "the node goes on too quickly for its store to be read at one height: stop it for the verification, or"
                " verify a backup of it"
            )
        records = SpooledRecords(folder / "said.records")
        await self._storage.export(records)
        records.close()
        assert records.head is not None
        return [
            LevelCountsClaim(before.chain.height, counts),
            HeadClaim(records.head),
            RecordsClaim(records, folder),
        ]

    async def batches(self, first: int, last: int) -> AsyncGenerator[tuple[bytes, bytes]]:
        """The batches from `first` to `last` with their commits. Raises `BatchRejected`, `StorageUnavailable`."""
        at = first
        while at <= last:
            found = await self._storage.batches(at, min(READ_BATCHES, last - at + 1))
            if not found or found[0].height != at:
                raise BatchRejected(at, "is missing in the store")
            self._read = {stored.height: stored for stored in found}
            for stored in found:
                yield stored.batch, stored.commit
            at += len(found)

    async def compare(self, judged: JudgedBatch) -> Sequence[Difference]:
        """What the store says otherwise of a batch that has just been executed, and of its receipts."""
        batch, header = judged.batch, judged.batch.header
        stored = self._read[header.height]
        found: list[tuple[str, object, object]] = []
        if stored.batch_hash != batch.hash:
            found.append(("batch hash in the store", f"0x{stored.batch_hash.hex()}", f"0x{batch.hash.hex()}"))
        if stored.timestamp_ms != header.timestamp_ms:
            found.append(("batch time in the store", stored.timestamp_ms, header.timestamp_ms))
        balances = pack_balances(judged.transition.operation_receipts)
        if stored.operation_balances != balances:
            found.append(("balances after operations", f"0x{stored.operation_balances.hex()}", f"0x{balances.hex()}"))
        said = {receipt.proof_id: receipt for receipt in await self._receipts(judged)}
        for receipt in judged.transition.receipts:
            found += _receipt_differences(said.get(receipt.proof_id), receipt)
        return [
            Difference(header.height, what, None if theirs is None else str(theirs), str(ours))
            for what, theirs, ours in found[:NAMED_MAX]
        ]

    async def _receipts(self, judged: JudgedBatch) -> Sequence[Receipt]:
        if (await self._storage.kept()).histories_from > judged.batch.header.height:
            return judged.transition.receipts  # It has let go of them, and says so.
        return await self._storage.receipts([proof.proof_id for proof in judged.batch.proofs])


def _receipt_differences(said: Receipt | None, made: Receipt) -> list[tuple[str, object, object]]:
    name = f"receipt of proof 0x{made.proof_id.hex()}"
    if said is None:
        return [(name, None, "one")]
    if said == made:
        return []
    return [
        (f"{field.removesuffix('_ustep')} in the {name}", _shown(field, theirs), _shown(field, ours))
        for field, theirs, ours in zip(made._fields, said, made, strict=True)
        if theirs != ours
    ]


def _shown(field: str, value: object) -> object:
    if field.endswith("_ustep") and isinstance(value, int) and value >= 0:
        return f"{step_text(value)} STEP"
    return f"0x{value.hex()}" if isinstance(value, bytes) else value
