"""`step-node economy`: the economy of a chain, recomputed by whoever wants to."""

from __future__ import annotations

import typer

from step_node.cli import (
    economy_figures_command,
    economy_report_command,
    economy_simulate_command,
    economy_verify_command,
)

app = typer.Typer(no_args_is_help=True, help="The economy of a chain: recompute what its nodes say.")


@app.callback()
def economy() -> None:
    """The economy of a chain: recompute what its nodes say."""


app.command("figures", epilog="Example: step-node economy figures --genesis genesis.json")(
    economy_figures_command.print_figures
)
app.command("report", epilog=economy_report_command.EPILOG)(economy_report_command.report)
app.command("simulate", epilog=economy_simulate_command.EPILOG)(economy_simulate_command.simulate)
app.command("verify", epilog="Example: step-node economy verify --backup /backup/node --from 1")(
    economy_verify_command.verify
)
