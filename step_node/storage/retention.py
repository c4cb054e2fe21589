"""How much of the past a node keeps, and letting go of the rest, a little at a time (docs/retention.md).

The state is never touched, so a pruned node computes what all others do. What is younger than a proof may be stays
whatever the operator says: by it a client that submits again is told what has become of its proof.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from step_node.ledger.state import StateHead
from step_node.storage.interface import Kept, Prunable, Storage

BATCHES_MIN: Final = 1_000
"""Kept by every node: for peers that are a little behind, and for clients that resume the events."""

RETENTION_PATTERN: Final = r"^(all|[1-9][0-9]{0,14} (batches|hours|days))$"
"""How an operator says what is kept."""

_UNIT_MS: Final = {"hours": 3_600_000, "days": 86_400_000}


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of one kind: the last `batches`, what is younger than `age_ms` by the chain's time, or all."""

    batches: int | None = None
    age_ms: int | None = None

    @classmethod
    def parse(cls, text: str) -> Retention:
        """From `all`, `N batches`, `N hours` or `N days`. Raises `ValueError` saying so."""
        if re.fullmatch(RETENTION_PATTERN, text) is None:
            raise ValueError(f"{text!r}: must be all, or as 100000 batches, 48 hours or 30 days")
        if text == "all":
            return cls()
        number, unit = text.split()
        if unit == "batches":
            if int(number) < BATCHES_MIN:
                raise ValueError(f"{text!r}: must be {BATCHES_MIN} batches at least")
            return cls(batches=int(number))
        return cls(age_ms=int(number) * _UNIT_MS[unit])

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever pruned."""
        return self.batches is None and self.age_ms is None

    def bounds(self, head: StateHead) -> tuple[int, int]:
        """Below which height, and before which time by the chain, something may go."""
        below = head.chain.height + 1 - max(BATCHES_MIN, self.batches or 0)
        age_ms = max(head.parameters.proof_max_age_ms, self.age_ms or 0)
        return max(below, 1), head.chain.timestamp_ms - age_ms


async def prune_past(
    storage: Storage,
    retentions: dict[Prunable, Retention],
    *,
    needed_from: int | None = None,
    after_step: Callable[[], Awaitable[None]],
) -> Kept:
    """Prune all that may go, step by step, and await `after_step()` after each; what is kept then.

    Batches from `needed_from` on stay. Raises `StorageUnavailable`; what was pruned before is.
    """
    # Batches first: histories go no further than they have.
    for what in (Prunable.BATCHES, Prunable.HISTORIES):
        retention = retentions[what]
        if retention.keeps_all:
            continue
        below, before_ms = retention.bounds(await storage.head())
        if needed_from is not None:
            below = min(below, max(needed_from, 1))
        while await storage.prune(what, below=below, before_ms=before_ms):
            await after_step()
    return await storage.kept()
