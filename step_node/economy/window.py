"""Which proofs' rows are held after a height: a function of the chain alone.

Held are the rows of the present period, and of those before it the last `WINDOW_PROOFS_MAX`, as far as they are no more
than `WINDOW_MS` older than the period's beginning. Rows leave only where a batch is the first of a new period, before
its own come in. So a node that has all batches holds what every other does, whenever it began to look.

The rows lie in chunks, so that a batch costs the event loop what it holds itself, however long the window is. Written
rows never change: what `parts` has given stays true while the window goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from step_node.economy.columns import (
    COLUMNS,
    PERIOD_MS,
    WINDOW_MS,
    WINDOW_PROOFS_MAX,
    ProofColumns,
    period_of,
)
from step_node.errors import InvariantBroken

CHUNK_ROWS: Final = 8_192


@dataclass(slots=True)
class _Chunk:
    """Room for rows, of which those from `begin` to `end` are held."""

    room: ProofColumns
    begin: int
    end: int

    def write(self, place: int, columns: ProofColumns) -> None:
        for column in COLUMNS:
            getattr(self.room, column)[place : place + len(columns)] = getattr(columns, column)

    def __len__(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a window stands: with its rows, all of it."""

    height: int
    batch_time_ms: int
    complete_from_height: int
    complete_from_ms: int
    is_complete: bool
    first: int
    """The place of the first row that is held."""
    end: int
    """The place behind the last one."""


class ProofWindow:
    """See the module's docstring. `append` takes the batches by rising height, without a gap.

    Each row has a place that never changes. They are counted from the first row that was appended; rows that were taken
    afterwards, before it, have places below 0.
    """

    def __init__(self) -> None:
        self.height = 0
        """The last batch's; 0 before the first."""
        self.batch_time_ms = 0
        """The last batch's."""
        self.complete_from_height = 1
        """The batches from here on were all looked at."""
        self.is_complete = True
        """Whether nothing is missing that should be held."""
        self._complete_from_ms = 0
        self._chunks: deque[_Chunk] = deque()
        self._first = self._end = self._period_first = 0

    @classmethod
    def restored(cls, standing: Standing, rows: ProofColumns) -> ProofWindow:
        """The window that stood so, with these rows."""
        window = cls()
        window.height, window.batch_time_ms = standing.height, standing.batch_time_ms
        window.complete_from_height, window._complete_from_ms = standing.complete_from_height, standing.complete_from_ms
        window.is_complete = standing.is_complete
        window._first = window._end = standing.first
        window._add(rows)
        period_ms = period_of(standing.batch_time_ms) * PERIOD_MS
        window._period_first = standing.first + int(np.searchsorted(rows.batch_time_ms, period_ms))
        return window

    @property
    def standing(self) -> Standing:
        """Where it stands now."""
        return Standing(
            self.height,
            self.batch_time_ms,
            self.complete_from_height,
            self._complete_from_ms,
            self.is_complete,
            self._first,
            self._end,
        )

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def first(self) -> int:
        """The place of the first row."""
        return self._first

    @property
    def period_first(self) -> int:
        """The place of the first row of the present period: those before it were held as it began."""
        return self._period_first

    @property
    def end(self) -> int:
        """The place behind the last row."""
        return self._end

    @property
    def begin_ms(self) -> int:
        """Rows of batches before this time are not held."""
        return period_of(self.batch_time_ms) * PERIOD_MS - WINDOW_MS

    def parts(self, first: int, end: int) -> list[ProofColumns]:
        """The rows from the place `first` to before `end`, those of them that are held, one part after another.

        Nothing is copied, so it may be joined on another thread while the window goes on.
        """
        parts, place = list[ProofColumns](), self._first
        for chunk in self._chunks:
            begin, stop = max(first, place), min(end, place + len(chunk))
            if begin < stop:
                offset = chunk.begin - place
                parts.append(chunk.room.rows(slice(begin + offset, stop + offset)))
            place += len(chunk)
        return parts

    def append(self, columns: ProofColumns, *, height: int, batch_time_ms: int) -> bool:
        """Take the rows of the next batch; whether a period begins with it."""
        if not self.height:
            self.complete_from_height, self._complete_from_ms = height, batch_time_ms
            self.is_complete = height == 1
        elif height != self.height + 1:
            raise InvariantBroken(f"the window of proofs stands at height {self.height} and was given {height}")
        begins = not self.height or period_of(batch_time_ms) != period_of(self.batch_time_ms)
        self.height, self.batch_time_ms = height, batch_time_ms
        if begins:
            self._period_first = self._end
            self._let_go()
        self._add(columns)
        return begins

    def take_earlier(self, columns: ProofColumns, *, height: int, batch_time_ms: int) -> None:
        """Take the rows of the batch before `complete_from_height`: they are held as if they had come in time.

        To be called only while the window is not complete.
        """
        if self.is_complete or height != self.complete_from_height - 1:
            raise InvariantBroken(
                f"the window of proofs has all from height {self.complete_from_height} on and was given height {height}"
            )
        self.complete_from_height, self._complete_from_ms = height, batch_time_ms
        self._first -= len(columns)
        if period_of(batch_time_ms) == period_of(self.batch_time_ms):
            self._period_first = self._first
        # Nothing has left yet, so what is before the first row of a chunk was never shown.
        left = len(columns)
        while left:
            if not self._chunks or not self._chunks[0].begin:
                self._chunks.appendleft(_Chunk(_room(), CHUNK_ROWS, CHUNK_ROWS))
            first = self._chunks[0]
            rows = min(left, first.begin)
            first.write(first.begin - rows, columns.rows(slice(left - rows, left)))
            first.begin -= rows
            left -= rows
        self._let_go()

    def _add(self, columns: ProofColumns) -> None:
        taken = 0
        while taken < len(columns):
            if not self._chunks or self._chunks[-1].end == CHUNK_ROWS:
                self._chunks.append(_Chunk(_room(), 0, 0))
            last = self._chunks[-1]
            rows = min(len(columns) - taken, CHUNK_ROWS - last.end)
            last.write(last.end, columns.rows(slice(taken, taken + rows)))
            last.end += rows
            taken += rows
        self._end += len(columns)

    def _let_go(self) -> None:
        """Drop what is too old, and what is too much, as of the beginning of the present period."""
        begin_ms, too_many = self.begin_ms, self._period_first - self._first - WINDOW_PROOFS_MAX
        if self._complete_from_ms <= begin_ms or too_many >= 0 or self.complete_from_height == 1:
            self.is_complete = True
        while self._chunks:
            oldest = self._chunks[0]
            old = int(np.searchsorted(oldest.room.batch_time_ms[oldest.begin : oldest.end], begin_ms))
            leaving = max(old, min(too_many, len(oldest)))
            if leaving <= 0:
                return
            oldest.begin += leaving
            self._first += leaving
            too_many -= leaving
            if len(oldest):
                return
            self._chunks.popleft()


def _room() -> ProofColumns:
    """A chunk's worth of rows that are not written yet."""
    like = [getattr(ProofColumns.empty(), column) for column in COLUMNS]
    return ProofColumns(*(np.empty((CHUNK_ROWS, *one.shape[1:]), one.dtype) for one in like))
