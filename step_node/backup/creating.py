"""Making a backup of a node that may run meanwhile, and adding to one what has come since.

What is copied: the batches with their commits, which from genesis (or a state) on are all that the ledger, its receipts
and its histories follow from; now and then the whole state, so that a restore need not execute all of them; the reports
of fairness, since batches that they were made from may be gone; and what is the home's own. The state is read as one
snapshot, batches and reports never change once they are there, so nothing has to stand
still. The signing history comes last, and is marked: what the key signs from then on is not in it, so whoever restores
it starts in doubt, and signs nothing before all that the key can have signed is final.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from consensus.wire import encode
from step_node.backup.files import FOLDERS, LOCK_NAME, BackupFolder, batch_record, packed, require_space
from step_node.backup.manifest import (
    FORMAT,
    MANIFEST_COPY_NAME,
    MANIFEST_NAME,
    BackupError,
    BackupFile,
    HomeFiles,
    Manifest,
    ReportSegment,
    Segment,
    StateCopy,
    find_manifest,
    write_manifest,
)
from step_node.backup.reports import copy_reports
from step_node.backup.settings import without_secrets
from step_node.batch.batch import decode_batch
from step_node.chain.genesis import Genesis, load_genesis
from step_node.clock import Clock
from step_node.durable.atomic_file import make_directory
from step_node.economy.side_file import EconomyFileError
from step_node.home.config import load_config
from step_node.home.histories import check_no_unnamed_history, keys_with_history
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.ledger.commitment import state_root
from step_node.offload import run_blocking
from step_node.proofs.timestamps import format_timestamp
from step_node.signing.guard import SigningGuard
from step_node.signing.interchange import export_interchange
from step_node.signing.keystore import keystore_address
from step_node.signing.private_file import KeystoreError
from step_node.snapshot.chunks import ChunkWriter
from step_node.snapshot.initial_state import check_initial_state
from step_node.storage.interface import Storage, StoredBatch
from step_node.storage.open import SqliteSettings, open_storage

SEGMENT_BYTES_MAX: Final = 16_000_000
"""Of batches in one file, before they are compressed; what is more begins another one."""
READ_BATCHES: Final = 16
"""Batches that are read of the store at once."""
STATE_EVERY_BATCHES: Final = 10_000
"""How many batches are added to a backup before it gets another copy of the state."""

BATCH_ESTIMATE_BYTES: Final = 1_500
PROOF_ESTIMATE_BYTES: Final = 400
RECORD_ESTIMATE_BYTES: Final = 120
"""What each takes in a backup, compressed, for looking at the disk beforehand."""


Progress: TypeAlias = Callable[[str, int, int], None]
"""Told the part that is being worked on, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Created:
    """What a run has added to a backup."""

    manifest: Manifest
    first_height: int
    """The lowest height that is new; above `manifest.height` if none is."""
    bytes_added: int
    state_copied: bool
    left_out: tuple[str, ...]
    """Secrets that stand in config.toml, and not in the backup, by their names."""
    reports_left_out: str | None
    """Why no reports of fairness were copied, if that is not because there are no further ones."""


async def create_backup(
    home: NodeHome,
    folder: Path,
    *,
    clock: Clock,
    with_keys: bool = False,
    state_every_batches: int = STATE_EVERY_BATCHES,
    progress: Progress = lambda _part, _done, _total: None,
) -> Created:
    """Make a backup of `home` in `folder`, or add to the one that is there. Cut short, the next run goes on.

    Raises `BackupError` for a folder or a store that does not fit, `StorageError`, OSError.
    """
    config = load_config(home.config)
    genesis = load_genesis(home.genesis)
    check_no_unnamed_history(home)
    settings = storage_settings(home, config.storage)
    if isinstance(settings, SqliteSettings) and not settings.path.exists():
        raise BackupError(f"{settings.path}: is not there; the node has not been started yet")
    _require_folder(folder)
    with BackupFolder(folder) as files:
        found = find_manifest(folder)
        earlier = None if found is None else found.manifest
        if earlier is not None and earlier.genesis_hash != f"0x{genesis.hash.hex()}":
            raise BackupError(
                f"{folder}: is a backup of the chain {earlier.chain_id} with the genesis {earlier.genesis_hash}, and"
                f" this home's is 0x{genesis.hash.hex()}: give each chain a directory of its own"
            )
        kept = frozenset() if earlier is None else frozenset(file.path for file in earlier.files())
        await run_blocking(files.keep_only, kept)
        async with open_storage(settings, only_reads=True) as storage:
            work = _Creation(home, genesis, storage, files, earlier, progress)
            return await work.run(
                made_at=format_timestamp(clock.now_ms()), with_keys=with_keys, state_every_batches=state_every_batches
            )


