"""`step-node economy simulate`: made-up people over the ledger's rules, many times, as tables and figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.output import print_json, print_table
from step_node.cli.progress_lines import ProgressLines

if TYPE_CHECKING:
    from step_node.testing.economy.results import Outcome
    from step_node.testing.economy.scenario import Scenario

RUNS_MAX = 100_000
"""Of each variant: what they come to has to stand in memory."""

EPILOG = (
    "Examples:  step-node economy simulate everyday --runs 500 --out everyday  ·  "
    "step-node economy simulate staking --exact --runs 100 --json  ·  step-node economy simulate mine.toml"
)


def simulate(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="One of --list, or a TOML file whose name ends in .toml.")
    ] = "everyday",
    runs: Annotated[int, typer.Option(min=1, max=RUNS_MAX, help="How many, of each variant.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the first run; the others follow it.")] = 0,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="With the shipped ledger, batch by batch: the same result, more slowly."),
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="VARIANT", help="Only this variant; may be given again.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Write CSV tables and figures there.")] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Draw figures, which needs Matplotlib.")] = True,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, max=256, help="Processes.", show_default="one for each processor")
    ] = os.cpu_count() or 1,
    list_only: Annotated[bool, typer.Option("--list", help="Only say what scenarios and variants there are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Simulate an economy before it is used: walkers, commuters, tourists, crowds, farmers of invented accounts and
    validators, over the ledger's rules, every sum checked (docs/economy-simulation.md).

    A seed gives the same run everywhere on machines of one kind, however many processes there are.
    """
    if list_only:
        _list(as_json)
        return
    chosen = _chosen(scenario, only)
    draw = _drawing() if out is not None and plots else None
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)  # Where nothing can be written, it is told before hours of runs.
    outcomes = _simulated(chosen, range(seed, seed + runs), exact=exact, jobs=jobs)
    written = [] if out is None else _write(out, outcomes, draw)
    _print(scenario, outcomes, exact=exact, seed=seed, written=written, as_json=as_json)


def _list(as_json: bool) -> None:
    from step_node.testing.economy.scenario import load_scenario, shipped_names

    found = {name: load_scenario(name) for name in shipped_names()}
    if as_json:
        print_json({name: list(variants) for name, variants in found.items()})
        return
    rows = [[name, next(iter(one.values())).title, ", ".join(one)] for name, one in found.items()]
    print_table(["scenario", "title", "variants"], rows)


def _chosen(name: str, only: Sequence[str] | None) -> dict[str, Scenario]:
    from step_node.testing.economy.scenario import load_scenario

    variants = load_scenario(name)
    for one in only or ():
        if one not in variants:
            raise typer.BadParameter(f"{one!r} is no variant; there are: {', '.join(variants)}", param_hint="--only")
    return {key: value for key, value in variants.items() if not only or key in only}


def _drawing() -> Callable[[Sequence[Outcome]], dict[str, bytes]]:
    from step_node.errors import StepNodeError

    try:
        from step_node.testing.economy.plots import draw_all
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise StepNodeError(
            "figures need Matplotlib, which is not installed: pip install 'step-node[plots]', or give --no-plots"
        ) from error
    return draw_all


def _simulated(chosen: dict[str, Scenario], seeds: range, *, exact: bool, jobs: int) -> list[Outcome]:
    from step_node.testing.economy.campaign import run_all
    from step_node.testing.economy.results import Outcome

    progress = ProgressLines()
    outcomes = []
    try:
        for name, scenario in chosen.items():

            def tell(done: int, name: str = name) -> None:
                progress(name, done, len(seeds))

            outcomes.append(Outcome(name, scenario, run_all(scenario, seeds, exact=exact, processes=jobs, on_run=tell)))
    finally:
        progress.end()
    return outcomes


def _write(
    out: Path, outcomes: Sequence[Outcome], draw: Callable[[Sequence[Outcome]], dict[str, bytes]] | None
) -> list[Path]:
    from step_node.durable.atomic_file import write_atomically
    from step_node.testing.economy.results import READABLE, tables, write_tables

    written = write_tables(out, tables(outcomes))
    for name, figure in (draw(outcomes) if draw else {}).items():
        written.append(out / name)
        write_atomically(written[-1], figure, READABLE)
    return written


def _print(
    scenario: str, outcomes: Sequence[Outcome], *, exact: bool, seed: int, written: Sequence[Path], as_json: bool
) -> None:
    from step_node.testing.economy.results import summary, table

    if as_json:
        files = [str(path) for path in written]
        endings = summary(outcomes)
        print_json({"scenario": scenario, "exact": exact, "firstSeed": seed, "variants": endings, "files": files})
        return
    print_table(*_endings(outcomes))
    for name in ("people", "cities"):
        typer.echo(f"\n{name}")
        found = table(name, outcomes)
        print_table(found.columns, found.rows_as_text())
    for path in written:
        typer.echo(str(path))


def _endings(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    from step_node.testing.economy.measuring import MEASURES
    from step_node.testing.economy.results import shown, spread

    headings = ["at the end: mean (p5 to p95)", *(outcome.variant for outcome in outcomes)]
    rows = []
    for name in MEASURES:
        cells = []
        for outcome in outcomes:
            mean, low, _, high = spread(outcome.measure(name)[:, -1])
            cells.append(f"{shown(mean)} ({shown(low)} to {shown(high)})")
        rows.append([name, *cells])
    return headings, rows
