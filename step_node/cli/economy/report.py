"""`step-node economy report`: who got how much in an epoch, as lines, as JSON, or as a page with figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.economy.figure_files import needing_matplotlib, write_files
from step_node.cli.output import print_json

if TYPE_CHECKING:
    from step_node.cli.economy.fairness_source import ShownReport

EPILOG = "Example: step-node economy report --url http://127.0.0.1:8600"


def report(
    url: Annotated[
        str | None, typer.Option(help="Ask the node with its API at this address.  [default: http://127.0.0.1:8600]")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Read the reports kept in this home; its node may run.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(min=1, help="Which one.  [default: the last that has a report]")] = None,
    plots: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write figures there (SVG), and report.html, which holds them all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: report, reportHash, drift.")] = False,
) -> None:
    """Show who got how much in an epoch, and how evenly (docs/fairness.md).

    The hash is computed of the report as it was told; the drift is not in it. Whether the figures are so, economy
    verify says.
    """
    from step_node.cli.economy.fairness_lines import report_lines
    from step_node.cli.economy.fairness_source import report_of_home, report_of_node

    if url is not None and home is not None:
        raise typer.BadParameter("give one of --url and --home")
    draw = None if plots is None else _drawing()
    shown = report_of_node(url or "http://127.0.0.1:8600", epoch) if home is None else report_of_home(home, epoch)
    written = [] if plots is None or draw is None else write_files(plots, draw(shown))
    if as_json:
        print_json({**shown.as_json(), "files": [str(path) for path in written]} if written else shown.as_json())
        return
    for line in report_lines(shown):
        typer.echo(line)
    for path in written:
        typer.echo(str(path))


def _drawing() -> Callable[[ShownReport], dict[str, bytes]]:
    with needing_matplotlib("leave --plots out"):
        from step_node.cli.economy.fairness_plots import draw_all
    return draw_all