class _Creation:
    def __init__(
        self,
        home: NodeHome,
        genesis: Genesis,
        storage: Storage,
        files: BackupFolder,
        earlier: Manifest | None,
        progress: Progress,
    ) -> None:
        self._home = home
        self._genesis = genesis
        self._storage = storage
        self._files = files
        self._earlier = earlier
        self._progress = progress
        self._run = 1 if earlier is None else earlier.run + 1
        self._left_out: tuple[str, ...] = ()
        self._reports_left_out: str | None = None

    async def run(self, *, made_at: str, with_keys: bool, state_every_batches: int) -> Created:
        earlier = self._earlier
        height = (await self._storage.head()).chain.height
        await self._require_continuation(height)
        first_in_store = await self._storage.first_height() or 1
        begins_at_genesis = earlier.base_height == 0 if earlier is not None else first_in_store == 1
        states = () if earlier is None else earlier.states
        last_state = max((state.height for state in states), default=0)
        state_is_due = height > 0 and (not states or height - last_state >= state_every_batches)
        await self._require_space(height, state_is_due=state_is_due)
        new_state = await self._copy_state() if state_is_due else None
        if earlier is not None:
            base_height = earlier.base_height
        else:
            base_height = 0 if begins_at_genesis or new_state is None else new_state.height
        first_height = 1 + (base_height if earlier is None else earlier.height)
        # The state may be of a later height than the one seen before: the batches go at least as far.
        head = await self._storage.head()
        height = head.chain.height
        segments = await self._copy_batches(first_height, height)
        if new_state is not None:
            states = _worth_keeping((*states, new_state), base_height)
        manifest = Manifest(
            format=FORMAT,
            run=self._run,
            made_at=made_at,
            chain_id=self._genesis.chain_id,
            genesis_hash=f"0x{self._genesis.hash.hex()}",
            base_height=base_height,
            height=height,
            batch_hash=f"0x{head.chain.batch_hash.hex()}",
            state_root=f"0x{state_root(head.lanes).hex()}",
            segments=(*(() if earlier is None else earlier.segments), *segments),
            states=states,
            reports=await self._copy_reports(height),
            home=await run_blocking(self._copy_home, made_at, height, with_keys),
        )
        await run_blocking(write_manifest, self._files.root, manifest)
        await run_blocking(self._files.keep_only, frozenset(file.path for file in manifest.files()))
        before = 0 if earlier is None else sum(file.bytes for file in earlier.files())
        return Created(
            manifest=manifest,
            first_height=first_height,
            bytes_added=max(0, manifest.bytes - before),
            state_copied=new_state is not None,
            left_out=self._left_out,
            reports_left_out=self._reports_left_out,
        )

    async def _require_continuation(self, height: int) -> None:
        """Raise `BackupError` unless the store goes on from where the backup ends."""
        earlier = self._earlier
        if earlier is None or earlier.height == 0:
            return
        folder = self._files.root
        if height < earlier.height:
            raise BackupError(
                f"{folder}: goes to height {earlier.height}, and the store of {self._home.root} stands at {height}."
                " Wait until the node has caught up, or make a backup in another directory"
            )
        stored = await self._storage.batches(earlier.height, 1)
        if not stored or stored[0].height != earlier.height:
            raise BackupError(
                f"{folder}: goes to height {earlier.height}, which the store does not keep any more: it cannot be added"
                " to. Make a backup in another directory"
            )
        if f"0x{stored[0].batch_hash.hex()}" != earlier.batch_hash:
            raise BackupError(
                f"{folder}: has another batch at height {earlier.height} than the store of {self._home.root}, which"
                " must not be: one of the two is damaged, or of a chain that has been begun anew. Run `step-node backup"
                " verify` and `step-node store verify`"
            )

    async def _require_space(self, height: int, *, state_is_due: bool) -> None:
        totals = await self._storage.totals()
        before = self._earlier
        batches = height - (0 if before is None else before.height)
        proofs = max(0, totals.proofs - (0 if before is None else before.proofs))
        needed_bytes = batches * BATCH_ESTIMATE_BYTES + proofs * PROOF_ESTIMATE_BYTES
        if state_is_due:
            needed_bytes += (totals.accounts + totals.triangles) * RECORD_ESTIMATE_BYTES
        if self._lacks_initial_state and self._home.initial_state.exists():
            needed_bytes += self._home.initial_state.stat().st_size
        if self._home.economy.exists():
            copied = 0 if before is None else sum(segment.unpacked_bytes for segment in before.reports)
            needed_bytes += max(0, self._home.economy.stat().st_size - copied)
        require_space(self._files.root, needed_bytes, "this backup")

    async def _copy_state(self) -> StateCopy:
        """Copy the state of the head, whichever that is by then."""
        folder = f"states/{self._run}"
        chunks: list[BackupFile] = []
        size_bytes = 0
        totals = await self._storage.totals()

        def write(number: int, chunk: bytes) -> None:
            nonlocal size_bytes
            if number == 0:  # An export may begin again.
                chunks.clear()
                size_bytes = 0
            chunks.append(self._files.write(f"{folder}/{number:06}.gz", packed(chunk)))
            size_bytes += len(chunk)
            self._progress("state", size_bytes, max(size_bytes, (totals.accounts + totals.triangles) * 60))

        writer = ChunkWriter(write)
        await self._storage.export(writer)
        index = await run_blocking(writer.finish)
        return StateCopy(
            height=index.height,
            state_root=f"0x{state_root(writer.lanes).hex()}",
            records=index.records,
            unpacked_bytes=size_bytes,
            index=await run_blocking(self._files.write, f"{folder}/index", encode(index)),
            chunks=tuple(chunks),
        )

    async def _copy_batches(self, first_height: int, last_height: int) -> list[Segment]:
        segments: list[Segment] = []
        pending: list[StoredBatch] = []
        pending_bytes, height = 0, first_height
        while height <= last_height:
            batches = await self._storage.batches(height, min(READ_BATCHES, last_height - height + 1))
            if not batches or batches[0].height != height:
                raise BackupError(
                    f"the store has no batch of height {height}, though it stands at {last_height}: run"
                    f" `step-node store verify --home {self._home.root}`"
                )
            for stored in batches:
                size_bytes = len(stored.batch) + len(stored.commit)
                if pending and pending_bytes + size_bytes > SEGMENT_BYTES_MAX:
                    segments.append(await run_blocking(self._write_segment, pending))
                    pending, pending_bytes = [], 0
                pending.append(stored)
                pending_bytes += size_bytes
                height = stored.height + 1
            self._progress("batches", height - first_height, last_height - first_height + 1)
        if pending:
            segments.append(await run_blocking(self._write_segment, pending))
        return segments

    def _write_segment(self, batches: Sequence[StoredBatch]) -> Segment:
        content = b"".join(batch_record(stored.batch, stored.commit) for stored in batches)
        first, last = batches[0].height, batches[-1].height
        return Segment(
            file=self._files.write(f"batches/{first:012}-{last:012}.gz", packed(content)),
            first_height=first,
            last_height=last,
            proofs=sum(len(decode_batch(stored.batch).proofs) for stored in batches),
            unpacked_bytes=len(content),
        )

    async def _copy_reports(self, height: int) -> tuple[ReportSegment, ...]:
        """The chain is worth its backup without them, so a side file that cannot be read is told, and no more."""
        earlier = () if self._earlier is None else self._earlier.reports
        try:
            return (*earlier, *await copy_reports(self._home, self._genesis, self._files, earlier, height))
        except EconomyFileError as error:
            self._reports_left_out = str(error)
            return earlier

    def _copy_home(self, made_at: str, height: int, with_keys: bool) -> HomeFiles:
        """Copy the files that are the home's own into this run's directory."""
        home, folder, write = self._home, f"home/{self._run}", self._files.write
        config, self._left_out = without_secrets(home.config.read_text(encoding="utf-8"))
        keys = () if self._earlier is None else self._earlier.home.key_files
        if with_keys:
            keys = tuple(write(f"{folder}/keys/{path.name}", path.read_bytes()) for path in _keys(home))
        sets = home.validator_sets.read_bytes() if home.validator_sets.exists() else None
        return HomeFiles(
            genesis=write(f"{folder}/genesis.json", home.genesis.read_bytes()),
            initial_state=self._copy_initial_state(folder),
            config=write(f"{folder}/config.toml", config.encode()),
            validator_sets=None if sets is None else write(f"{folder}/validator_sets", sets),
            key_files=keys,
            # Last of all: each signature that is in it is one less that is not.
            signing_histories=self._copy_histories(f"{folder}/signing_history", made_at, height),
        )

    @property
    def _lacks_initial_state(self) -> bool:
        """Whether genesis names one, and no earlier run has copied it."""
        copied = None if self._earlier is None else self._earlier.home.initial_state
        return self._genesis.initial_state is not None and copied is None

    def _copy_initial_state(self, folder: str) -> BackupFile | None:
        """The file of the initial state, which is the same for good: an earlier run's, if there is one."""
        if not self._lacks_initial_state:
            return None if self._earlier is None else self._earlier.home.initial_state
        check_initial_state(self._home.initial_state, self._genesis)
        return self._files.copy(f"{folder}/initial_state.bin", self._home.initial_state)

    def _copy_histories(self, folder: str, made_at: str, height: int) -> tuple[BackupFile, ...]:
        doubt = (
            f"it was restored from a backup made at {made_at}, at height {height}: what the key has signed since is not"
            " in it"
        )
        chain_id = self._genesis.chain_id
        copied = []
        for validator in sorted(keys_with_history(self._home)):
            said = SigningGuard.read(self._home.signing_history(validator), chain_id=chain_id, validator=validator)
            text = export_interchange(
                {validator: replace(said, doubt=doubt)}, chain_id=chain_id, genesis_hash=self._genesis.hash
            )
            copied.append(self._files.write(f"{folder}/0x{validator.hex()}.json", text.encode()))
        return tuple(copied)


