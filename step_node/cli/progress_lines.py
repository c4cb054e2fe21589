"""How far a long command has come, on standard error: a bar on a terminal, else a line for each tenth."""

from __future__ import annotations

import sys

import typer

BAR_CHARACTERS = 30
TENTHS = 10


class ProgressLines:
    """Callable as `(part, done, total)`, from any thread; `quiet` says nothing. `end` ends the line of a bar."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._part = ""
        self._told = -1

    def __call__(self, part: str, done: int, total: int) -> None:
        if self._quiet:
            return
        steps = BAR_CHARACTERS if self._is_terminal else TENTHS
        step = steps if total <= 0 else min(steps, done * steps // total)
        if part != self._part:
            self.end()
            self._part, self._told = part, -1
        if step == self._told:
            return
        self._told = step
        percent = 100 * step // steps
        if self._is_terminal:
            bar = "#" * step + "." * (steps - step)
            typer.echo(f"\r{part:<8} [{bar}] {percent:3} %", err=True, nl=False)
        else:
            typer.echo(f"{part}: {percent} %", err=True)

    def end(self) -> None:
        """Begin a new line after a bar."""
        if self._is_terminal and self._part:
            typer.echo("", err=True)
        self._part = ""
