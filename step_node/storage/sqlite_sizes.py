"""The sizes of a SQLite store, by reading its pages; a running node may go on with it meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from step_node.storage.sizes import StoreSizes, TableSize
from step_node.storage.sqlite_file import FILE_SUFFIXES, meaningful_errors, open_reader, require_ours, transaction


def measure_file(path: Path) -> StoreSizes:
    """Look at every page of the store at `path`: some seconds for each GB.

    Raises `StorageMismatch` if it is damaged or is not this program's; `StorageUnavailable` if it cannot be opened.
    """
    with meaningful_errors(path), closing(open_reader(path)) as connection:
        require_ours(connection, path)
        with transaction(connection, "DEFERRED"):
            tables = _tables(connection)
            pragma = {
                name: int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("user_version", "page_size", "freelist_count")
            }
    files = (path.with_name(path.name + suffix) for suffix in FILE_SUFFIXES)
    return StoreSizes(
        schema_version=pragma["user_version"],
        tables=tables,
        size_bytes=sum(file.stat().st_size for file in files if file.exists()),
        reusable_bytes=pragma["freelist_count"] * pragma["page_size"],
        disk_free_bytes=shutil.disk_usage(path.parent).free,
    )


def _tables(connection: sqlite3.Connection) -> tuple[TableSize, ...]:
    owners: dict[str, str] = dict(
        connection.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type IN ('table', 'index')")
    )
    sizes = _sizes(connection, owners)
    return tuple(
        TableSize(
            name,
            connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0],
            None if sizes is None else sizes[name],
        )
        for name in sorted(set(owners.values()))
    )


def _sizes(connection: sqlite3.Connection, owners: dict[str, str]) -> Counter[str] | None:
    """The bytes of each table with its indexes; None from a SQLite that is built without `dbstat`, as few are."""
    sizes: Counter[str] = Counter()
    try:
        for name, size_bytes in connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"):
            sizes[owners.get(name, name)] += size_bytes
    except sqlite3.OperationalError as error:
        if "no such table: dbstat" not in str(error):
            raise
        return None
    return sizes
