"""`step-node storage`: preparing a MongoDB replica set."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Storage engines: prepare a MongoDB replica set.")


@app.callback()
def storage() -> None:
    """Storage engines: prepare a MongoDB replica set."""


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
