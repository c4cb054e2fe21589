"""`step-node backup`: a node's chain, settings, histories and, if wanted, keys, in a directory, and back."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from step_node.cli.output import print_json
from step_node.cli.progress_lines import ProgressLines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from step_node.backup.manifest import BackupFile, Manifest
    from step_node.home.config import StorageConfig

app = typer.Typer(no_args_is_help=True, help="Backups of a node: make, verify and restore them.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, and no progress.")]


@app.callback()
def backup() -> None:
    """Backups of a node: make, verify and restore them."""


@app.command(epilog="Example: step-node backup create --home node --output /backup/node")
def create(
    home: Annotated[Path, typer.Option(metavar="DIR", help="The node's home; the node may run.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The backup: a new directory, or one to be added to.")],
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys", help="Also the keystores (encrypted, as they are) and the network key. Never passwords."
        ),
    ] = False,
    state_every_batches: Annotated[
        int, typer.Option("--state-every", min=1, metavar="N", help="Copy the state anew after so many batches.")
    ] = 10_000,
    as_json: JsonOption = False,
) -> None:
    """Back up a node while it runs, or add to a backup what has come since: batches with their commits, now and then
    the whole state, reports of fairness, settings, and the history of what each key has signed.

    Run it every hour. What is cut short is gone on with by the next run. A backup is worth what `step-node backup
    verify` says of it. Whoever has it can read the chain, which is public, and your settings; passwords of URIs are
    left out.

    Exit status: 0 done; 1 refused, and the error says why.
    """
    import trio

    from step_node.backup.creating import create_backup
    from step_node.clock import SystemClock
    from step_node.home.config import LogConfig
    from step_node.home.paths import NodeHome
    from step_node.node.logging import logging_set_up

    progress = ProgressLines(quiet=as_json)
    work = partial(
        create_backup,
        NodeHome(home),
        output,
        clock=SystemClock(),
        with_keys=with_keys,
        state_every_batches=state_every_batches,
        progress=progress,
    )
    with logging_set_up(LogConfig()):
        created = trio.run(work)
    progress.end()
    manifest = created.manifest
    if created.left_out:
        names = ", ".join(created.left_out)
        typer.echo(f"config.toml holds secrets, which the backup does not: {names}. Keep them elsewhere", err=True)
    if created.reports_left_out is not None:
        typer.echo(f"further reports of fairness are not in the backup: {created.reports_left_out}", err=True)
    if with_keys:
        typer.echo(
            f"THE BACKUP HOLDS KEYS ({', '.join(_names(manifest.home.key_files))}): who has it and the keystore's"
            " password can sign as this validator. Keep it where only you can read it",
            err=True,
        )
    if as_json:
        print_json({**_facts(manifest), "firstNewHeight": created.first_height, "bytesAdded": created.bytes_added})
        return
    new = manifest.height - created.first_height + 1
    typer.echo(
        f"{output} goes to height {manifest.height}: {max(new, 0)} batches and {created.bytes_added:,} bytes are new"
        f"{', with a copy of the state' if created.state_copied else ''}"
    )


@app.command(epilog="Example: step-node backup verify /backup/node")
def verify(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The backup.")],
    as_json: JsonOption = False,
) -> None:
    """Look through a backup: every file's hash, the chain of its batches, their commits, the root of its states.

    It needs no node and no store. Each damaged file is named, with what is lost by it and what to do.

    Exit status: 0 it is sound; 1 something is damaged.
    """
    from step_node.backup.verifying import verify_backup

    progress = ProgressLines(quiet=as_json)
    found = verify_backup(directory, progress=progress)
    progress.end()
    manifest = found.manifest
    if as_json:
        print_json(
            {
                **_facts(manifest),
                "sound": found.is_sound,
                "batchesVerified": found.batches,
                "commitsWithKnownValidators": found.quorums,
                "provenStates": found.proven_states,
                "damaged": [
                    {"file": one.file, "what": one.what, "lost": one.lost, "whatToDo": one.what_to_do}
                    for one in found.damages
                ],
            }
        )
    else:
        for damage in found.damages:
            typer.echo(f"damaged: {damage}", err=True)
    if not found.is_sound:
        raise typer.Exit(1)
    if not as_json:
        typer.echo(
            f"{directory} is sound: chain {manifest.chain_id} from height {manifest.base_height} to {manifest.height},"
            f" genesis {manifest.genesis_hash}; {found.batches} batches, {found.quorums} commits held against their"
            f" validators; {len(manifest.states)} copies of the state, {found.proven_states} proven by a later batch"
        )


@app.command(epilog="Example: step-node backup restore /backup/node --home node --engine sqlite")
def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The backup.")],
    home: Annotated[Path, typer.Option(metavar="DIR", help="The home to make; it must not be there.")],
    engine: Annotated[
        Literal["sqlite", "mongodb"] | None,
        typer.Option(help="The store's engine.  [default: as in the backup's config.toml]"),
    ] = None,
    mongodb_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="With --engine mongodb: the replica set.")
    ] = None,
    mongodb_database: Annotated[
        str, typer.Option(metavar="NAME", help="With --engine mongodb: the database, which must be empty.")
    ] = "step",
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="A config.toml in place of the backup's.")] = None,
    state_only: Annotated[
        bool,
        typer.Option(
            "--state-only", help="Take over the latest copy of the state, without the history before it: quick."
        ),
    ] = False,
    to_height: Annotated[
        int | None, typer.Option(min=0, metavar="H", help="Restore up to this height.  [default: all]")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a home of a backup, for either engine, whichever it was made of. Cut short, run it again: it goes on.

    Every batch is executed and must give what its header says; the home is there when all of it has been found right,
    and not before. Its keys sign nothing until all that they can have signed since the backup is final: no restore
    signs the past. Be sure that the old node does not run any more.

    Exit status: 0 the home is there; 1 refused, and the error says why.
    """
    import time

    import trio

    from step_node.backup.restoring import RestoreWishes, restore_backup
    from step_node.clock import SystemClock
    from step_node.home.config import LogConfig
    from step_node.home.paths import NodeHome
    from step_node.node.logging import logging_set_up

    progress = ProgressLines(quiet=as_json)
    began = time.monotonic()
    wishes = RestoreWishes(_storage(engine, mongodb_uri, mongodb_database), config, state_only, to_height)
    work = partial(restore_backup, directory, NodeHome(home), wishes, clock=SystemClock(), progress=progress)
    with logging_set_up(LogConfig()):
        restored = trio.run(work)
    progress.end()
    seconds = time.monotonic() - began
    for damage in restored.passed_over:
        typer.echo(f"damaged, and passed over: {damage}", err=True)
    if as_json:
        print_json(
            {
                "home": str(home),
                "height": restored.height,
                "batchHash": f"0x{restored.batch_hash.hex()}",
                "stateRoot": f"0x{restored.state_root.hex()}",
                "firstHeight": restored.first_height,
                "records": restored.records,
                "resumedFrom": restored.resumed_from,
                "keys": list(restored.key_files),
                "reports": restored.reports,
                "signingHistories": [f"0x{address.hex()}" for address in restored.histories],
                "passedOver": [damage.file for damage in restored.passed_over],
                "seconds": round(seconds, 3),
            }
        )
        return
    typer.echo(
        f"{home} stands at height {restored.height}, state root 0x{restored.state_root.hex()}; batches from height"
        f" {restored.first_height} on, {restored.records} records, {restored.reports} reports of fairness,"
        f" {seconds:.1f} s"
    )
    if restored.histories and "validator.json" not in restored.key_files:
        typer.echo(f"the backup holds no keys: put yours into {home / 'keys'}, mode 0600")
    typer.echo(f"next: step-node start --home {home}; its key signs when all that it can have signed is final")


