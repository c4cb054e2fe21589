"""What is known of a row before it is run, and what rows have in common while they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from step_node.testing.bench.figures import Bar, Sample

ACCOUNTS = 100_000
"""Of a chain that has grown, and as many touched triangles and nonces."""


@dataclass(slots=True)
class Workshop:
    """Where the rows of one call work: a temporary directory, and how they tell what they are doing.

    `accounts` is how large a chain is that has grown. `kept` is what is costly to make and is shared by several rows,
    each under a name of its own.
    """

    folder: Path
    accounts: int = ACCOUNTS
    tell: Callable[[str], None] = lambda _line: None
    kept: dict[str, object] = field(default_factory=dict)
    _folders: int = 0

    def fresh_folder(self) -> Path:
        """A path in it that is not there yet."""
        self._folders += 1
        return self.folder / f"run-{self._folders}"


@dataclass(frozen=True, slots=True)
class RowPlan:
    """A row that can be run. `measure` makes one run of it; its first one may take longer, to prepare.

    `summary` says what the value is, `limit_is` what stands beside it.
    """

    name: str
    summary: str
    unit: str
    measure: Callable[[Workshop], Awaitable[Sample]]
    bar: Bar | None = None
    runs: int = 5
    limit_is: str = ""
