"""`step-node load`: an open-loop load of signed proofs on a network that runs, and what became of each."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from step_node.testing.load.engine import LoadSettings
    from step_node.testing.load.report import LoadReport

RATE_MAX = 100_000.0
SECONDS_MAX = 86_400.0
BATCH_MAX = 1_000
CONNECTIONS_MAX = 128
"""As many as a node gives one address."""
INTERRUPTED = 130


def load(
    urls: Annotated[list[str], typer.Option("--url", metavar="URL", help="A node's API; may be given again.")],
    rate: Annotated[float, typer.Option(min=0.01, max=RATE_MAX, help="Proofs a second.")],
    seconds: Annotated[float, typer.Option(min=0.1, max=SECONDS_MAX, help="For how long.")] = 60.0,
    batch: Annotated[int, typer.Option(min=1, max=BATCH_MAX, help="Proofs in a request.")] = 1,
    connections: Annotated[int, typer.Option(min=1, max=CONNECTIONS_MAX, help="To each node.")] = 32,
    drain: Annotated[
        float, typer.Option(min=0, max=3_600, help="Seconds that the last ones may take to become final.")
    ] = 30.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as JSON on standard output, all else on standard error.")
    ] = False,
) -> None:
    """Offer so many signed proofs a second to a network, whatever it makes of them, and follow each to its end.

    When each proof is sent is fixed beforehand, and latency is counted from then: a network that stalls does not slow
    the load down, and its stall shows. New accounts sign them, each at most ten, in triangles of their own; they are
    signed by other processes, ahead of time. They go to the nodes in turn. What a node refuses is counted and not sent
    again.

    Exit status: 0 if nothing that was accepted is lost, 1 if something is, 130 if interrupted. With --json the last
    line of standard output is one JSON object: offered, accepted, refused (by code), retry_after_seconds, final,
    dropped, lost, the rates, percentiles of acceptance_ms and finality_ms, sent_late_ms, own_cpu and signing_cpu.

    Example: step-node load --url http://127.0.0.1:8600 --rate 100 --seconds 30
    """
    import trio

    from step_node.testing.load.engine import LoadSettings

    settings = LoadSettings(urls, rate, seconds, batch=batch, connections=connections, drain_seconds=drain)
    raise typer.Exit(trio.run(_run, settings, as_json))


async def _run(settings: LoadSettings, as_json: bool) -> int:
    import trio

    from step_node.cli.load_results import print_report, progress_of
    from step_node.cli.output import console, print_json
    from step_node.cli.signals import cancelled_by_signals
    from step_node.testing.load.engine import Load

    screen: Console = console(stderr=as_json)
    report: LoadReport | None = None
    with trio.CancelScope() as scope, cancelled_by_signals(scope), progress_of(screen, settings) as advance:
        load = Load(settings, tell=lambda line: screen.print(line, style="dim"), progress=advance)
        report = await load.run()
    if report is None:
        return INTERRUPTED
    print_report(screen, report)
    sys.stderr.flush()
    if as_json:
        print_json(report.as_json())
    return 1 if report.lost else 0
