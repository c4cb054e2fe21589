"""A backup as a chain to be executed again: the state that it can begin with, its batches, and what it says of both."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from functools import partial
from pathlib import Path

from consensus.wire import encode
from step_node.backup.claims import FilesClaim, StateCopyClaim
from step_node.backup.files import DamagedFile, copy_file
from step_node.backup.manifest import BackupError, Manifest, Segment, StateCopy
from step_node.backup.reports import BackedUpReports
from step_node.backup.verifying import Damage, read_chunk, read_index, read_segment, state_reader, verify_backup
from step_node.batch.batch import decode_batch
from step_node.chain.genesis import Genesis, GenesisError, load_genesis
from step_node.economy.verifying.claims import Claim, RootClaim
from step_node.economy.verifying.kept import fairness_claims
from step_node.economy.verifying.replay import BatchRejected
from step_node.offload import run_blocking
from step_node.snapshot.chunks import stored_records
from step_node.snapshot.initial_state import initialise_store
from step_node.snapshot.records import InvalidSnapshot
from step_node.storage.interface import RestoredState, Storage, StoredBatch

Progress = Callable[[str, int, int], None]


class BackupReplay:
    """The backup in `folder`. Made by `open`."""

    def __init__(self, folder: Path, manifest: Manifest, damages: tuple[Damage, ...], genesis: Genesis) -> None:
        self._folder = folder
        self.manifest = manifest
        self.damages = damages
        """Files that are not what the manifest says."""
        self.genesis = genesis

    @classmethod
    def open(cls, folder: Path, progress: Progress) -> BackupReplay:
        """Hold every file against its hash. It blocks. Raises `BackupError` where nothing can be told."""
        verified = verify_backup(folder, progress=progress, contents=False)
        path = verified.manifest.home.genesis.path
        try:
            genesis = load_genesis(folder / path)
        except (GenesisError, OSError) as error:
            raise BackupError(
                f"{folder / path}: {error}. Copy the chain's genesis.json over it, byte for byte"
            ) from error
        if f"0x{genesis.hash.hex()}" != verified.manifest.genesis_hash:
            raise BackupError(
                f"{folder / path}: is the genesis of another chain than the backup's, 0x{genesis.hash.hex()}: copy the"
                " chain's genesis.json over it, byte for byte"
            )
        return cls(folder, verified.manifest, verified.damages, genesis)

    def base_for(self, first: int) -> StateCopy | None:
        """The state to begin with so that the batch `first` is executed; None is genesis. Raises `BackupError`."""
        manifest = self.manifest
        usable = [state for state in manifest.states if state.height < first]
        if first == 1 or not usable:
            if manifest.base_height > 0:
                raise BackupError(
                    f"--from: {first}: the backup begins at height {manifest.base_height}, with a copy of the state:"
                    f" say --from {manifest.base_height + 1}, or verify a node that has every batch since genesis"
                )
            return None
        return max(usable, key=lambda state: state.height)

    async def begin(self, storage: Storage, base: StateCopy | None, scratch: Path) -> None:
        """Make `storage` hold the state to begin with. Raises `BackupError`, `StorageUnavailable`, OSError."""
        try:
            initial, path = self.manifest.home.initial_state, scratch / "initial_state.bin"
            if initial is not None and base is None:
                await run_blocking(copy_file, self._folder, initial, path)
            if base is None:
                await initialise_store(storage, self.genesis, path)
            else:
                await storage.initialise(self.genesis.hash, self.genesis.head(), self.genesis.accounts())
                await take_state(self._folder, base, storage)
        except (DamagedFile, InvalidSnapshot) as error:
            raise BackupError(
                f"{self._folder}: the state to begin with is damaged: {error}. Say --from 1, or another height"
            ) from error

    async def claims(self, scratch: Path, begins_at: int) -> list[Claim]:
        """What the manifest says of its last height and of its files, and each copy of the state, and each report of an
        epoch, of its own. Records are compared in files of `scratch`; `begins_at` is the height of the state that the
        replay begins with."""
        manifest = self.manifest
        reports = BackedUpReports(self._folder, manifest.reports, self.genesis)
        return [
            FilesClaim(begins_at, self.damages),
            RootClaim(manifest.height, _bytes(manifest.batch_hash), _bytes(manifest.state_root), "backup.json"),
            *(RootClaim(one.height, None, _bytes(one.state_root), one.index.path) for one in manifest.states),
            *(StateCopyClaim(self._folder, one, scratch) for one in manifest.states),
            *await fairness_claims(reports, "the backup", self.genesis.parameters.epoch_batches),
        ]

    async def batches(self, first: int, last: int) -> AsyncGenerator[tuple[bytes, bytes]]:
        """The batches from `first` to `last` with their commits. Raises `BatchRejected`."""
        for segment in self.manifest.segments:
            if segment.last_height < first or segment.first_height > last:
                continue
            height = max(first, segment.first_height)
            try:
                records = await run_blocking(partial(_records, self._folder, segment))
            except DamagedFile as error:
                raise BatchRejected(height, f"{segment.file.path} {error}") from error
            for at, batch, commit in records:
                if first <= at <= last:
                    yield batch, commit


async def take_state(
    folder: Path, state: StateCopy, storage: Storage, progress: Progress = lambda _part, _done, _total: None
) -> None:
    """Make the copy of the state the contents of `storage`, once all of it has been read and adds up.

    Raises `DamagedFile`, `InvalidSnapshot`, `StorageUnavailable`.
    """
    index = await run_blocking(read_index, folder, state)
    reader = await run_blocking(state_reader, folder, state)
    for number in range(len(state.chunks)):
        reader.read(await run_blocking(read_chunk, folder, state, number))
        progress("state", number + 1, 2 * len(state.chunks))
    head = reader.head()
    base = decode_batch(index.base_batch)

    def chunks() -> Iterator[bytes]:
        for number in range(len(state.chunks)):
            yield read_chunk(folder, state, number)
            progress("state", len(state.chunks) + number + 1, 2 * len(state.chunks))

    await storage.restore(
        RestoredState(
            head=head,
            base=StoredBatch(
                height=state.height,
                batch_hash=base.hash,
                timestamp_ms=base.header.timestamp_ms,
                batch=index.base_batch,
                commit=encode(index.base_commit),
            ),
            pages=lambda: stored_records(chunks()),
        )
    )


def _records(folder: Path, segment: Segment) -> list[tuple[int, bytes, bytes]]:
    return list(read_segment(folder, segment))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
