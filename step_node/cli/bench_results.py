"""The table of `step-node bench`."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from step_node.testing.bench.figures import Row, plain_number


def print_rows(screen: Console, rows: Sequence[Row], *, was_busy: bool) -> None:
    """One line for each row, then what else was measured, and what a bar asked for and did not hold."""
    table = Table(title="STEP bench", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("row", "value", "unit", "limit", "ratio", "bar", "", "runs", "spread"):
        is_text = heading in ("row", "unit", "bar", "")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=heading != "bar")
    for row in rows:
        met = {True: "[green]met[/green]", False: "[red]missed[/red]", None: ""}[row.meets_bar]
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(
            *(row.name, plain_number(row.value), row.unit, plain_number(row.limit), ratio, row.rule, met),
            *(str(row.runs), f"{row.spread:.0%}"),
        )
    screen.print(table)
    for row in rows:
        for name, value in row.figures.items():
            screen.print(f"  {row.name}: {name} {plain_number(value)}", markup=False, soft_wrap=True)
        for detail in row.details:
            screen.print(f"  {row.name}: {detail}", markup=False, soft_wrap=True)
        for failure in row.failures:
            screen.print(f"  {row.name}: {failure}", style="red", markup=False, soft_wrap=True)
    if was_busy:
        screen.print("[yellow]the machine was busy with other things: compare ratios, not values[/yellow]")
