"""What `step-node chaos` shows at the end: one table of all runs, or their sum as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from step_node.chaos.run import Outcome
from step_node.devnet.verdict import Verdict

_STYLE_OF = {"passed": "green", "failed": "red", "skipped": "yellow"}


def print_table(screen: Console, outcomes: Sequence[Outcome]) -> None:
    """One row for each run. `stall` is the longest; `ledgers` are compared between all nodes."""
    table = Table(title="chaos", title_justify="left")
    table.add_column("scenario", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for heading in ("final", "height", "stall", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ledgers")
    for outcome in outcomes:
        style = _STYLE_OF[outcome.result]
        row = [outcome.scenario, f"[{style}]{outcome.result}[/{style}]"]
        if outcome.result == "skipped":
            table.add_row(*row)
            continue
        table.add_row(
            *row,
            f"{outcome.finalised}/{outcome.submitted}",
            str(outcome.height),
            f"{outcome.longest_stall_seconds:.1f} s",
            f"{outcome.seconds:.0f} s",
            _ledgers(outcome),
        )
    screen.print(table)
    for verdict in {verdict.misbehaviour: verdict for outcome in outcomes for verdict in outcome.verdicts}.values():
        screen.print(_verdict(verdict))


def summary_of(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The last line of `--json`."""
    return {
        "runs": len(outcomes),
        **{result: sum(outcome.result == result for outcome in outcomes) for result in _STYLE_OF},
        "longest_stall_seconds": round(max((outcome.longest_stall_seconds for outcome in outcomes), default=0.0), 1),
    }


def _ledgers(outcome: Outcome) -> str:
    equal = "equal" if outcome.roots_equal else "[red]NOT EQUAL[/red]"
    once = "each once" if outcome.exactly_once else "[red]NOT EACH ONCE[/red]"
    return f"{equal}, {once}"


def _verdict(verdict: Verdict) -> str:
    slashed = "out of the set" if verdict.is_slashed else "still in the set"
    return (
        f"{verdict.misbehaviour}: noticed by {len(verdict.seen_by)} of {len(verdict.honest)} honest nodes;"
        f" its validator is {slashed}"
    )
