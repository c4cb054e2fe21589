"""`step-node bench`: what a node reaches on this machine, each figure beside its limit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from step_node.testing.bench.plans import RowPlan

ACCOUNTS_DEFAULT = 100_000
ACCOUNTS_MIN = 1_000
ACCOUNTS_MAX = 400_000
"""Each needs a triangle of its own, and `start` takes ten times as many."""
RUNS_MAX = 100
INTERRUPTED = 130


def bench(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="Only this row; may be given again.")
    ] = None,
    runs: Annotated[
        int | None, typer.Option(min=1, max=RUNS_MAX, help="How often each row is run.  [default: by the row]")
    ] = None,
    accounts: Annotated[
        int, typer.Option(min=ACCOUNTS_MIN, max=ACCOUNTS_MAX, help="Of the chain that has grown.")
    ] = ACCOUNTS_DEFAULT,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where all figures are written.")] = Path(
        "bench/results.json"
    ),
    list_only: Annotated[bool, typer.Option("--list", help="Only say what rows there are.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Results as JSON on standard output, all else on standard error.")
    ] = False,
) -> None:
    """Measure what a node reaches on this machine, beside the limit of the same run: docs/benchmarks.md has the rows.

    The yardstick is the recovery of a public key by libsecp256k1, which every validator owes to every proof. Rows whose
    cost may grow are run on a chain that has grown. All of them take half an hour and more, on a quiet machine.

    Exit status: 0 if all rows were measured, whether or not they reach their bars; 130 if interrupted. With --json the
    last line of standard output is one JSON object: the row that --only names, with name, value, unit, limit, ratio,
    bar, meets_bar, runs and spread; of several rows, rows.

    Example: step-node bench --only proof_check
    """
    import trio

    from step_node.testing.bench.suite import PLANS

    by_name = {plan.name: plan for plan in PLANS}
    for name in only or ():
        if name not in by_name:
            raise typer.BadParameter(f"{name!r} is no row; there are: {', '.join(by_name)}", param_hint="--only")
    chosen = [plan for plan in PLANS if not only or plan.name in only]
    if list_only:
        for plan in chosen:
            typer.echo(f"{plan.name:20} {plan.summary}")
        return
    raise typer.Exit(trio.run(_run, chosen, runs, accounts, out, as_json))


async def _run(plans: list[RowPlan], runs: int | None, accounts: int, out: Path, as_json: bool) -> int:
    import trio

    from step_node.cli.bench_results import print_rows
    from step_node.cli.output import console, print_json
    from step_node.cli.signals import cancelled_by_signals
    from step_node.testing.bench.figures import Row
    from step_node.testing.bench.plans import Workshop
    from step_node.testing.bench.suite import results, run_rows, write_results
    from step_node.testing.machine import is_busy

    screen = console(stderr=as_json)
    was_busy, rows = is_busy(), list[Row]()
    with (
        tempfile.TemporaryDirectory(prefix="step-bench-") as folder,
        trio.CancelScope() as scope,
        cancelled_by_signals(scope),
    ):
        workshop = Workshop(Path(folder), accounts, tell=lambda line: screen.print(line, style="dim", markup=False))
        try:
            await run_rows(plans, workshop, runs=runs, on_row=rows.append)
        finally:
            # Also where a row has failed: what was measured until then took its time.
            print_rows(screen, rows, was_busy=was_busy)
    if rows:
        await write_results(out, results(rows, accounts=accounts, was_busy=was_busy))
        screen.print(f"all figures: {out}", style="dim", markup=False, soft_wrap=True)
    if scope.cancelled_caught:
        return INTERRUPTED
    if as_json:
        print_json(rows[0].as_json() if len(rows) == 1 else {"rows": [row.as_json() for row in rows]})
    return 0
