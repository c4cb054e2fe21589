"""Where `step-node economy verify` has its batches from, and what is held against them: a home's store, a backup."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from step_node.backup.replaying import BackupReplay
from step_node.chain.genesis import Genesis, load_genesis
from step_node.cli.error_lines import CommandError
from step_node.cli.progress_lines import ProgressLines
from step_node.clock import SystemClock
from step_node.economy.side_file import EconomyFile, EconomyFileError
from step_node.economy.verifying.kept import side_file_claims
from step_node.economy.verifying.replay import Replay
from step_node.economy.verifying.store import StoreWitness
from step_node.economy.verifying.verdict import Verdict, verify
from step_node.home.config import load_config
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.snapshot.copying import require_not_half_copied
from step_node.snapshot.initial_state import initialise_store
from step_node.storage.interface import Storage
from step_node.storage.memory import MemoryStorage
from step_node.storage.open import SqliteSettings, open_storage

IN_MEMORY_RECORDS_MAX: Final = 200_000
"""A state of more accounts and triangles, or a chain of so many proofs where only these are known, is made in a file:
in memory each takes one to two kilobytes."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command was asked for. `last`: None is the last that there is; `genesis`: one that the caller trusts;
    `initial_state`: the file of the state that it names, of a chain that is had from a node."""

    first: int
    last: int | None
    genesis: Path | None
    trusts_quorums: bool
    scratch: Path | None
    progress: ProgressLines
    initial_state: Path | None = None


async def verify_home(root: Path, wishes: Wishes) -> Verdict:
    """Verify the store of a home, which is only read. Raises `CommandError`, `StepNodeError`, OSError."""
    home = NodeHome(root)
    config = load_config(home.config).storage
    if config.engine == "sqlite" and not home.ledger.exists():
        raise CommandError(f"{home.ledger}: is not there; the node has not been started yet")
    genesis = load_genesis(home.genesis)
    _require_same(genesis, wishes.genesis, home.genesis)
    async with open_storage(storage_settings(home, config), only_reads=True) as store, AsyncExitStack() as cleanup:
        head, first_there = await store.head(), await store.first_height()
        require_not_half_copied(head, first_there if head.chain.height == 0 else None)
        if wishes.first > 1:
            raise CommandError(
                f"--from: {wishes.first}: the state of height {wishes.first - 1} is not in a store, which has that of"
                " its head: leave --from out, or verify a backup (step-node backup create), which has copies of the"
                " state"
            )
        if first_there is not None and first_there > 1:
            raise CommandError(
                f"{root}: its store has batches from height {first_there} on and not the state before them: verify a"
                " node that has every batch since genesis (earliestHeight 1 in its /status), or a backup"
            )
        totals = await store.totals()
        records = totals.accounts + totals.triangles
        async with scratch_store(wishes, records, home=home, genesis=genesis) as (folder, made):
            witness = StoreWitness(store)
            wishes.progress("records", 0, 1)
            claims = await witness.claims(folder)
            wishes.progress("records", 1, 1)
            there = max(claim.height for claim in claims)
            side_file = await _side_file(home, genesis, cleanup)
            if side_file is not None:
                claims += await side_file_claims(side_file, head.parameters.epoch_batches)
            last = there if wishes.last is None else wishes.last
            if last > there:
                raise CommandError(f"--to: {last}: the store goes to height {there}")
            replay = await Replay.begin(genesis, made, SystemClock(), trusts_quorums=wishes.trusts_quorums)
            return await verify(
                replay,
                witness.batches(1, last),
                claims,
                last=last,
                compare=witness.compare,
                progress=wishes.progress,
            )


async def _side_file(home: NodeHome, genesis: Genesis, cleanup: AsyncExitStack) -> EconomyFile | None:
    """The home's side file, to be closed by `cleanup`; None of a node that has not made one."""
    if not home.economy.exists():
        return None
    try:
        side_file = await trio.to_thread.run_sync(EconomyFile.reading, home.economy, genesis.hash)
    except EconomyFileError as error:
        raise CommandError(
            f"{error}. A node sets such a file aside at its next start, and makes it anew; move it away to verify the"
            " rest"
        ) from error
    cleanup.callback(side_file.close)
    return side_file


async def verify_backup_chain(folder: Path, wishes: Wishes) -> Verdict:
    """Verify the chain in a backup. Raises `CommandError`, `StepNodeError`, OSError."""
    backup = await trio.to_thread.run_sync(BackupReplay.open, folder, wishes.progress)
    manifest = backup.manifest
    _require_same(backup.genesis, wishes.genesis, folder / manifest.home.genesis.path)
    last = manifest.height if wishes.last is None else wishes.last
    if last > manifest.height or wishes.first > manifest.height:
        raise CommandError(f"--to: {max(last, wishes.first)}: the backup goes to height {manifest.height}")
    base = backup.base_for(wishes.first)
    async with scratch_store(wishes, manifest.proofs) as (scratch, made):
        await backup.begin(made, base, scratch)
        replay = await Replay.begin(backup.genesis, made, SystemClock(), trusts_quorums=wishes.trusts_quorums)
        first = replay.head.chain.height + 1
        claims = await backup.claims(scratch, first - 1)
        return await verify(replay, backup.batches(first, last), claims, last=last, progress=wishes.progress)


def _require_same(genesis: Genesis, trusted: Path | None, path: Path) -> None:
    if trusted is None:
        return
    own = load_genesis(trusted)
    if own.hash != genesis.hash:
        raise CommandError(
            f"{path}: is the genesis 0x{genesis.hash.hex()}, and {trusted} is 0x{own.hash.hex()}: what is to be"
            " verified is another chain"
        )


@asynccontextmanager
async def scratch_store(
    wishes: Wishes, records: int, *, home: NodeHome | None = None, genesis: Genesis | None = None
) -> AsyncIterator[tuple[Path, Storage]]:
    """A directory that is taken away again, and a store for a state of so many records; of `home` with its genesis."""
    with tempfile.TemporaryDirectory(prefix="step-verify-", dir=wishes.scratch) as name:
        folder = Path(name)
        async with _store(folder, records) as storage:
            if home is not None and genesis is not None:
                await initialise_store(storage, genesis, home.initial_state)
            yield folder, storage


@asynccontextmanager
async def _store(folder: Path, records: int) -> AsyncIterator[Storage]:
    if records <= IN_MEMORY_RECORDS_MAX:
        yield MemoryStorage()
        return
    async with open_storage(SqliteSettings(folder / "made.sqlite"), alone=True) as storage:
        yield storage
