"""Making a home of a backup, with either engine.

The home is made beside its place, as `<home>.restoring`, and takes its name in one step when all of it is there and has
been found right: nothing believes in half a home. Cut short, the next run goes on from the last batch that is in the
store. Batches are executed, one after the other, by the same rules as in a node: each must follow the one before, be
signed by a quorum of the validators that the state has by then, find the state root that its header names, and give the
receipts that it commits to. So what comes out is the chain, or nothing; and all that follows from batches (receipts,
histories, who was slashed) is there again. Of the proofs in a batch the signatures are not recovered again: the quorum
that has signed the batch has done so. With `state_only` the latest copy of the state is taken over in place of the
batches before it, as a node does that joins from a snapshot.

The reports of fairness that the node had kept come along, each held against its epoch's last batch, if that is there.

Last come the signing histories. Each is marked as doubtful by whoever made the backup, so that the restored node signs
nothing before all that the key can have signed since is final.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus.commit import InvalidCommit
from consensus.messages import Commit
from consensus.wire import WireError, decode
from step_node.backup.files import DamagedFile, copy_file, read_file, require_space
from step_node.backup.manifest import BackupError, BackupFile, Manifest, ReportSegment, StateCopy
from step_node.backup.replaying import take_state
from step_node.backup.reports import read_reports
from step_node.backup.settings import with_storage
from step_node.backup.verifying import Damage, read_segment, reports_loss, verify_backup
from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.chain.genesis import Genesis, load_genesis
from step_node.chain.judging import InvalidBatch
from step_node.clock import Clock
from step_node.durable.atomic_file import fsync_directory, make_directory, write_atomically
from step_node.economy.fairness.kept import KeptEpoch
from step_node.economy.side_file import EconomyFile
from step_node.home.config import ConfigError, StorageConfig, load_config
from step_node.home.histories import open_history
from step_node.home.lock import HomeLock
from step_node.home.making import check_no_home
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.ledger.commitment import state_root
from step_node.offload import run_blocking
from step_node.proofs.proof import SignedProof
from step_node.signing.history import HistoryContent
from step_node.signing.interchange import read_interchange
from step_node.signing.key_file import create_key_file
from step_node.signing.keystore import keystore_address, new_private_key
from step_node.snapshot.audit import add_up_state
from step_node.snapshot.initial_state import initialise_store
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.interface import Storage
from step_node.storage.open import MongoSettings, find_store, open_storage

Progress = Callable[[str, int, int], None]

MARK_NAME: Final = "restoring.json"
_BEFORE_THE_MARK: Final = frozenset({"config.toml", ".config.toml.new", f".{MARK_NAME}.new"})
"""What is written before the mark: a directory with nothing else is one that a restore had only just begun."""
PROOF_BYTES_STORED: Final = 1_100
RECORD_BYTES_STORED: Final = 300
INITIAL_STATE_TIMES_STORED: Final = 4
"""What an initial state takes in a store, by the length of its file, which has records of some 80 bytes."""
"""What each takes in a store, for looking at the disk beforehand."""


@dataclass(frozen=True, slots=True)
class RestoreWishes:
    """What of a backup is wanted, and where. `storage`: the engine; None is the one of the backup's config.toml."""

    storage: StorageConfig | None = None
    config: Path | None = None
    """A config.toml in place of the backup's."""
    state_only: bool = False
    to_height: int | None = None
    """The last height that is wanted; None is the backup's."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has made."""

    height: int
    batch_hash: bytes
    state_root: bytes
    first_height: int
    """The lowest height whose batch is in the store."""
    records: int
    resumed_from: int | None
    """The height that an earlier run had come to."""
    histories: tuple[bytes, ...]
    """The keys (addresses) whose signing history is there, in doubt."""
    key_files: tuple[str, ...]
    """The files of keys that were in the backup."""
    reports: int
    """Epochs of which what the node kept, with the report of fairness, is there again."""
    passed_over: tuple[Damage, ...]
    """Damaged files that were not needed for the chain."""


async def restore_backup(
    folder: Path,
    home: NodeHome,
    wishes: RestoreWishes,
    *,
    clock: Clock,
    progress: Progress = lambda _part, _done, _total: None,
) -> Restored:
    """Make `home` of the backup in `folder`. Cut short, the same call goes on with it.

    Raises `BackupError` for a backup that is damaged or does not fit, `StorageError`, OSError; there is no home then.
    """
    check_no_home(home)
    verified = await run_blocking(lambda: verify_backup(folder, progress=progress, contents=False))
    manifest = verified.manifest
    to_height = manifest.height if wishes.to_height is None else wishes.to_height
    base = _base(manifest, wishes, to_height)
    _require_sound(folder, verified.damages, manifest, wishes, base, to_height)

    making = NodeHome(home.root.with_name(f"{home.root.name}.restoring"))
    work = _Restore(folder, manifest, making, base, to_height, clock, progress, verified.damages)
    try:
        await run_blocking(work.make_home, wishes, home)
        with HomeLock(making.root):
            restored = await work.fill_store()
            await run_blocking(work.finish_home)
    except DamagedFile as error:
        raise BackupError(f"{folder}: has changed while it was restored: a file of it {error}") from error
    making.root.rename(home.root)  # Onto nothing, or onto an empty directory.
    fsync_directory(home.root.parent)
    return restored


