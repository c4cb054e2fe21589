"""What `step-node load` shows: progress while it runs, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from step_node.testing.load.engine import LoadSettings
from step_node.testing.load.engine import Progress as LoadProgress
from step_node.testing.load.report import LoadReport


def print_report(screen: Console, report: LoadReport) -> None:
    """The table at the end."""
    table = Table(title="STEP load", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("offered", f"{report.offered:,}  ({report.offered_per_second:,.0f}/s)")
    table.add_row("accepted", f"{report.accepted:,}  ({report.accepted_per_second:,.0f}/s)")
    for code, count in report.refused.items():
        waits = report.retry_after_seconds.get(code)
        asked = "no Retry-After" if waits is None else f"Retry-After {waits:g} s or more"
        table.add_row(f"refused: {code}", f"{count:,}  ({asked})")
    table.add_row("final", f"{report.final:,}  ({report.final_per_second:,.0f}/s)")
    for code, count in report.dropped.items():
        table.add_row(f"dropped: {code}", f"{count:,}")
    table.add_row("lost", f"{report.lost:,}")
    for name, latencies in (
        ("acceptance", report.acceptance_ms),
        ("finality", report.finality_ms),
        ("waited for a connection", report.sent_late_ms),
    ):
        table.add_row(f"{name}: {', '.join(latencies)}", _milliseconds(latencies))
    table.add_row("CPU of the load itself", f"{report.own_cpu:.2f} cores")
    table.add_row("CPU of the signers", f"{report.signing_cpu:.2f} cores")
    screen.print(table)
    if report.lost:
        screen.print("[red]not everything that was accepted is final[/red]")


@contextmanager
def progress_of(screen: Console, settings: LoadSettings) -> Iterator[Callable[[LoadProgress], None]]:
    """A bar over the seconds, with the counts; call what it gives about once a second."""
    columns = (SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=screen) as shown:
        task = shown.add_task("signing", total=settings.seconds)

        def advance(now: LoadProgress) -> None:
            shown.update(
                task,
                completed=min(now.seconds, settings.seconds),
                description=f"offered {now.offered:,}  accepted {now.accepted:,}  refused {now.refused:,}"
                f"  final {now.final:,}  waiting {now.waiting:,}",
            )

        yield advance


def _milliseconds(latencies: Mapping[str, float | None]) -> str:
    return ", ".join("-" if value is None else f"{value:,.0f}" for value in latencies.values()) + " ms"
