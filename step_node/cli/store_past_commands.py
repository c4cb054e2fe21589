"""`step-node store migrate` and `store prune`: a store brought to another schema or engine, or rid of its past."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from step_node.home.config import NodeConfig
    from step_node.home.paths import NodeHome
    from step_node.storage.interface import Kept, Prunable
    from step_node.storage.open import StorageSettings
    from step_node.storage.retention import Retention


class Engine(StrEnum):
    """What a store can be copied to."""

    SQLITE = "sqlite"
    MONGODB = "mongodb"


Home = Annotated[Path, typer.Option(metavar="DIR", help="The node's home; the node must not run.")]


def migrate(
    home: Home,
    to: Annotated[
        Engine | None,
        typer.Option(help="Copy the store to this engine.  [default: only bring it to the present schema]"),
    ] = None,
    mongodb_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="Replica set for --to mongodb.  [default: storage.mongodb_uri]")
    ] = None,
    mongodb_database: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its database.  [default: storage.mongodb_database]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> None:
    """Bring the store of a home to the present schema, as every start does; or copy it to the other engine.

    A copy takes the whole past and the state, and is compared with what was copied, state root and all. What was copied
    stays as it is: change storage.engine in config.toml afterwards, and delete the old store once the node runs. If it
    is cut short, run it again.

    Exit status: 0 done, or nothing to do; 1 refused, and the error says why.

    Example: step-node store migrate --home node --to mongodb --mongodb-uri mongodb://mongo1/?replicaSet=rs0
    """
    import trio

    from step_node.cli.error_lines import CommandError
    from step_node.home.config import load_config
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.home.store import storage_settings

    node_home = NodeHome(home)
    config = load_config(node_home.config)
    with HomeLock(home):
        if config.storage.engine == "sqlite" and not node_home.ledger.exists():
            raise CommandError(f"{node_home.ledger}: is not there; the node has not been started yet")
        if config.storage.engine == "sqlite":
            is_present = _file_schema(node_home, dry_run=dry_run)
        else:
            is_present = trio.run(_database_schema, storage_settings(node_home, config.storage), dry_run)
        if to is None:
            return
        target = _target(node_home, config, to, mongodb_uri, mongodb_database)
        if is_present:
            trio.run(_copy, node_home, config, target, dry_run)
        else:
            typer.echo("would copy it then; how much that is can be said when it has that schema")


def prune(
    home: Home,
    batches: Annotated[
        str | None, typer.Option(metavar="HOW MUCH", help="What is kept of batches.  [default: retention.batches]")
    ] = None,
    histories: Annotated[
        str | None, typer.Option(metavar="HOW MUCH", help="What is kept of histories.  [default: retention.histories]")
    ] = None,
) -> None:
    """Delete what of the past a home does not keep; a running node does so by itself.

    HOW MUCH is all, or as "100000 batches", "48 hours" or "30 days", by the chain's time. The last 1,000 batches always
    stay, those of an epoch whose report of fairness is not made yet, and the state. A SQLite file stays as large as it
    is: new batches fill it.

    Example: step-node store prune --home node --batches "30 days"
    """
    import trio

    from step_node.economy.fairness.reporter import unreported_from
    from step_node.home.config import load_config
    from step_node.home.lock import HomeLock
    from step_node.home.paths import NodeHome
    from step_node.home.store import storage_settings
    from step_node.storage.interface import Prunable
    from step_node.storage.retention import Retention

    node_home = NodeHome(home)
    config = load_config(node_home.config)
    retentions = {}
    for what, text, option in (
        (Prunable.BATCHES, batches or config.retention.batches, "--batches"),
        (Prunable.HISTORIES, histories or config.retention.histories, "--histories"),
    ):
        try:
            retentions[what] = Retention.parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=option) from error
    with HomeLock(home):
        needed_from = unreported_from(node_home.economy)
        kept = trio.run(_prune, storage_settings(node_home, config.storage), retentions, needed_from)
    typer.echo(f"batches from height {kept.batches_from} on, histories from height {kept.histories_from} on")


async def _prune(settings: StorageSettings, retentions: dict[Prunable, Retention], needed_from: int | None) -> Kept:
    import trio

    from step_node.storage.open import open_storage
    from step_node.storage.retention import prune_past

    async with open_storage(settings, alone=True) as storage:
        return await prune_past(storage, retentions, needed_from=needed_from, after_step=trio.lowlevel.checkpoint)


def _file_schema(home: NodeHome, *, dry_run: bool) -> bool:
    """Bring a SQLite store to the present schema, or say what that would be; whether it has that schema now."""
    from step_node.storage.interface import SCHEMA_VERSION
    from step_node.storage.sqlite_file import meaningful_errors
    from step_node.storage.sqlite_migration import migrate_file, schema_step

    with meaningful_errors(home.ledger):
        step = schema_step(home.ledger)
        if step is None:
            typer.echo(f"{home.ledger} needs no other schema")
            return True
        what = f"{home.ledger} from schema version {step.found} to {SCHEMA_VERSION}"
        if dry_run:
            typer.echo(f"would bring {what}: {step.size_bytes} bytes, and as much room again until it is done")
            return False
        migrate_file(home.ledger)
    typer.echo(f"brought {what}")
    return True


async def _database_schema(settings: StorageSettings, dry_run: bool) -> bool:
    """The same of a store in MongoDB, which is brought there in place, by who opens it alone."""
    from step_node.storage.checks import require_same_schema
    from step_node.storage.interface import SCHEMA_VERSION, EarlierSchema
    from step_node.storage.open import MongoSettings, measure_store, open_storage

    sizes = await measure_store(settings)
    if sizes is None or not isinstance(settings, MongoSettings):
        return True  # One in memory is made anew at each start.
    what = f"the database {settings.database}"
    try:
        require_same_schema(sizes.schema_version, what)
    except EarlierSchema:
        what += f" from schema version {sizes.schema_version} to {SCHEMA_VERSION}"
    else:
        typer.echo(f"{what} needs no other schema")
        return True
    if dry_run:
        typer.echo(f"would bring {what}, in its place")
        return False
    async with open_storage(settings, alone=True):
        typer.echo(f"brought {what}")
    return True


def _target(home: NodeHome, config: NodeConfig, to: Engine, uri: str | None, database: str | None) -> StorageSettings:
    from step_node.cli.error_lines import CommandError
    from step_node.cli.mongodb_uri import check_mongodb_uri
    from step_node.storage.open import MongoSettings, SqliteSettings

    if to.value == config.storage.engine:
        raise CommandError(f"the store of {home.root} is in {to.value} already (storage.engine in config.toml)")
    if to is Engine.SQLITE:
        if home.ledger.exists():
            raise CommandError(f"{home.ledger}: is there already; move it away first, with its -wal and -shm")
        return SqliteSettings(home.ledger.with_name(f"{home.ledger.name}-copying"))
    uri = uri or config.storage.mongodb_uri
    if not uri:
        raise typer.BadParameter("is needed for --to mongodb", param_hint="--mongodb-uri")
    check_mongodb_uri(uri)
    return MongoSettings(uri, database or config.storage.mongodb_database)


async def _copy(home: NodeHome, config: NodeConfig, target: StorageSettings, dry_run: bool) -> None:
    from step_node.chain.genesis import load_genesis
    from step_node.durable.atomic_file import fsync_directory
    from step_node.home.store import storage_settings
    from step_node.snapshot.copying import CopyPlan, copy_store
    from step_node.snapshot.initial_state import initialise_store
    from step_node.storage.open import MongoSettings, SqliteSettings, open_storage

    genesis = load_genesis(home.genesis)
    async with open_storage(storage_settings(home, config.storage), alone=not dry_run, only_reads=dry_run) as source:
        if dry_run:
            typer.echo(f"would copy {await CopyPlan.of(source)}")
            return
        async with open_storage(target, alone=True) as copied:
            await initialise_store(copied, genesis, home.initial_state)
            plan = await copy_store(source, copied, lambda line: typer.echo(line, err=True))
    match target:
        case SqliteSettings(path):
            # Closed, so that it has no log beside it any more.
            path.replace(home.ledger)
            fsync_directory(home.data)
            typer.echo(f"copied {plan}")
            typer.echo(f'next: engine = "sqlite" under [storage] in {home.config}, and step-node start')
        case MongoSettings():
            typer.echo(f"copied {plan}")
            typer.echo(
                f'next: engine = "mongodb", mongodb_uri and mongodb_database = "{target.database}" under [storage] in'
                f" {home.config}, and step-node start"
            )
