"""`step-node store`: looking through a store, fetching a store anew, preparing a MongoDB replica set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step_node.cli.output import print_json

if TYPE_CHECKING:
    from step_node.cli.progress_lines import ProgressLines
    from step_node.home.paths import NodeHome
    from step_node.storage.open import StorageSettings

app = typer.Typer(
    no_args_is_help=True, help="The store of a home: verify it, rebuild it, prepare a MongoDB replica set."
)


@app.callback()
def store() -> None:
    """The store of a home: verify it, rebuild it, prepare a MongoDB replica set."""


@app.command("init", epilog="Example: step-node store init --uri mongodb://mongo1,mongo2,mongo3/?replicaSet=rs0")
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


@app.command(epilog="Example: step-node store verify --home node")
def verify(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The node's home; the node may run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, and no progress.")] = False,
) -> None:
    """Look through the store of a home, with either engine: a SQLite file for damage, page by page and index by index;
    all batches, whether each follows the one before, is signed, and has the receipts that it commits to; and all
    records, whether they add up to the state root; at height 0 to that of genesis.

    `start` does the quicker part of it by itself. A large store takes a minute or more for each GB.

    Exit status: 0 it is sound; 1 it is damaged, has been changed, or cannot be read: the first bad height is named.
    """
    import trio

    from step_node.cli.error_lines import CommandError
    from step_node.cli.progress_lines import ProgressLines
    from step_node.home.config import LogConfig, load_config
    from step_node.home.paths import NodeHome
    from step_node.home.store import storage_settings
    from step_node.node.logging import logging_set_up
    from step_node.storage.sqlite_file import check_file

    node_home = NodeHome(home)
    config = load_config(node_home.config).storage
    name = f"the database {config.mongodb_database}"
    if config.engine == "sqlite":
        if not node_home.ledger.exists():
            raise CommandError(f"{node_home.ledger}: is not there; the node has not been started yet")
        check_file(node_home.ledger)
        name = str(node_home.ledger)
    progress = ProgressLines(quiet=as_json)
    with logging_set_up(LogConfig()):
        facts = trio.run(_look_through, node_home, storage_settings(node_home, config), progress)
    progress.end()
    if as_json:
        print_json({"store": name, "sound": True, **facts})
        return
    found = ""
    if facts:
        found = (
            f": {facts['batches']} batches up to height {facts['height']}, {facts['commitsWithKnownValidators']}"
            f" commits held against their validators, {facts['proofs']} receipts, {facts['records']} records, of which"
            f" {facts['accounts']} accounts hold {facts['balances']} STEP"
        )
    typer.echo(f"{name} is sound{found}")


@app.command(epilog="Example: step-node store rebuild --home node")
def rebuild(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The node's home; the node must not run.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before a MongoDB database is dropped: for scripts.")
    ] = False,
) -> None:
    """Take the store of a home away, so that the node fetches the chain again from its peers at its next start.

    Do so on fewer than a third of the validators at once, and never where no peer has the chain. SQLite's files are
    moved into a new directory in the home's data; a MongoDB database is dropped, if it holds a STEP store and nothing
    else. The consensus log is moved away with either. The signing history stays. If it is cut short, run it again.

    Exit status: 0 it is away, or there was none; 1 refused, and the error says why.
    """
    import trio

    from step_node.cli.error_lines import CommandError
    from step_node.home.config import load_config
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.home.store import find_old_store, take_away

    node_home = NodeHome(home)
    config = load_config(node_home.config)
    with HomeLock(home):
        old = trio.run(find_old_store, node_home, config.storage)
        if old.is_empty:
            typer.echo(f"there is no store to take away; next: step-node start --home {home}")
            return
        database = old.store.database
        if database is not None and not yes and not _agreed(f"Drop {database}? It cannot be brought back."):
            raise CommandError(f"{database}, was not dropped, and nothing was moved; in scripts say --yes")
        directory = trio.run(take_away, node_home, old)
    for file in old.files:
        typer.echo(f"moved {file} to {directory}")
    if database is not None:
        typer.echo(f"dropped {database}")
    typer.echo(f"next: step-node start --home {home}; `step-node status` says syncing until it has the chain again")
    if directory is not None:
        typer.echo(f"{directory} may be deleted after that")


def _agreed(question: str) -> bool:
    """Whether a person says yes; no if there is none to ask."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        return False


async def _look_through(home: NodeHome, settings: StorageSettings, progress: ProgressLines) -> dict[str, object]:
    """What was found; nothing of a store that holds no chain yet."""
    from step_node.amounts import step_text
    from step_node.chain.genesis import load_genesis
    from step_node.snapshot.audit import add_up_state
    from step_node.snapshot.chain_audit import audit_chain
    from step_node.snapshot.validator_sets import ValidatorSetLinks
    from step_node.storage.interface import NoChain
    from step_node.storage.open import open_storage

    async with open_storage(settings, only_reads=True) as storage:
        try:
            totals = await storage.totals()
        except NoChain:
            return {}
        some = totals.accounts + totals.triangles
        state = await add_up_state(storage, lambda done: progress("records", done, max(done, some)))
        genesis = load_genesis(home.genesis)
        links = await ValidatorSetLinks.open(home.validator_sets, genesis)
        found = await audit_chain(storage, genesis, links.sets(), lambda done, total: progress("batches", done, total))
    return {
        "firstHeight": found.first_height,
        "height": found.height,
        "batches": found.batches,
        "commitsWithKnownValidators": found.quorums,
        "proofs": found.proofs,
        "records": state.records,
        "accounts": state.sum.accounts,
        "balances": step_text(state.sum.balances_ustep),
        "triangles": state.sum.triangles,
        "nonces": state.sum.nonces,
    }
