"""What all proofs were paid, by the formulas over the triangles' clicks: it must be what their receipts come to.

The formulas are of one version of the rules, so this holds for a chain that has had one; where it began with a state,
its clicks were paid elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from mesh.triangle_id import LEVEL_MASK
from step_node.amounts import step_text
from step_node.economy.formulas import EXACT, ROUNDED, proofs_pay_ustep
from step_node.economy.verifying.claims import Difference
from step_node.economy.verifying.replay import Replay
from step_node.ledger.records import Record, Triangle
from step_node.ledger.state import StateHead
from step_node.storage.interface import RecordSink, StoredBatch


class _Formula(RecordSink):
    """Adds up what the triangles of an export have paid."""

    def __init__(self, version: int) -> None:
        self._version = version
        self.paid_ustep = 0

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        del head, base
        self.paid_ustep = 0

    def add(self, records: Sequence[Record]) -> None:
        self.paid_ustep += sum(
            proofs_pay_ustep(self._version, record.id & LEVEL_MASK, record.clicks)
            for record in records
            if isinstance(record, Triangle)
        )


async def closed_form_differences(replay: Replay) -> Sequence[Difference]:
    """What the formulas say otherwise of what proofs were paid, if they can say it."""
    versions = replay.versions
    if not replay.begins_at_genesis or len(versions) != 1 or not versions <= {ROUNDED, EXACT}:
        return ()
    formula = _Formula(next(iter(versions)))
    await replay.storage.export(formula)
    if formula.paid_ustep == replay.derived.paid_ustep:
        return ()
    paid, by_formula = f"{step_text(replay.derived.paid_ustep)} STEP", f"{step_text(formula.paid_ustep)} STEP"
    return [Difference(replay.head.chain.height, "what proofs were paid, by the formulas", paid, by_formula)]
