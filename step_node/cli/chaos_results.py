"""What `step-node chaos` shows at the end: one table of all scenarios, or the sum of all runs as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from step_node.testing.chaos.run import Outcome
from step_node.testing.devnet.verdict import Verdict

_RESULTS = ("passed", "failed", "skipped")


def print_table(screen: Console, outcomes: Sequence[Outcome]) -> None:
    """One row for each scenario, with all its runs: how many passed of those that were not skipped, all proofs, the
    longest stall, the seconds of one run. `ledgers` are compared between all nodes."""
    table = Table(title="chaos", title_justify="left")
    table.add_column("scenario", no_wrap=True)
    table.add_column("passed", no_wrap=True)
    for heading in ("final", "stall", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ledgers", no_wrap=True)
    for name in dict.fromkeys(outcome.scenario for outcome in outcomes):
        table.add_row(name, *_cells([outcome for outcome in outcomes if outcome.scenario == name]))
    screen.print(table)
    for verdict in {verdict.misbehaviour: verdict for outcome in outcomes for verdict in outcome.verdicts}.values():
        screen.print(_verdict(verdict))


def summary_of(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The last line of `--json`."""
    return {
        "runs": len(outcomes),
        **{result: sum(outcome.result == result for outcome in outcomes) for result in _RESULTS},
        "longest_stall_seconds": round(max((outcome.longest_stall_seconds for outcome in outcomes), default=0.0), 1),
    }


def _cells(runs: Sequence[Outcome]) -> list[str]:
    """Of one scenario's runs, behind its name."""
    played = [run for run in runs if run.result != "skipped"]
    if not played:
        return ["[yellow]skipped[/yellow]"]
    passed = sum(run.result == "passed" for run in played)
    style = "green" if passed == len(played) else "red"
    return [
        f"[{style}]{passed} of {len(played)}[/{style}]",
        f"{sum(run.finalised for run in played)}/{sum(run.submitted for run in played)}",
        f"{max(run.longest_stall_seconds for run in played):.1f} s",
        f"{sum(run.seconds for run in played) / len(played):.0f} s",
        _ledgers(played),
    ]


def _ledgers(runs: Sequence[Outcome]) -> str:
    if not all(run.roots_equal for run in runs):
        return "[red]NOT EQUAL[/red]"
    return "equal" if all(run.exactly_once for run in runs) else "[red]NOT EACH ONCE[/red]"


def _verdict(verdict: Verdict) -> str:
    slashed = "out of the set" if verdict.is_slashed else "still in the set"
    return (
        f"{verdict.misbehaviour}: noticed by {len(verdict.seen_by)} of {len(verdict.honest)} honest nodes;"
        f" its validator is {slashed}"
    )
