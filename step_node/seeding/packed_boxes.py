"""A level's R-tree, written a chunk at a time and packed, instead of box by box through SQLite's own insertion.

SQLite keeps an R-tree in three ordinary tables, whose form it documents (https://www.sqlite.org/rtree.html, "Shadow
Tables"), and writing them is allowed. Its insertion looks for a place for each box, splits nodes, and took a third of
all the time of seeding; but neighbours in the order of the ids are neighbours on the ground, so that order is a good
packing already. What is written is an R-tree like any other: `rtreecheck` finds it whole, and SQLite can change it.

A chunk is a subtree of its own, always of the same height. Above these subtrees are nodes of up to 51 children in the
order of the chunks, up to the root. Numbers of nodes follow from the chunk's index, so appending a chunk reads and
writes one node of each height above it.
"""

from __future__ import annotations

import sqlite3
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from step_node.seeding.triangles import FloatArray, IntegerArray

PAGE_BYTES: Final = 4096
CELLS_MAX: Final = 51
"""Of a node, where pages are of this size."""

ROOT: Final = 1
UPPER_NODES: Final = 1 << 10
"""Numbers for each height between the root and the chunks' subtrees; level 12 has 402 nodes in the lower of its two."""
UPPER_HEIGHTS: Final = 2
CHUNK_NODES: Final = 1 << 7
"""Numbers for each chunk's subtree. 4,096 triangles take 84 nodes, and up to three more at the antimeridian."""

_CELL: Final = np.dtype([("child", ">i8"), ("sides", ">f4", (4,))])
_HEADER: Final = np.dtype([("depth", ">u2"), ("cells", ">u2")])
NODE_BYTES: Final = _HEADER.itemsize + CELLS_MAX * _CELL.itemsize

_TOWARDS_ZERO: Final = 1.0 - 2.0**-23
_AWAY_FROM_ZERO: Final = 1.0 + 2.0**-23

Cells: TypeAlias = npt.NDArray[np.void]


def append_boxes(
    connection: sqlite3.Connection, tree: str, index: int, chunk_count: int, numbers: IntegerArray, sides: FloatArray
) -> None:
    """Write the boxes of the chunk of this index, after those of all chunks before it, in the caller's transaction.

    `sides` are west, east, south, north; `chunk_count` is how many chunks the level has when it is whole.
    """
    cells = _cells(numbers, sides)
    node, depth = 1 + UPPER_HEIGHTS * UPPER_NODES + index * CHUNK_NODES, 0
    while depth == 0 or len(cells) > 1:
        groups = np.array_split(cells, -(-len(cells) // CELLS_MAX))
        nodes = np.arange(node, node + len(groups))
        connection.executemany(
            f"INSERT INTO {tree}_node (nodeno, data) VALUES (?, ?)",
            zip(nodes.tolist(), map(_blob, groups), strict=True),
        )
        above = np.repeat(nodes, [len(group) for group in groups])
        table = "rowid (rowid, nodeno)" if depth == 0 else "parent (nodeno, parentnode)"
        connection.executemany(
            f"INSERT INTO {tree}_{table} VALUES (?, ?)", zip(cells["child"].tolist(), above.tolist(), strict=True)
        )
        cells = np.array([(number, _around(group)) for number, group in zip(nodes, groups, strict=True)], dtype=_CELL)
        node, depth = node + len(groups), depth + 1
    _hang(connection, tree, index, chunk_count, cells, depth)


def _hang(connection: sqlite3.Connection, tree: str, index: int, chunk_count: int, cell: Cells, depth: int) -> None:
    """Hang a subtree of this depth under the nodes above the chunks, of which some may have to be made."""
    height, count = 0, chunk_count
    while True:
        index, slot = divmod(index, CELLS_MAX)
        count = -(-count // CELLS_MAX)
        node = ROOT if count == 1 else ROOT + 1 + height * UPPER_NODES + index
        cells = np.empty(slot + 1, dtype=_CELL)
        cells[slot:] = cell
        if slot:
            cells[:slot] = _read(connection, tree, node)[:slot]
        blob = _blob(cells, depth + height if node == ROOT else 0)
        connection.execute(f"INSERT OR REPLACE INTO {tree}_node (nodeno, data) VALUES (?, ?)", (node, blob))
        connection.execute(
            f"INSERT OR IGNORE INTO {tree}_parent (nodeno, parentnode) VALUES (?, ?)", (int(cell["child"][0]), node)
        )
        if node == ROOT:
            return
        cell = np.array([(node, _around(cells))], dtype=_CELL)
        height += 1


def _cells(numbers: IntegerArray, sides: FloatArray) -> Cells:
    cells = np.empty(len(numbers), dtype=_CELL)
    cells["child"] = numbers
    cells["sides"] = _outwards(sides)
    return cells


def _outwards(sides: FloatArray) -> npt.NDArray[np.float32]:
    """To 32 bits, as SQLite does it: never inwards."""
    nearest = sides.astype(np.float32)
    low = np.array([True, False, True, False])
    inwards = np.where(low, nearest > sides, nearest < sides)
    factor = np.where(low == (sides < 0.0), _AWAY_FROM_ZERO, _TOWARDS_ZERO)
    return np.where(inwards, (sides * factor).astype(np.float32), nearest)


def _around(cells: Cells) -> tuple[float, float, float, float]:
    """The box of all these boxes."""
    sides = cells["sides"]
    (west, _, south, _), (_, east, _, north) = sides.min(axis=0).tolist(), sides.max(axis=0).tolist()
    return west, east, south, north


def _blob(cells: Cells, depth: int = 0) -> bytes:
    header = np.array([(depth, len(cells))], dtype=_HEADER)
    return (header.tobytes() + cells.tobytes()).ljust(NODE_BYTES, b"\0")


def _read(connection: sqlite3.Connection, tree: str, node: int) -> Cells:
    (blob,) = connection.execute(f"SELECT data FROM {tree}_node WHERE nodeno = ?", (node,)).fetchone()
    (header,) = np.frombuffer(blob, dtype=_HEADER, count=1)
    return np.frombuffer(blob, dtype=_CELL, count=int(header["cells"]), offset=_HEADER.itemsize)
