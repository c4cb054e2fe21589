"""Locating the points of a CSV file: read in chunks, located as arrays, printed with a column more.

Memory is bounded whatever the file's length: `ROWS_PER_CHUNK` rows of at most `LINE_CHARACTERS_MAX` characters.
The numbers are printed as they were written.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from mesh import LEVEL_MAX, LEVEL_MIN, TriangleId, locate_array
from step_node.cli.error_lines import CommandError

HEADER = ["lat", "lon", "level"]
ROWS_PER_CHUNK = 8_192
LINE_CHARACTERS_MAX = 4_096
"""A longer line is an error that names it."""

_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")


class _RowWriter(Protocol):
    """What `csv.writer` gives, a type without a public name."""

    def writerows(self, rows: Iterable[Iterable[object]], /) -> None: ...


class _BadRow(CommandError):
    """A line that is not a point; the message names the file, the line, the column and the rule."""


@dataclass(slots=True)
class _Chunk:
    rows: list[list[str]] = field(default_factory=list)
    lats: list[float] = field(default_factory=list)
    lons: list[float] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)


def locate_points(source: TextIO, target: TextIO, *, name: str) -> None:
    """Print every row of `source` to `target` with the column `triangle_id`; the header is `lat,lon,level`.

    `name` is what errors call the source. Raises CommandError naming the line, the column and the rule at the first
    row that cannot be used; the rows before it have been printed then.
    """
    reader = csv.reader(_lines(source, name), strict=True)
    writer = csv.writer(target, lineterminator="\n")
    chunk = _Chunk()
    try:
        header = next(reader, None)
        if header != HEADER:
            found = "an empty file" if header is None else repr(",".join(header))
            raise _BadRow(f"{name}: line 1: the header must be {','.join(HEADER)!r}, not {found}")
        writer.writerow([*HEADER, "triangle_id"])
        for row in reader:
            _add(chunk, row, where=f"{name}: line {reader.line_num}")
            if len(chunk.rows) == ROWS_PER_CHUNK:
                _print_located(chunk, writer)
                target.flush()
                chunk = _Chunk()
    except csv.Error as error:
        _print_located(chunk, writer)
        raise _BadRow(f"{name}: line {reader.line_num}: is not CSV: {error}") from error
    except UnicodeDecodeError as error:
        _print_located(chunk, writer)
        # Text is decoded some thousand characters at a time: the place is behind the last line that was read.
        place = f" after line {reader.line_num}" if reader.line_num else ""
        raise _BadRow(f"{name}: is not UTF-8 text{place}: {error.reason}") from error
    except _BadRow:
        _print_located(chunk, writer)
        raise
    _print_located(chunk, writer)


def _lines(source: TextIO, name: str) -> Iterator[str]:
    number = 0
    while line := source.readline(LINE_CHARACTERS_MAX + 1):
        number += 1
        if len(line) > LINE_CHARACTERS_MAX:
            raise _BadRow(f"{name}: line {number}: is longer than {LINE_CHARACTERS_MAX} characters")
        yield line


def _add(chunk: _Chunk, row: list[str], *, where: str) -> None:
    if len(row) != len(HEADER):
        raise _BadRow(f"{where}: must have {len(HEADER)} columns ({','.join(HEADER)}), not {len(row)}")
    lat = _degrees(row[0], 90.0, f"{where}: lat")
    lon = _degrees(row[1], 180.0, f"{where}: lon")
    level = _level(row[2], f"{where}: level")
    chunk.rows.append(row)
    chunk.lats.append(lat)
    chunk.lons.append(lon)
    chunk.levels.append(level)


def _degrees(text: str, limit: float, where: str) -> float:
    try:
        # float() also reads "1_000", " 1" and "nan", which no other program writes into a CSV and means.
        degrees = float(text) if _NUMBER_CHARACTERS.issuperset(text) else math.nan
    except ValueError:
        degrees = math.nan
    if not -limit <= degrees <= limit:
        raise _BadRow(f"{where}: must be a number of degrees from {-limit:g} to {limit:g}, not {text[:40]!r}")
    return degrees


def _level(text: str, where: str) -> int:
    if 0 < len(text) <= 2 and text.isascii() and text.isdigit() and LEVEL_MIN <= int(text) <= LEVEL_MAX:
        return int(text)
    raise _BadRow(f"{where}: must be a whole number from {LEVEL_MIN} to {LEVEL_MAX}, not {text[:40]!r}")


def _print_located(chunk: _Chunk, writer: _RowWriter) -> None:
    if not chunk.rows:
        return
    located = locate_array(chunk.lats, chunk.lons, chunk.levels).tolist()
    writer.writerows([*row, TriangleId.from_int(number).text] for row, number in zip(chunk.rows, located, strict=True))
