"""`step-node chaos`: scenarios of failures, played on devnets of real processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from step_node.testing.chaos.run import Outcome
    from step_node.testing.chaos.scenario import Scenario

REPEAT_MAX = 100
INTERRUPTED = 130


def chaos(
    names: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="NAME", help="Only this one; may be given again.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--scenarios", metavar="DIR", help="Where the scenarios are.  [default: those of the program]"),
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, max=REPEAT_MAX, help="Play all of them so many times.")] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="Only say what there is.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Results as JSON on standard output, all else on standard error.")
    ] = False,
) -> None:
    """Play scenarios of failures: nodes killed, paused or cut off, slow links, full disks, a store that is gone, liars.

    Each is a file that comes with the program, played on a network of real processes under a constant load of signed
    proofs. It passes if every proof is final exactly once on every node, the state roots are equal, and the longest
    time without a batch while proofs waited was within its limit. What this machine cannot do is skipped, and says why.

    A scenario that fails does not end the campaign; the table at the end has them all.

    Exit status: 0 if none failed, 1 if one did (its logs are kept), 130 if interrupted. With --json there is one line
    for each run, and a last one: runs, passed, failed, skipped, longest_stall_seconds.

    Example: step-node chaos --scenario partition --repeat 3
    """
    import trio

    from step_node.cli.output import print_json
    from step_node.testing.chaos.scenario import SCENARIOS, load_scenarios

    scenarios = load_scenarios(folder or SCENARIOS, names or ())
    if list_only:
        for scenario in scenarios:
            if as_json:
                print_json({"scenario": scenario.name, "summary": scenario.summary})
            else:
                typer.echo(f"{scenario.name:24} {scenario.summary}")
        return
    raise typer.Exit(trio.run(_run, scenarios, repeat, as_json))


async def _run(scenarios: Sequence[Scenario], repeat: int, as_json: bool) -> int:
    import trio

    from step_node.cli.chaos_results import print_table, summary_of
    from step_node.cli.output import console, print_json
    from step_node.cli.signals import cancelled_by_signals

    screen = console(stderr=as_json)
    outcomes: list[Outcome] = []
    try:
        with trio.CancelScope() as scope, cancelled_by_signals(scope):
            for _ in range(repeat):
                for scenario in scenarios:
                    outcomes.append(await _play(screen, scenario))
                    if as_json:
                        print_json(outcomes[-1].as_json())
    finally:
        # Also where the runner itself has failed: what was played until then took its time.
        print_table(screen, outcomes)
        if as_json:
            print_json(summary_of(outcomes))
    if scope.cancelled_caught:
        return INTERRUPTED
    return 1 if any(outcome.result == "failed" for outcome in outcomes) else 0


async def _play(screen: Console, scenario: Scenario) -> Outcome:
    import shutil
    import tempfile

    from step_node.testing.chaos.run import play

    screen.print(f"\n[bold]{scenario.name}[/bold]  {scenario.summary}")
    home = Path(tempfile.mkdtemp(prefix=f"step-chaos-{scenario.name}-"))
    is_kept = False
    try:
        outcome = await play(
            scenario, home, report=lambda line: screen.print(f"  {line}", style="dim", markup=False, soft_wrap=True)
        )
        is_kept = outcome.result == "failed"
    finally:
        if not is_kept:
            shutil.rmtree(home, ignore_errors=True)
    colour = {"passed": "green", "failed": "red", "skipped": "yellow"}[outcome.result]
    screen.print(f"  [{colour}]{outcome.result}[/{colour}], longest stall {outcome.longest_stall_seconds:.1f} s")
    for problem in outcome.problems:
        screen.print(f"  {problem}", markup=False, soft_wrap=True)
    if outcome.logs is not None:
        screen.print(f"  homes and logs: {outcome.logs}", markup=False, soft_wrap=True)
    return outcome
