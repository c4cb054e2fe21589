"""`step-node simulate`: whole nodes in a made-up world, many seeds, every promise checked."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from step_node.testing.simulator.campaign import Summary
    from step_node.testing.simulator.decisions import Schedule
    from step_node.testing.simulator.settings import FaultKind, SimulationSettings
    from step_node.testing.simulator.world import History

PROGRESS_INTERVAL_SECONDS = 2.0


def simulate(
    validators: Annotated[int, typer.Option(min=1, max=31, help="How many validators.")] = 4,
    seeds: Annotated[int, typer.Option(min=1, help="How many histories.")] = 100,
    first_seed: Annotated[int, typer.Option(min=0, help="The first seed; the others follow it.")] = 0,
    seed: Annotated[
        str | None,
        typer.Option(metavar="SCHEDULE", help="Replay this one, with its turns if it has any, and print all of it."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Search for so long, guided by coverage, in place of running seeds.")
    ] = 0,
    faults: Annotated[str, typer.Option(help="all, none, or some, with commas: see docs/simulator.md.")] = "all",
    workers: Annotated[
        int,
        typer.Option("--jobs", "--workers", min=1, max=256, help="Processes.", show_default="one for each processor"),
    ] = os.cpu_count() or 1,
    as_json: Annotated[bool, typer.Option("--json", help="The last line is JSON.")] = False,
) -> None:
    """Run whole nodes in a simulated world, where one seed is one history, and check every promise at every step.

    The exit status is 1 if a promise was broken; each such seed is printed with the command that replays it.
    """
    from step_node.testing.simulator.settings import SimulationSettings

    settings = SimulationSettings(validators=validators, faults=_chosen(faults))
    if seed is not None:
        summary = _replay(_parsed(seed), settings)
    elif seconds:
        summary = _search(first_seed, seconds, settings, faults)
    else:
        summary = _campaign(range(first_seed, first_seed + seeds), settings, workers, faults)
    totals = summary.to_json()
    typer.echo(json.dumps(totals) if as_json else ", ".join(f"{name} {value}" for name, value in totals.items()))
    if not summary.is_clean:
        raise typer.Exit(1)


def _chosen(text: str) -> frozenset[FaultKind]:
    from step_node.testing.simulator.settings import FaultKind

    if text in ("all", "none"):
        return frozenset(FaultKind) if text == "all" else frozenset()
    try:
        return frozenset(FaultKind(word.strip()) for word in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; there are: {', '.join(FaultKind)}", param_hint="--faults") from error


def _parsed(text: str) -> Schedule:
    from step_node.testing.simulator.decisions import Schedule

    try:
        return Schedule.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--seed") from error


def _replay(schedule: Schedule, settings: SimulationSettings) -> Summary:
    from step_node.testing.simulator.campaign import Summary, quiet
    from step_node.testing.simulator.world import simulate_seed

    started = time.monotonic()
    with quiet():
        history = simulate_seed(schedule, settings, keep_lines=True)
    for line in history.lines:
        typer.echo(line)
    typer.echo(f"the history's hash is {history.digest}")
    summary = Summary()
    summary.add(history)
    summary.wall_seconds = time.monotonic() - started
    return summary


def _campaign(seeds: range, settings: SimulationSettings, workers: int, faults: str) -> Summary:
    from step_node.testing.simulator.campaign import run_campaign

    show = _shower(settings, faults, of=f" of {len(seeds)} seeds")
    return run_campaign(seeds, settings, workers=workers, on_history=show)


def _search(first_seed: int, seconds: float, settings: SimulationSettings, faults: str) -> Summary:
    from step_node.testing.simulator.guided import search

    show = _shower(settings, faults, of=" schedules")
    summary, state = search(settings, first_seed=first_seed, seconds=seconds, on_history=show)
    typer.echo(
        f"reached {len(state.steps)} steps of a node's consensus and {len(state.constellations)} constellations of all",
        err=True,
    )
    return summary


def _shower(settings: SimulationSettings, faults: str, *, of: str) -> Callable[[History, Summary], None]:
    """What tells of each broken promise, with the command that replays it, and now and then how far it has come."""
    shown_at = time.monotonic()

    def show(history: History, summary: Summary) -> None:
        nonlocal shown_at
        for violation in history.violations[:1]:
            typer.echo(f"seed {history.schedule}: {violation}", err=True)
        if history.stuck is not None:
            typer.echo(f"seed {history.schedule}: liveness: still waiting for {history.stuck}", err=True)
        if history.violations or history.stuck is not None:
            options = f"--validators {settings.validators} --faults {faults} --seed {history.schedule}"
            typer.echo(f"  replay it: step-node simulate {options}", err=True)
        if time.monotonic() - shown_at > PROGRESS_INTERVAL_SECONDS:
            shown_at = time.monotonic()
            typer.echo(
                f"{summary.runs}{of}, {summary.batches_finalised} batches,"
                f" {summary.safety_violations + summary.liveness_violations} violations",
                file=sys.stderr,
            )

    return show
