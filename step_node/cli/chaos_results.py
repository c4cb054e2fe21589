"""What `step-node chaos` shows at the end: one table of all runs, or their sum as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from step_node.chaos.run import Outcome
from step_node.devnet.verdict import Verdict

_STYLE_OF = {"passed": "green", "failed": "red", "skipped": "yellow"}


def print_table(screen: Console, outcomes: Sequence[Outcome]) -> None:
    """One row for each run."""
    table = Table(title="chaos", title_justify="left")
    table.add_column("scenario")
    table.add_column("result")
    for heading in ("final", "height", "longest stall", "took"):
        table.add_column(heading, justify="right", min_width=6)
    for heading in ("exactly once", "roots equal", "Byzantine"):
        table.add_column(heading)
    for outcome in outcomes:
        style = _STYLE_OF[outcome.result]
        row = [outcome.scenario, f"[{style}]{outcome.result}[/{style}]"]
        if outcome.result == "skipped":
            table.add_row(*row)
            continue
        table.add_row(
            *row,
            f"{outcome.finalised} of {outcome.submitted}",
            str(outcome.height),
            f"{outcome.longest_stall_seconds:.1f} s",
            f"{outcome.seconds:.0f} s",
            _yes(outcome.exactly_once),
            _yes(outcome.roots_equal),
            ", ".join(_verdict(verdict) for verdict in outcome.verdicts),
        )
    screen.print(table)


def summary_of(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The last line of `--json`."""
    return {
        "runs": len(outcomes),
        **{result: sum(outcome.result == result for outcome in outcomes) for result in _STYLE_OF},
        "longest_stall_seconds": round(max((outcome.longest_stall_seconds for outcome in outcomes), default=0.0), 1),
    }


def _yes(answer: bool) -> str:
    return "yes" if answer else "[red]NO[/red]"


def _verdict(verdict: Verdict) -> str:
    seen = f"seen by {len(verdict.seen_by)} of {len(verdict.honest)}"
    return f"{verdict.misbehaviour}: {'slashed' if verdict.is_slashed else seen}"
