"""A page of a history, as SQL over a table that has a height and a position in each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from step_node.storage import sqlite_rows as rows
from step_node.storage.interface import Place
from step_node.storage.pages import Page


class SqlPage(Page):
    """One as SQL."""

    __slots__ = ()

    def where(self, of: tuple[str, rows.Value] | None) -> str:
        """With the order and the limit. `of[0]` is a column of the table, named by the caller."""
        conditions = [] if of is None else [f"{of[0]} = ?"]
        if self.before is not None:
            conditions.append("(height, position) < (?, ?)")
        if self.after is not None:
            conditions.append("(height, position) > (?, ?)")
        which = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        direction = "ASC" if self.is_oldest_first else "DESC"
        return f"{which} ORDER BY height {direction}, position {direction} LIMIT ?"

    def values(self, of: tuple[str, rows.Value] | None) -> rows.Row:
        """What stands for the question marks."""
        return (*(() if of is None else of[1:]), *(self.before or ()), *(self.after or ()), self.limit)

    def place_in(self, table: rows.Table) -> Callable[[Sequence[Any]], Place]:
        """Where a row of the table has its (height, index)."""
        height, position = table.columns.index("height"), table.columns.index("position")
        return lambda row: (row[height], row[position])
