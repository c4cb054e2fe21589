"""Where commands print: Rich for people, plain JSON lines for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
