"""`step-node storage`: looking through a SQLite store, preparing a MongoDB replica set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Storage engines: check a SQLite store, prepare a MongoDB replica set.")


@app.callback()
def storage() -> None:
    """Storage engines: check a SQLite store, prepare a MongoDB replica set."""


@app.command("init", epilog="Example: step-node storage init --uri mongodb://mongo1,mongo2,mongo3/?replicaSet=rs0")
def initiate(
    uri: Annotated[
        str, typer.Option(metavar="URI", help="mongodb://host[:port],…, its servers started with --replSet.")
    ],
    member: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="A member, as the others reach it.  [default: the servers of --uri]"),
    ] = None,
    wait_s: Annotated[float, typer.Option(min=0, max=3_600, help="How long to wait for a primary, seconds.")] = 60.0,
) -> None:
    """Make a replica set of MongoDB servers, and wait until it has a primary.

    A set that exists already is left as it is, so running this again does no harm.
    """
    import trio

    from step_node.storage.mongo_replica_set import initiate_replica_set

    def report(line: str) -> None:
        typer.echo(line, err=True)

    trio.run(partial(initiate_replica_set, uri, members=tuple(member or ()), wait_max_s=wait_s, report=report))
    typer.echo("the replica set has a primary")


@app.command(epilog="Example: step-node storage check --home node")
def check(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The node's home.")],
) -> None:
    """Look through the SQLite store of a home for damage, page by page and index by index.

    `start` does the quicker half of it by itself while the file is below 1 GB. The node may run meanwhile; a large file
    takes a minute or more for each GB.

    Exit status: 0 it is sound; 1 it is damaged, or cannot be read.
    """
    from step_node.cli.error_lines import CommandError
    from step_node.home.config import load_config
    from step_node.home.paths import NodeHome
    from step_node.storage.sqlite_file import check_file

    node_home = NodeHome(home)
    if load_config(node_home.config).storage.engine != "sqlite":
        raise CommandError(f"{home}: its store is MongoDB, whose own command `validate` looks for damage")
    if not node_home.ledger.exists():
        raise CommandError(f"{node_home.ledger}: is not there; the node has not been started yet")
    check_file(node_home.ledger)
    typer.echo(f"{node_home.ledger} is sound")
