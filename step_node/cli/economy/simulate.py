"""`step-node economy simulate`: made-up people over the ledger's rules, many times, as tables and figures."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.economy.figure_files import needing_matplotlib, write_files
from step_node.cli.output import print_json, print_table
from step_node.cli.progress_lines import ProgressLines

if TYPE_CHECKING:
    from step_node.testing.economy.plots import Drawing
    from step_node.testing.economy.results import Outcome
    from step_node.testing.economy.scenario import Scenario

    Draw = Callable[[Sequence[Outcome]], list[Drawing]]

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
    out: Annotated[
        Path | None, typer.Option(metavar="DIRECTORY", help="Write CSV tables, figures and report.html there.")
    ] = None,
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
    outcomes = _simulated(scenario, chosen, range(seed, seed + runs), exact=exact, jobs=jobs)
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


def _drawing() -> Draw:
    with needing_matplotlib("give --no-plots"):
        from step_node.testing.economy.plots import draw_all
    return draw_all


def _simulated(source: str, chosen: dict[str, Scenario], seeds: range, *, exact: bool, jobs: int) -> list[Outcome]:
    from step_node.errors import StepNodeError
    from step_node.testing.economy.campaign import RunFailed, run_all
    from step_node.testing.economy.results import Outcome

    progress = ProgressLines()
    outcomes = []
    try:
        for name, scenario in chosen.items():

            def tell(done: int, name: str = name) -> None:
                progress(name, done, len(seeds))

            found = run_all(scenario, seeds, exact=exact, processes=jobs, variant=name, on_run=tell)
            outcomes.append(Outcome(name, scenario, found))
    except RunFailed as error:
        alone = _run_alone(source, error.variant, error.seed, exact=exact)
        raise StepNodeError(f"{source}: {error}; that run alone is {alone}") from error
    finally:
        progress.end()
    return outcomes


def _run_alone(source: str, variant: str, seed: int, *, exact: bool) -> str:
    """The command that has one run again."""
    mode = " --exact" if exact else ""
    return f"step-node economy simulate {shlex.quote(source)} --only {variant} --runs 1 --seed {seed}{mode}"


def _write(out: Path, outcomes: Sequence[Outcome], draw: Draw | None) -> list[Path]:
    from step_node.testing.economy.report import REPORT, page
    from step_node.testing.economy.results import tables, write_tables

    written = write_tables(out, tables(outcomes))
    if draw is None:
        return written
    drawings = draw(outcomes)
    files = {f"{one.name}.svg": one.svg for one in drawings}
    files[REPORT] = page(outcomes, drawings).encode()
    return [*written, *write_files(out, files)]


def _print(
    scenario: str, outcomes: Sequence[Outcome], *, exact: bool, seed: int, written: Sequence[Path], as_json: bool
) -> None:
    from step_node.testing.economy.results import summary, table
    from step_node.testing.economy.words import COLUMN_WORDS, in_short, told

    if as_json:
        files = [str(path) for path in written]
        endings = summary(outcomes)
        print_json({"scenario": scenario, "exact": exact, "firstSeed": seed, "variants": endings, "files": files})
        return
    print_table(*_endings(outcomes))
    for name in ("people", "cities"):
        found = table(name, outcomes)
        rows = [[told(column, cell) for column, cell in zip(found.columns, row, strict=True)] for row in found.rows]
        typer.echo("")
        print_table([COLUMN_WORDS[column] for column in found.columns], rows)
    typer.echo("\nin short, of the middle run")
    for sentence in in_short(outcomes).values():
        typer.echo(f"  {sentence}")
    typer.echo("\nwhat to look at next")
    for line in _next(scenario, outcomes, exact=exact, seed=seed, written=written):
        typer.echo(f"  {line}")


def _next(
    scenario: str, outcomes: Sequence[Outcome], *, exact: bool, seed: int, written: Sequence[Path]
) -> Iterator[str]:
    from step_node.testing.economy.words import TABLE_WORDS

    for path in written:
        if path.suffix == ".html":
            yield f"{path}: all figures, with what each of them says"
    for path in written:
        if path.suffix == ".csv":
            yield f"{path}: {TABLE_WORDS[path.stem]}"
    if not written:
        yield f"tables and figures: step-node economy simulate {shlex.quote(scenario)} --out DIRECTORY"
    if not exact:
        alone = _run_alone(scenario, outcomes[0].variant, seed, exact=True)
        yield f"the first run once more, by the ledger that nodes run: {alone}"


def _endings(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    from step_node.testing.economy.measuring import MEASURES
    from step_node.testing.economy.results import spread
    from step_node.testing.economy.words import MEASURE_WORDS, told

    headings = ["on the last day: mean (p5 to p95)", *(outcome.variant for outcome in outcomes)]
    rows = []
    for name in MEASURES:
        cells = []
        for outcome in outcomes:
            mean, low, _, high = spread(outcome.measure(name)[:, -1])
            cells.append(f"{told(name, mean)} ({told(name, low)} to {told(name, high)})")
        rows.append([MEASURE_WORDS[name], *cells])
    return headings, rows