def _storage(engine: str | None, uri: str | None, database: str) -> StorageConfig | None:
    from step_node.cli.error_lines import CommandError
    from step_node.home.config import StorageConfig

    if engine is None:
        if uri is not None:
            raise CommandError("--mongodb-uri: say --engine mongodb as well")
        return None
    if engine == "sqlite":
        if uri is not None:
            raise CommandError("--mongodb-uri: is for --engine mongodb")
        return StorageConfig()
    if uri is None:
        raise CommandError("--engine mongodb: say --mongodb-uri as well")
    return StorageConfig(engine="mongodb", mongodb_uri=uri, mongodb_database=database)


def _facts(manifest: Manifest) -> dict[str, object]:
    return {
        "chainId": manifest.chain_id,
        "genesisHash": manifest.genesis_hash,
        "madeAt": manifest.made_at,
        "baseHeight": manifest.base_height,
        "height": manifest.height,
        "batchHash": manifest.batch_hash,
        "stateRoot": manifest.state_root,
        "proofs": manifest.proofs,
        "bytes": manifest.bytes,
        "stateHeights": [state.height for state in manifest.states],
        "reports": sum(segment.reports for segment in manifest.reports),
        "keys": _names(manifest.home.key_files),
    }


def _names(files: Sequence[BackupFile]) -> list[str]:
    return [Path(file.path).name for file in files]
