"""A chain's store copied into another, of any engine: the whole past, then the state of the head, then a check.

The past goes first, a page of each kind at a time, and the last page that is there says where to go on: so a copy that
was cut short is gone on with. The state is written at once, by `Storage.restore`, with the head; until then the copy
stands at height 0. The source is only read, and nobody may write to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from step_node.ledger.records import Record
from step_node.ledger.state import StateHead
from step_node.snapshot.audit import add_up_state
from step_node.storage.interface import (
    PAGE_MAX,
    History,
    HistoryEnds,
    Kept,
    LedgerTotals,
    RecordSink,
    RestoredState,
    Storage,
    StorageMismatch,
    StoredBatch,
    StoredRecord,
)

BATCHES_AT_ONCE = 32
"""Of a full 200 KB each."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What is to be copied: the source's head, what it holds, and from where on."""

    head: StateHead
    totals: LedgerTotals
    kept: Kept

    @classmethod
    async def of(cls, source: Storage) -> CopyPlan:
        """Look at `source`. Raises `StorageMismatch` if it holds no chain, `StorageUnavailable`."""
        return cls(await source.head(), await source.totals(), await source.kept())

    @property
    def batches(self) -> int:
        """How many there are."""
        return 0 if self.head.chain.height == 0 else self.head.chain.height + 1 - self.kept.batches_from

    def __str__(self) -> str:
        return (
            f"height {self.head.chain.height}: {self.batches} batches, {self.totals.proofs} proofs,"
            f" {self.totals.accounts} accounts, {self.totals.triangles} triangles"
        )


async def copy_store(source: Storage, target: Storage, progress: Progress = lambda _line: None) -> CopyPlan:
    """Make `target`, initialised with the same genesis, hold what `source` does; what was copied.

    Called again after it was cut short, it goes on. Raises `StorageMismatch` if `target` holds something else, or the
    copy turns out not to be the source; `StorageUnavailable`.
    """
    plan = await CopyPlan.of(source)
    there = (await target.head()).chain
    if there.height not in (0, plan.head.chain.height):
        raise StorageMismatch(
            f"the store that is copied to stands at height {there.height}, and the other one at"
            f" {plan.head.chain.height}: copy into an empty one"
        )
    if plan.head.chain.height > 0 and there.height == 0:
        await _copy_history(source, target, plan, progress)
        await _copy_state(source, target, plan, progress)
    await _require_copy(source, target, plan, progress)
    return plan


async def _copy_history(source: Storage, target: Storage, plan: CopyPlan, progress: Progress) -> None:
    ends = await target.history_ends()
    # The head's batch comes with the state.
    height = plan.kept.batches_from if ends.batch is None else ends.batch + 1
    while height < plan.head.chain.height:
        found = await source.batches(height, min(BATCHES_AT_ONCE, plan.head.chain.height - height))
        if not found:
            raise StorageMismatch(f"the store that is copied lacks the batch of height {height}: verify it first")
        await target.take_history(History(batches=found))
        height += len(found)
        progress(f"batches to height {height - 1}")
    await _copy_entries(source, target, ends, progress)


async def _copy_entries(source: Storage, target: Storage, ends: HistoryEnds, progress: Progress) -> None:
    proof_id, copied = ends.proof_id, 0
    while proofs := await source.all_proofs(limit=PAGE_MAX, after=proof_id):
        await target.take_history(History(proofs=proofs))
        proof_id, copied = proofs[-1].proof.proof_id, copied + len(proofs)
        progress(f"{copied} proofs")
    operation_id = ends.operation_id
    while operations := await source.all_operations(limit=PAGE_MAX, after=operation_id):
        await target.take_history(History(operations=operations))
        operation_id = operations[-1].operation_id
    slashing = ends.slashing or (0, -1)
    while slashings := await source.slashings(limit=PAGE_MAX, after=slashing):
        await target.take_history(History(slashings=slashings))
        slashing = slashings[-1].height, slashings[-1].index
    change = ends.validator_change or (0, -1)
    while changes := await source.validator_changes(limit=PAGE_MAX, after=change):
        await target.take_history(History(validator_changes=changes))
        change = changes[-1].height, changes[-1].index


def require_not_half_copied(head: StateHead, first_height: int | None) -> None:
    """Raises `StorageMismatch` for a store that has the past of another one, and not yet its state."""
    if head.chain.height == 0 and first_height is not None:
        raise StorageMismatch(
            "copying another store into this one was cut short: `step-node store migrate` goes on with it"
        )


class _Records(RecordSink):
    """Keeps the records of an export."""

    def __init__(self) -> None:
        self.head: StateHead | None = None
        self.base: StoredBatch | None = None
        self.pages: list[Sequence[StoredRecord]] = []

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        self.head, self.base, self.pages = head, base, []

    def add(self, records: Sequence[Record]) -> None:
        self.pages.append([one for one in records if isinstance(one, StoredRecord)])


async def _copy_state(source: Storage, target: Storage, plan: CopyPlan, progress: Progress) -> None:
    progress("the state")
    records = _Records()
    await source.export(records)
    if records.head is None or records.base is None or records.head != plan.head:
        raise StorageMismatch("the store that is copied has gone on meanwhile: stop its node, and begin again")

    def pages() -> Iterator[Sequence[StoredRecord]]:
        return iter(records.pages)

    await target.restore(RestoredState(records.head, records.base, pages, kept=plan.kept))


async def _require_copy(source: Storage, target: Storage, plan: CopyPlan, progress: Progress) -> None:
    """Raises `StorageMismatch` unless `target` is what `source` is: by head, root, counts and ends."""
    progress("the state root")
    await add_up_state(target)
    for what, of_source, of_target in (
        ("heads", plan.head, await target.head()),
        ("sums", plan.totals, await target.totals()),
        ("past", plan.kept, await target.kept()),
        ("ends of the past", await source.history_ends(), await target.history_ends()),
    ):
        if of_source != of_target:
            raise StorageMismatch(
                f"the copy is not what was copied: their {what} differ. The store that was copied is as before; take"
                " the copy away, and begin again"
            )
