"""`step-node curves`: how what a network reaches changes as one thing grows, as points and as figures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from step_node.testing.bench.curves.measuring import CurvePlan
    from step_node.testing.bench.curves.points import Curve

INTERRUPTED = 130


def curves(
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CURVE", help="Only this curve; may be given again.")
    ] = None,
    points: Annotated[Path, typer.Option(metavar="FILE", help="Where the points are kept, as JSON.")] = Path(
        "bench/curves.json"
    ),
    figures: Annotated[Path, typer.Option(metavar="DIRECTORY", help="Where an SVG of each curve is written.")] = Path(
        "bench/curves"
    ),
    redraw: Annotated[bool, typer.Option("--redraw", help="Draw the points that are kept; measure nothing.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="Only say what curves there are.")] = False,
) -> None:
    """Measure how a network's rate and finality change as one thing grows, and draw it: docs/benchmarks.md explains.

    Each point is a network of real processes on this machine, under load for some 20 seconds; it takes 40 to 60 in all.
    All curves take 20 to 25 minutes on a quiet machine of two cores. Points are kept after each curve, beside those of
    other curves that were measured before. Figures need Matplotlib: make setup-dev, or pip install 'step-node[curves]'.

    Exit status: 0 if all was measured and drawn, 1 if something failed, 130 if interrupted.

    Example: step-node curves --only validators
    """
    import trio

    from step_node.testing.bench.curves.measuring import CURVES

    by_name = {plan.name: plan for plan in CURVES}
    for name in only or ():
        if name not in by_name:
            raise typer.BadParameter(f"{name!r} is no curve; there are: {', '.join(by_name)}", param_hint="--only")
    chosen = [plan for plan in CURVES if not only or plan.name in only]
    if list_only:
        for plan in chosen:
            typer.echo(f"{plan.name:12} {plan.title}: {plan.axis}")
        return
    draw = _drawing()  # Before anything is measured: half an hour would be a pity.
    if redraw:
        _redraw([plan.name for plan in chosen], points, figures, draw)
        return
    raise typer.Exit(trio.run(_run, chosen, points, figures, draw))


def _drawing() -> Callable[[Curve], bytes]:
    from step_node.errors import StepNodeError

    try:
        from step_node.testing.bench.curves.figures import draw
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise StepNodeError(
            "figures need Matplotlib, which is not installed: make setup-dev, or pip install 'step-node[curves]'"
        ) from error
    return draw


def _redraw(names: Sequence[str], points: Path, figures: Path, draw: Callable[[Curve], bytes]) -> None:
    from step_node.errors import StepNodeError
    from step_node.testing.bench.curves.points import read_curves

    kept = [curve for curve in read_curves(points).curves if curve.name in names]
    if not kept:
        raise StepNodeError(f"{points}: holds no points of {', '.join(names)}; leave --redraw out to measure them")
    for curve in kept:
        typer.echo(_write(curve, figures, draw))


def _write(curve: Curve, figures: Path, draw: Callable[[Curve], bytes]) -> Path:
    from step_node.durable.atomic_file import write_atomically
    from step_node.testing.bench.curves.points import READABLE

    figures.mkdir(parents=True, exist_ok=True)
    path = figures / f"{curve.name}.svg"
    write_atomically(path, draw(curve), READABLE)
    return path


async def _run(plans: list[CurvePlan], points: Path, figures: Path, draw: Callable[[Curve], bytes]) -> int:
    import trio

    from step_node.cli.output import console
    from step_node.cli.signals import cancelled_by_signals
    from step_node.testing.bench.curves.measuring import ACCOUNTS, measure_curve
    from step_node.testing.bench.curves.points import read_curves, write_curves
    from step_node.testing.bench.plans import Workshop
    from step_node.testing.machine import is_busy

    screen = console()

    def tell(line: str) -> None:
        screen.print(f"  {line}", style="dim", markup=False, soft_wrap=True)

    was_busy, kept = is_busy(), read_curves(points)
    with trio.CancelScope() as scope, cancelled_by_signals(scope):
        for number, plan in enumerate(plans, start=1):
            screen.print(f"{plan.name} ({number} of {len(plans)}): {plan.title}", markup=False)
            # A directory for each: homes of a hundred thousand accounts are not kept for half an hour.
            with tempfile.TemporaryDirectory(prefix="step-curves-") as folder:
                curve = await measure_curve(plan, Workshop(Path(folder), ACCOUNTS, tell=tell), was_busy=was_busy)
            kept = kept.with_curve(curve)
            write_curves(points, kept)
            screen.print(f"  points: {points}, figure: {_write(curve, figures, draw)}", markup=False, soft_wrap=True)
    return INTERRUPTED if scope.cancelled_caught else 0
