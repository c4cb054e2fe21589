"""A bar for each level that is seeded, on standard error: live on a terminal, else a line when a level is done."""

from __future__ import annotations

from time import perf_counter
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as RemainingColumn

from step_node.cli.output import console


class SeedingBars:
    """Shows what `step_node.seeding.seeder.seed` tells, and keeps the time that each level took."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("level {task.description:>2}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            RemainingColumn(),
            console=console(stderr=True),
        )
        self._tasks: dict[int, TaskID] = {}
        self._begun: dict[int, float] = {}
        self._seconds: dict[int, float] = {}

    def __enter__(self) -> SeedingBars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, level: int, total: int, present: int) -> None:
        self._tasks[level] = self._progress.add_task(str(level), total=total, completed=present)
        self._begun[level] = perf_counter()
        self._seconds[level] = 0.0

    def advance(self, level: int, present: int) -> None:
        self._progress.update(self._tasks[level], completed=present)
        self._seconds[level] = perf_counter() - self._begun[level]

    def seconds(self, level: int) -> float:
        """What was spent on the level; 0 where it was there."""
        return self._seconds[level]
