"""What is known of a row before it is run, and what rows have in common while they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from step_node.testing.bench.figures import Bar, Sample


@dataclass(slots=True)
class Workshop:
    """Where the rows of one call work: a temporary directory, and how they tell what they are doing.

    `kept` is what is costly to make and is shared by several rows, each under a name of its own.
    """

    folder: Path
    tell: Callable[[str], None] = lambda _line: None
    kept: dict[str, object] = field(default_factory=dict)


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