class _Restore:
    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        home: NodeHome,
        base: StateCopy | None,
        to_height: int,
        clock: Clock,
        progress: Progress,
        damages: Sequence[Damage],
    ) -> None:
        self._damages = list(damages)
        self._damaged = frozenset(damage.file for damage in damages)
        self._folder = folder
        self._manifest = manifest
        self._home = home
        self._base = base
        self._to_height = to_height
        self._clock = clock
        self._progress = progress
        self._vouched: dict[bytes, SignedProof] = {}
        """The proofs of the batch that is executed, which a quorum has signed."""
        self._was_begun = False
        self._storage = StorageConfig()

    @property
    def _base_height(self) -> int:
        return 0 if self._base is None else self._base.height

    def make_home(self, wishes: RestoreWishes, wanted: NodeHome) -> None:
        """Write what the store needs, or find it there from an earlier run."""
        home, manifest = self._home, self._manifest
        mark = home.root / MARK_NAME
        if home.root.exists() and not mark.exists() and not _BEFORE_THE_MARK.issuperset(_names_in(home.root)):
            raise BackupError(f"{home.root}: is in the way: {wanted.root} is going to be made there. Move it away")
        home.root.parent.mkdir(parents=True, exist_ok=True)
        config = self._config(wishes)
        make_directory(home.root)
        write_atomically(home.config, config.encode())
        storage = self._storage = wishes.storage or self._storage_in_settings()
        if storage.engine == "sqlite":
            records = 0 if self._base is None else self._base.records
            needed_bytes = manifest.proofs * PROOF_BYTES_STORED + records * RECORD_BYTES_STORED
            if manifest.home.initial_state is not None:
                is_stored = self._base is None
                needed_bytes += manifest.home.initial_state.bytes * (1 + is_stored * INITIAL_STATE_TIMES_STORED)
            needed_bytes += sum(segment.unpacked_bytes for segment in manifest.reports)
            require_space(home.root, needed_bytes, "the store")
        what = {
            "genesis": manifest.genesis_hash,
            "engine": storage.engine,
            "database": storage.mongodb_database if storage.engine == "mongodb" else None,
            "base_height": self._base_height,
        }
        if mark.exists():
            begun = json.loads(mark.read_text(encoding="utf-8"))
            if begun != what:
                raise BackupError(
                    f"{home.root}: is what an earlier restore of another kind has left ({begun}, not {what}). Delete"
                    " it, and drop its MongoDB database if it has one; or go on with the earlier one"
                )
            self._was_begun = True
        write_atomically(mark, json.dumps(what).encode())
        make_directory(home.data)
        make_directory(home.p2p_key.parent)
        write_atomically(home.genesis, read_file(self._folder, manifest.home.genesis))
        if manifest.home.initial_state is not None:
            copy_file(self._folder, manifest.home.initial_state, home.initial_state)
        sets = manifest.home.validator_sets
        usable = sets is not None and sets.path not in self._damaged
        if sets is not None and usable and self._base is not None and not home.validator_sets.exists():
            # With the batches from genesis on the links are made anew.
            write_atomically(home.validator_sets, read_file(self._folder, sets))

    def _config(self, wishes: RestoreWishes) -> str:
        """The text of the new home's config.toml."""
        if wishes.config is not None:
            text = wishes.config.read_text(encoding="utf-8")
        else:
            text = read_file(self._folder, self._manifest.home.config).decode()
        return text if wishes.storage is None else with_storage(text, wishes.storage)

    def _storage_in_settings(self) -> StorageConfig:
        """What the new home's settings, and the environment, say of the store."""
        try:
            return load_config(self._home.config).storage
        except ConfigError as error:
            raise BackupError(f"{error}. Say --engine, or give a config.toml of your own by --config") from error

    async def fill_store(self) -> Restored:
        """Bring the store to where the backup ends. What is in it already must be of the backup."""
        genesis = load_genesis(self._home.genesis)
        if genesis.chain_id != self._manifest.chain_id or f"0x{genesis.hash.hex()}" != self._manifest.genesis_hash:
            raise BackupError(f"{self._manifest.home.genesis.path}: is not the genesis that the backup is of")
        settings = storage_settings(self._home, self._storage)
        if isinstance(settings, MongoSettings) and not self._was_begun:
            found = (await find_store(settings)).database
            if found is not None:
                raise BackupError(
                    f"{found}, is there already, and a restore does not write over a store: drop it, or name another"
                    " one with --mongodb-database"
                )
        async with open_storage(settings, alone=True) as storage:
            await initialise_store(storage, genesis, self._home.initial_state)
            resumed_from = (await storage.head()).chain.height or None
            if self._base is not None and resumed_from is None:
                await take_state(self._folder, self._base, storage, self._progress)
            chain = await Chain.open(genesis=genesis, storage=storage, clock=self._clock, known=self._vouched.get)
            await self._execute(chain, genesis)
            records = await self._require_right(chain, storage)
            reports = await self._take_reports(genesis, storage)
            head = chain.head
            return Restored(
                height=head.chain.height,
                batch_hash=head.chain.batch_hash,
                state_root=state_root(head.lanes),
                first_height=await storage.first_height() or 1,
                records=records,
                resumed_from=resumed_from,
                histories=tuple(map(_validator_of, self._manifest.home.signing_histories)),
                key_files=tuple(
                    Path(file.path).name for file in self._manifest.home.key_files if file.path not in self._damaged
                ),
                reports=reports,
                passed_over=tuple(self._damages),
            )

    async def _execute(self, chain: Chain, genesis: Genesis) -> None:
        begin = chain.head.chain.height
        links = await ValidatorSetLinks.open(self._home.validator_sets, genesis)
        await links.begin(chain.validators)
        for segment in self._manifest.segments:
            if segment.first_height > self._to_height or segment.last_height < begin:
                continue
            if segment.last_height == begin == self._base_height:
                continue  # The state that was taken over has been held against its own root.
            for height, data, encoded_commit in read_segment(self._folder, segment):
                if height > self._to_height:
                    return
                if height < begin:
                    continue
                batch, commit = await run_blocking(_decoded, segment.file.path, height, data, encoded_commit)
                if height == begin:
                    self._require_same(chain, segment.file.path, batch)
                    continue
                await self._execute_one(chain, links, segment.file.path, batch, commit)
                self._progress("batches", height - self._base_height, self._to_height - self._base_height)

    def _require_same(self, chain: Chain, path: str, batch: Batch) -> None:
        if chain.head.chain.batch_hash != batch.hash:
            raise BackupError(
                f"{path}: has another batch of height {batch.header.height} than the store that was begun. Delete"
                f" {self._home.root} (and its MongoDB database, if it has one), and restore anew"
            )

    async def _execute_one(
        self, chain: Chain, links: ValidatorSetLinks, path: str, batch: Batch, commit: Commit
    ) -> None:
        height = batch.header.height
        self._vouched.clear()
        self._vouched.update((proof.proof_id, proof) for proof in batch.proofs)
        try:
            chain.check_commit(commit, height=height, batch_hash=batch.hash)
            judged = await chain.judge(batch, proposed_in_round=None, judge_clock=False)
        except (InvalidCommit, InvalidBatch) as error:
            raise BackupError(
                f"{path}: the batch of height {height} is not one of this chain: {error}. `step-node backup restore"
                f" --to-height {height - 1}` restores what comes before"
            ) from error
        await chain.finalise(judged, commit)
        await links.after_batch(batch, commit, chain.validators)

    async def _require_right(self, chain: Chain, storage: Storage) -> int:
        """Raise `BackupError` unless the store is what the backup says, record by record; how many there are."""
        head, manifest = chain.head, self._manifest
        if head.chain.height != self._to_height:
            raise BackupError(
                f"{self._folder}: the batches end at height {head.chain.height}, and must go to {self._to_height}"
            )
        if self._to_height == manifest.height:
            found = (f"0x{head.chain.batch_hash.hex()}", f"0x{state_root(head.lanes).hex()}")
            if found != (manifest.batch_hash, manifest.state_root):
                raise BackupError(
                    f"{self._folder}: its batches lead to the state {found[1]}, and the node that was backed up had"
                    f" {manifest.state_root} at height {manifest.height}: one of the two was not right"
                )
        return (await add_up_state(storage, lambda records: self._progress("records", records, records))).records

    async def _take_reports(self, genesis: Genesis, storage: Storage) -> int:
        """Give the new home the reports up to where it stands; how many epochs these are.

        The chain is there without them, so a file of them that cannot be used is passed over, and told.
        """
        taken = 0
        for segment in self._manifest.reports:
            if segment.file.path in self._damaged:
                continue
            try:
                reports = await self._reports_in(segment, genesis, storage)
            except DamagedFile as error:
                self._damages.append(Damage(segment.file.path, str(error), *reports_loss(segment)))
                continue
            side_file = await run_blocking(EconomyFile.open, self._home.economy, genesis.hash)
            try:
                await side_file.keep_reports(reports)
            finally:
                side_file.close()
            taken += len(reports)
        return taken

    async def _reports_in(
        self, segment: ReportSegment, genesis: Genesis, storage: Storage
    ) -> list[tuple[int, bytes, bytes]]:
        """What a side file keeps of a file's epochs, which must be of the store's batches. Raises `DamagedFile`."""
        found = []
        for epoch, body, kept in await run_blocking(_read_reports, self._folder, segment, genesis):
            height = kept.point.height
            if height > self._to_height:
                break
            stored = await storage.batches(height, 1)
            if stored and stored[0].height == height and stored[0].batch_hash != kept.point.batch_hash:
                raise DamagedFile(f"what it holds of epoch {epoch} is not of this backup's batches")
            found.append((epoch, body, kept.encoded_headline))
        return found

    def finish_home(self) -> None:
        """Write the signing histories and the keys, and take the mark away."""
        home, manifest = self._home, self._manifest
        for file in manifest.home.key_files:
            if file.path in self._damaged:
                continue
            target = home.p2p_key.parent / Path(file.path).name
            write_atomically(target, read_file(self._folder, file))
        if not home.p2p_key.exists():
            create_key_file(home.p2p_key, new_private_key())
        known: set[bytes] = set()
        for file in manifest.home.signing_histories:
            validator = _validator_of(file)
            known.add(validator)
            if file.path in self._damaged:
                self._begin_history(validator, HistoryContent())
            else:
                contents = read_interchange(self._folder / file.path).contents()
                self._begin_history(validator, contents.get(validator, HistoryContent()))
        for path in sorted(home.p2p_key.parent.glob("*.json")):
            validator = keystore_address(path)
            if validator not in known:
                self._begin_history(validator, HistoryContent())
        (home.root / MARK_NAME).unlink(missing_ok=True)
        fsync_directory(home.root)

    def _begin_history(self, validator: bytes, content: HistoryContent) -> None:
        doubt = content.doubt or "the key was restored from a backup, which does not say what it has signed"
        begin_with = HistoryContent(content.records, content.floor, doubt)
        open_history(self._home, chain_id=self._manifest.chain_id, validator=validator, begin_with=begin_with).close()