def _keys(home: NodeHome) -> list[Path]:
    """The keystores of a home, which are encrypted, and its network key. Never a password, nor a key in the clear."""
    folder = home.validator_keystore.parent
    found = [home.p2p_key] if home.p2p_key.exists() else []
    for path in sorted(folder.glob("*.json")):
        try:
            keystore_address(path)
        except KeystoreError as error:
            raise BackupError(f"{path}: is no keystore, so it is not copied ({error}): move it elsewhere") from error
        found.append(path)
    return found


def _worth_keeping(states: Sequence[StateCopy], base_height: int) -> tuple[StateCopy, ...]:
    """The one that the batches begin after, and the latest."""
    by_height = sorted(states, key=lambda state: state.height)
    return tuple(state for state in by_height if state.height == base_height or state is by_height[-1])


def _require_folder(folder: Path) -> None:
    """Make the directory, of mode 0700; raise `BackupError` for one that holds anything but a backup."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_directory(folder)
        return
    ours = {LOCK_NAME, MANIFEST_NAME, MANIFEST_COPY_NAME, *FOLDERS}
    others = sorted(path.name for path in folder.iterdir() if path.name not in ours and not path.name.endswith(".new"))
    if others:
        raise BackupError(f"{folder}: holds {others[0]!r}, which is not a backup's: choose an empty or a new directory")
