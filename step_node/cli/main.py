"""The entry point: every command of `step-node`, and what becomes of errors.

A command imports what it needs when it runs, so that `--help` and completion answer at once: libp2p alone takes half
a second to import. Errors that a person can act on are printed as `error: …` on standard error with exit status 1;
wrong usage is status 2, as usual. Anything else is a bug, and shows its traceback.
"""

from __future__ import annotations

from typing import Annotated

import typer

from step_node.cli import (
    account_commands,
    admin_commands,
    backup_commands,
    bench_command,
    chaos_command,
    config_commands,
    consensus_command,
    curves_command,
    devnet_command,
    economy_commands,
    genesis_commands,
    home_commands,
    keys_commands,
    load_command,
    mesh_commands,
    proof_commands,
    signer_command,
    simulate_command,
    start_command,
    status_command,
    store_commands,
    store_past_commands,
    store_stats_command,
    top_command,
    upgrade_commands,
    validator_commands,
    walk_command,
)
from step_node.cli.error_lines import ErrorLinesGroup
from step_node.node.memory import collect_seldom

EPILOG = (
    "Begin with [bold]step-node devnet[/bold]: a network of four validators on this machine. "
    "Exit status: 0 done, 1 an error that stands on standard error, 2 wrong usage, 130 interrupted."
)

app = typer.Typer(
    name="step-node",
    cls=ErrorLinesGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from step_node import __version__
        from step_node.build import commit

        typer.echo(f"step-node {__version__} (commit {commit()})")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A validator of the Spatial Token Ecosystem Protocol: people prove where they are, and are paid for it."""
    del version


app.command("devnet")(devnet_command.devnet)
app.command("chaos")(chaos_command.chaos)
app.command("init")(home_commands.init)
app.command("testnet")(home_commands.make_test_network)
app.command("start")(start_command.start)
app.command("signer")(signer_command.signer)
app.command("load")(load_command.load)
app.command("bench")(bench_command.bench)
app.command("curves")(curves_command.curves)
app.command("simulate")(simulate_command.simulate)
app.command("status")(status_command.status)
app.command("consensus")(consensus_command.consensus)
app.command("top")(top_command.top)
app.command("walk")(walk_command.walk)
app.add_typer(account_commands.app, name="account")
app.add_typer(config_commands.app, name="config")
app.add_typer(admin_commands.app, name="admin")
app.add_typer(backup_commands.app, name="backup")
app.add_typer(economy_commands.app, name="economy")
app.add_typer(genesis_commands.app, name="genesis")
app.add_typer(keys_commands.app, name="keys")
app.add_typer(mesh_commands.app, name="mesh")
app.add_typer(proof_commands.app, name="proof")
store_commands.app.command("stats")(store_stats_command.stats)
store_commands.app.command("migrate")(store_past_commands.migrate)
store_commands.app.command("prune")(store_past_commands.prune)
app.add_typer(store_commands.app, name="store")
app.add_typer(upgrade_commands.app, name="upgrade")
app.add_typer(validator_commands.app, name="validator")


def run() -> None:
    """What the `step-node` script calls."""
    collect_seldom()
    app()


if __name__ == "__main__":
    run()
