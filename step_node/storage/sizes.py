"""How large a store is, table by table: for people who wonder where their disk has gone."""

from __future__ import annotations

from dataclasses import dataclass

PAST_TABLES = frozenset({"batches", "proofs", "operations", "slashings", "validator_changes"})
"""What grows with the chain; the rest is the state, which grows with accounts and triangles."""


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table or collection. `size_bytes` is what it takes with its indexes, None where the engine does not say."""

    name: str
    rows: int
    size_bytes: int | None

    @property
    def is_past(self) -> bool:
        """Whether it grows with the chain."""
        return self.name in PAST_TABLES


@dataclass(frozen=True, slots=True)
class StoreSizes:
    """`size_bytes` is all that the store takes on disk, `reusable_bytes` what of it is free for what comes, and
    `disk_free_bytes` what its disk has left."""

    schema_version: int
    tables: tuple[TableSize, ...]
    size_bytes: int
    reusable_bytes: int
    disk_free_bytes: int

    @property
    def past_bytes(self) -> int | None:
        """What the past takes; None where the engine does not say."""
        sizes = [table.size_bytes for table in self.tables if table.is_past]
        return None if None in sizes else sum(size for size in sizes if size is not None)
