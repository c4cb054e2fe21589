"""Where commands print: Rich, or plain columns, for people, JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console


def print_json(value: Mapping[str, object]) -> None:
    """One JSON object on one line of standard output, written through at once."""
    typer.echo(json.dumps(value, allow_nan=False))


def console(*, stderr: bool = False) -> Console:
    """A Rich console that leaves numbers and addresses as they are."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_line(value: object) -> None:
    """What somebody else may have said, on one line; see `plain`."""
    typer.echo(plain(value))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, indent: int = 0) -> None:
    """Columns as wide as their longest entry: no address or hash is broken or cut, whatever the terminal's width.

    Integers stand to the right. `indent` is how many blanks go before each line.
    """
    texts = [[plain(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    to_the_right = [any(type(row[index]) is int for row in rows) for index in range(len(headings))]
    for line in (headings, *texts):
        cells = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, to_the_right, strict=True)
        ]
        typer.echo((" " * indent + "  ".join(cells)).rstrip())


def plain(value: object) -> str:
    """`value` as people read it, on one line.

    What a terminal might obey (control characters, and others that are not seen) is written as an escape: the answer
    may be that of anybody's node.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "-" if value is None else str(value)
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
