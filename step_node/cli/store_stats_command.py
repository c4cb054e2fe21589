"""`step-node store stats`: what is in a store, and how long its disk lasts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from step_node.cli.output import print_json, print_table

if TYPE_CHECKING:
    from step_node.storage.interface import Kept
    from step_node.storage.open import StorageSettings
    from step_node.storage.sizes import StoreSizes

DAY_MS: Final = 86_400_000
SPAN_MIN_MS: Final = 3_600_000
"""Of a past that is shorter than an hour nothing is foretold."""


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """What a store holds. `span_ms` is the chain's time from its first batch that is kept to its head."""

    height: int
    kept: Kept
    span_ms: int
    sizes: StoreSizes

    @property
    def bytes_per_day(self) -> int | None:
        """What the past has taken a day, over all of it that is kept; None where that cannot be said."""
        past_bytes = self.sizes.past_bytes
        return None if past_bytes is None or self.span_ms < SPAN_MIN_MS else past_bytes * DAY_MS // self.span_ms

    @property
    def days_left(self) -> int | None:
        """How long the disk lasts at that, with what is free in the store."""
        free = self.sizes.disk_free_bytes + self.sizes.reusable_bytes
        return free // self.bytes_per_day if self.bytes_per_day else None

    def as_json(self) -> dict[str, object]:
        """Everything, for programs."""
        sizes = self.sizes
        return {
            "schemaVersion": sizes.schema_version,
            "height": self.height,
            "batchesFrom": self.kept.batches_from,
            "historiesFrom": self.kept.histories_from,
            "bytes": sizes.size_bytes,
            "reusableBytes": sizes.reusable_bytes,
            "tables": {table.name: {"rows": table.rows, "bytes": table.size_bytes} for table in sizes.tables},
            "bytesPerDay": self.bytes_per_day,
            "diskFreeBytes": sizes.disk_free_bytes,
            "daysLeft": self.days_left,
        }


def stats(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The node's home; the node may run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is in the store of a home, with either engine: the heights that it keeps, how many rows and bytes each
    table has, and how long the disk lasts if the past goes on growing as it has.

    Looks at every page of a SQLite file, which takes seconds for each GB.

    Exit status: 0 told; 1 there is no store, or it cannot be used, and the error says why.

    Example: step-node store stats --home node
    """
    import trio

    from step_node.cli.error_lines import CommandError
    from step_node.home.config import load_config
    from step_node.home.paths import NodeHome
    from step_node.home.store import storage_settings

    node_home = NodeHome(home)
    config = load_config(node_home.config).storage
    if config.engine == "sqlite" and not node_home.ledger.exists():
        raise CommandError(f"{node_home.ledger}: is not there; the node has not been started yet")
    found = trio.run(_statistics, storage_settings(node_home, config))
    if found is None:
        raise CommandError(f"{home}: its store holds no chain yet; start the node first")
    if as_json:
        print_json(found.as_json())
        return
    sizes = found.sizes
    typer.echo(
        f"height {found.height}; batches from {found.kept.batches_from}, histories from {found.kept.histories_from};"
        f" schema version {sizes.schema_version}"
    )
    rows = [
        (table.name, table.rows, "unknown" if table.size_bytes is None else table.size_bytes) for table in sizes.tables
    ]
    print_table(("table", "rows", "bytes"), rows)
    typer.echo(f"{sizes.size_bytes} bytes on disk, of which {sizes.reusable_bytes} are free for what comes")
    if found.bytes_per_day is None:
        typer.echo("no forecast: less than an hour of the chain is here, or this SQLite does not tell the sizes")
    else:
        typer.echo(
            f"{found.bytes_per_day} bytes a day so far; {sizes.disk_free_bytes} free on the disk:"
            f" {'no end in sight' if found.days_left is None else f'{found.days_left} days'}"
        )


async def _statistics(settings: StorageSettings) -> StoreStatistics | None:
    from step_node.storage.interface import NoChain
    from step_node.storage.open import measure_store, open_storage

    sizes = await measure_store(settings)
    async with open_storage(settings, only_reads=True) as storage:
        try:
            head = (await storage.head()).chain
        except NoChain:
            return None
        first_height, kept = await storage.first_height(), await storage.kept()
        first = await storage.batches(first_height, 1) if first_height is not None else ()
    if sizes is None:
        return None
    span_ms = head.timestamp_ms - first[0].timestamp_ms if first else 0
    return StoreStatistics(head.height, kept, span_ms, sizes)
