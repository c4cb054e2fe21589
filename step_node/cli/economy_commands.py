"""`step-node economy`: the economy of a chain, recomputed by whoever wants to."""

from __future__ import annotations

import typer

from step_node.cli.economy import figures, report, simulate, verify

app = typer.Typer(no_args_is_help=True, help="The economy of a chain: recompute what its nodes say.")


@app.callback()
def economy() -> None:
    """The economy of a chain: recompute what its nodes say."""


app.command("figures", epilog="Example: step-node economy figures --genesis genesis.json")(figures.print_figures)
app.command("report", epilog=report.EPILOG)(report.report)
app.command("simulate", epilog=simulate.EPILOG)(simulate.simulate)
app.command("verify", epilog="Example: step-node economy verify --backup /backup/node --from 1")(verify.verify)
