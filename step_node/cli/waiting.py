"""Waiting for something that a node tells of, saying meanwhile on standard error what it still waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

import typer

from step_node.cli.error_lines import CommandError

LOOK_SECONDS: Final = 0.5
"""How often what is waited for is asked for."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """What is still waited for. A sentence of another `state` is told at once."""

    sentence: str
    state: str = ""


def wait_until(look: Callable[[], Lacking | None], *, unmet: str, wait_seconds: float, tell_seconds: float) -> None:
    """Return once `look` finds nothing lacking. What it finds is told when it changes, of one state at most every
    `tell_seconds`.

    Raises CommandError after `wait_seconds`, which says that it is still `unmet`, and what is lacking.
    """
    until = time.monotonic() + wait_seconds
    told, told_at = Lacking(""), -inf
    while (lacking := look()) is not None:
        now = time.monotonic()
        if now >= until:
            raise CommandError(f"{unmet} after {wait_seconds:g} s; {lacking.sentence}")
        is_due = lacking.state != told.state or now - told_at >= tell_seconds
        if lacking.sentence != told.sentence and is_due:
            typer.echo(lacking.sentence, err=True)
            told, told_at = lacking, now
        time.sleep(LOOK_SECONDS)