def _read_reports(folder: Path, segment: ReportSegment, genesis: Genesis) -> list[tuple[int, bytes, KeptEpoch]]:
    return list(read_reports(folder, segment, genesis))


def _names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _validator_of(history: BackupFile) -> bytes:
    """The address of the key whose signing history the file is."""
    return bytes.fromhex(Path(history.path).stem[2:])


def _decoded(path: str, height: int, data: bytes, commit: bytes) -> tuple[Batch, Commit]:
    try:
        return decode_batch(data), decode(Commit, commit, bytes_max=COMMIT_BYTES_MAX)
    except (MalformedBatch, WireError) as error:
        raise BackupError(f"{path}: the batch of height {height} cannot be read: {error}") from error


def _base(manifest: Manifest, wishes: RestoreWishes, to_height: int) -> StateCopy | None:
    """The state that a restore begins with; None for genesis."""
    if not manifest.base_height <= to_height <= manifest.height:
        raise BackupError(
            f"--to-height: the backup goes from {manifest.base_height} to {manifest.height}; {to_height} is not there"
        )
    if not wishes.state_only:
        return manifest.base_state
    usable = [state for state in manifest.states if state.height <= to_height]
    if not usable:
        raise BackupError(
            f"--state-only: the backup has no copy of the state at height {to_height} or below: restore without it"
        )
    return max(usable, key=lambda state: state.height)


def _require_sound(
    folder: Path,
    damages: Sequence[Damage],
    manifest: Manifest,
    wishes: RestoreWishes,
    base: StateCopy | None,
    to_height: int,
) -> None:
    """Raise `BackupError`, naming every damaged file that this restore needs."""
    base_height = 0 if base is None else base.height
    needed = {manifest.home.genesis.path}
    if manifest.home.initial_state is not None:
        needed.add(manifest.home.initial_state.path)
    if wishes.config is None:
        needed.add(manifest.home.config.path)
    if base is not None:
        needed |= {file.path for file in base.files}
    needed |= {
        segment.file.path
        for segment in manifest.segments
        if segment.last_height > base_height and segment.first_height <= to_height
    }
    # A key, or a history, that is damaged does not make the chain worthless: it is passed over, and told.
    in_the_way = [damage for damage in damages if damage.file in needed]
    if in_the_way:
        raise BackupError(f"{folder}: is damaged, and nothing was restored. " + " ".join(map(str, in_the_way)))
