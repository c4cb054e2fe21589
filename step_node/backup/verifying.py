"""Looking through a backup, without a node and without a store: is every file what it was, and do they fit together?

First every file is held against its size and hash. What is sound is then looked into: the batches follow one another
from genesis (or from the state they begin after) to the height that the backup names, each with a commit of a quorum
wherever the validators of its height are known; each state adds up to the root that the header after it carries; the
histories and keystores can be read. What a restore would refuse is found here, by the file's name, with what is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from consensus.commit import InvalidCommit, verify_commit
from consensus.values import ValidatorSet
from consensus.wire import WireError, decode
from step_node.backup.files import DamagedFile, batch_records, check_file, read_file, unpacked
from step_node.backup.manifest import (
    MANIFEST_COPY_NAME,
    MANIFEST_NAME,
    BackupError,
    BackupFile,
    Manifest,
    ReportSegment,
    Segment,
    StateCopy,
    find_manifest,
)
from step_node.backup.reports import read_reports
from step_node.batch.batch import BatchHeader, MalformedBatch, decode_batch
from step_node.chain.auditing import BrokenChain, ChainAudit
from step_node.chain.genesis import Genesis, GenesisError, load_genesis
from step_node.crypto.lines import recover_signer
from step_node.ledger.state import StateHead
from step_node.ledger.validators import validator_set
from step_node.receipts.links import InvalidLink
from step_node.signing.interchange import InterchangeError, read_interchange
from step_node.signing.keystore import keystore_address
from step_node.signing.private_file import KeystoreError
from step_node.snapshot.chunks import ChunkReader
from step_node.snapshot.manifest import CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, SnapshotIndex
from step_node.snapshot.records import InvalidSnapshot
from step_node.snapshot.validator_sets import linked_sets

Progress = Callable[[str, int, int], None]

SEGMENT_UNPACKED_BYTES_MAX = 64_000_000
"""A larger segment is not unpacked: this program writes none."""
CHUNK_UNPACKED_BYTES_MAX = 2 * CHUNK_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a file of a backup, what is lost by it, and what to do."""

    file: str
    what: str
    lost: str
    what_to_do: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}. {self.lost} {self.what_to_do}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What has been found of a backup."""

    manifest: Manifest
    damages: tuple[Damage, ...]
    batches: int
    quorums: int
    """Commits that were held against the validators of their height; of the others every signature is genuine."""
    proven_states: int
    """States whose root stands in a batch of the backup, signed by validators to whom links lead from genesis. One of
    the last height is proven by the next batch only."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damages


def verify_backup(
    folder: Path, *, progress: Progress = lambda _part, _done, _total: None, contents: bool = True
) -> Verified:
    """Look through the backup in `folder`; without `contents` at sizes and hashes alone. It blocks.

    Raises `BackupError` where there is no backup, or nothing of it can be told.
    """
    found = find_manifest(folder)
    if found is None:
        raise BackupError(f"{folder}: is no backup: {MANIFEST_NAME} is not there. `step-node backup create` makes one")
    look = _Look(folder, found.manifest, progress)
    for name, reason in found.damaged:
        other = MANIFEST_COPY_NAME if name == MANIFEST_NAME else MANIFEST_NAME
        look.damages.append(
            Damage(name, reason, f"Nothing is lost: {other} is sound.", "The next `step-node backup create` writes it.")
        )
    look.hashes()
    if contents:
        look.contents()
    return Verified(found.manifest, tuple(look.damages), look.batches, look.quorums, look.proven_states)


class _Look:
    def __init__(self, folder: Path, manifest: Manifest, progress: Progress) -> None:
        self._folder = folder
        self._manifest = manifest
        self._progress = progress
        self._bad: set[str] = set()
        self._lost = {file.path: (lost, to_do) for file, lost, to_do in _losses(manifest)}
        self._sets: dict[bytes, ValidatorSet] = {}
        self._linked: frozenset[bytes] = frozenset()
        """The hashes of those that links lead to from genesis."""
        self._headers: dict[int, BatchHeader] = {}
        """Of the heights right after a state."""
        self._ends: dict[int, bytes] = {}
        """The hash of each batch with which an epoch ends, by its height."""
        self.damages: list[Damage] = []
        self.batches = 0
        self.quorums = 0
        self.proven_states = 0

    def hashes(self) -> None:
        """Hold every file against its size and hash."""
        total, done = self._manifest.bytes, 0
        for file in self._manifest.files():
            try:
                check_file(self._folder, file)
            except DamagedFile as error:
                self._damaged(file, str(error))
            done += file.bytes
            self._progress("files", done, total)

    def contents(self) -> None:
        """Look into what is sound."""
        manifest = self._manifest
        genesis = self._genesis()
        if genesis is None:
            return
        heads = [(state, self._state(state)) for state in manifest.states]
        self._learn_sets(genesis, [head for _, head in heads if head is not None])
        self._chain(genesis)
        for state, head in heads:
            if head is not None:
                self._prove(genesis, state, head)
        for segment in manifest.reports:
            if segment.file.path not in self._bad:
                self._reports(segment, genesis)
        for file in manifest.home.signing_histories:
            self._checked(file, read_interchange, (InterchangeError,))
        for file in manifest.home.key_files:
            if file.path.endswith(".json"):
                self._checked(file, keystore_address, (KeystoreError,))

    def _checked(
        self,
        file: BackupFile,
        check: Callable[[Path], object],
        errors: tuple[type[Exception], ...],
    ) -> None:
        if file.path in self._bad:
            return
        try:
            check(self._folder / file.path)
        except errors as error:
            self._damaged(file, f"cannot be used: {error}")

    def _damaged(self, file: BackupFile, what: str) -> None:
        self._bad.add(file.path)
        lost, to_do = self._lost[file.path]
        self.damages.append(Damage(file.path, what, lost, to_do))

    def _genesis(self) -> Genesis | None:
        file = self._manifest.home.genesis
        if file.path in self._bad:
            return None
        try:
            genesis = load_genesis(self._folder / file.path)
        except GenesisError as error:
            self._damaged(file, str(error))
            return None
        if f"0x{genesis.hash.hex()}" != self._manifest.genesis_hash:
            self._damaged(file, f"is the genesis of another chain, 0x{genesis.hash.hex()}")
            return None
        return genesis

    def _learn_sets(self, genesis: Genesis, heads: list[StateHead]) -> None:
        linked = [validator_set(genesis.head().validators)]
        file = self._manifest.home.validator_sets
        if file is not None and file.path not in self._bad:
            try:
                linked += linked_sets(read_file(self._folder, file), genesis)
            except (WireError, InvalidSnapshot, InvalidLink, DamagedFile) as error:
                self._damaged(file, f"cannot be used: {error}")
        of_states = [validator_set(head.validators, height=head.chain.height) for head in heads]
        of_states += [validator_set(head.validators) for head in heads]
        self._linked = frozenset(one.hash for one in linked)
        self._sets = {one.hash: one for one in (*of_states, *linked)}

    def _chain(self, genesis: Genesis) -> None:
        manifest = self._manifest
        wanted = {state.height + 1 for state in manifest.states}
        after = (0, genesis.hash) if manifest.base_height == 0 else None
        audit = ChainAudit(chain_id=genesis.chain_id, find_set=self._sets.get, after=after)
        height = manifest.base_height + 1
        for segment in manifest.segments:
            if segment.first_height != height:
                self._damaged(segment.file, f"must begin at height {height}")
            if segment.file.path in self._bad:
                # What comes after it is looked through by itself: its first batch is taken as it is.
                self._count(audit)
                audit = ChainAudit(chain_id=genesis.chain_id, find_set=self._sets.get, after=None)
                height = segment.last_height + 1
                continue
            try:
                for height, batch, commit in read_segment(self._folder, segment):
                    taken = audit.take(height, batch, commit)[0]
                    if height in wanted:
                        self._headers[height] = taken.header
                    if manifest.reports and height % genesis.parameters.epoch_batches == 0:
                        self._ends[height] = taken.hash
                    self._progress("batches", height - manifest.base_height, manifest.height - manifest.base_height)
            except (BrokenChain, DamagedFile) as error:
                self._damaged(segment.file, str(error))
                self._count(audit)
                audit = ChainAudit(chain_id=genesis.chain_id, find_set=self._sets.get, after=None)
            height = segment.last_height + 1
        self._count(audit)
        last = audit.last
        if not manifest.segments or last is None or manifest.segments[-1].file.path in self._bad:
            return
        if (last[0], f"0x{last[1].hex()}") != (manifest.height, manifest.batch_hash):
            self._damaged(manifest.segments[-1].file, "does not end with the batch that the backup says it ends with")

    def _reports(self, segment: ReportSegment, genesis: Genesis) -> None:
        """Hold reports against the batches with which their epochs end, as far as these are there."""
        try:
            for epoch, _, kept in read_reports(self._folder, segment, genesis):
                if self._ends.get(kept.point.height, kept.point.batch_hash) != kept.point.batch_hash:
                    raise DamagedFile(f"what it holds of epoch {epoch} is not of this backup's batches")
        except DamagedFile as error:
            self._damaged(segment.file, str(error))

    def _count(self, audit: ChainAudit) -> None:
        self.batches += audit.batches
        self.quorums += audit.quorums

    def _state(self, state: StateCopy) -> StateHead | None:
        """The head of a state that adds up to its root; None for one that is damaged."""
        if any(file.path in self._bad for file in state.files):
            return None
        total = max(1, len(state.chunks))
        try:
            reader = state_reader(self._folder, state)
            for number in range(len(state.chunks)):
                reader.read(read_chunk(self._folder, state, number))
                self._progress("state", number + 1, total)
            return reader.head()
        except (InvalidSnapshot, DamagedFile) as error:
            self._damaged(state.index, str(error))
            return None

    def _prove(self, genesis: Genesis, state: StateCopy, head: StateHead) -> None:
        """Hold a state against the batch that follows it, and its base batch against its commit."""
        index = read_index(self._folder, state)
        following = self._headers.get(state.height + 1)
        if following is not None:
            if f"0x{following.state_root.hex()}" != state.state_root:
                self._damaged(state.index, f"is another state than that which batch {following.height} follows")
                return
            self.proven_states += following.validator_set_hash in self._linked
        if following is not None and following.previous_batch_hash != head.chain.batch_hash:
            self._damaged(state.index, f"is not the state that batch {following.height} follows")
            return
        base = decode_batch(index.base_batch)
        validators = self._sets.get(base.header.validator_set_hash)
        if validators is None:
            return
        try:
            verify_commit(
                index.base_commit,
                chain_id=genesis.chain_id,
                height=state.height,
                batch_hash=base.hash,
                validators=validators,
                recover=recover_signer,
            )
        except InvalidCommit as error:
            self._damaged(state.index, f"the commit of its batch: {error}")


@dataclass(slots=True)
class StateReader:
    """The chunks of a state of a backup, read in order under check."""

    state: StateCopy
    reader: ChunkReader
    base_hash: bytes

    def read(self, chunk: bytes) -> None:
        """Take the next chunk. Raises `InvalidSnapshot`."""
        self.reader.read(chunk)

    def head(self) -> StateHead:
        """The state's head once all chunks are read and add up. Raises `InvalidSnapshot`."""
        root = bytes.fromhex(self.state.state_root[2:])
        return self.reader.finish_at(root, self.base_hash, whose="the state root that the backup says it has")


def state_reader(folder: Path, state: StateCopy) -> StateReader:
    """What reads the chunks of `state`. Raises `DamagedFile`."""
    index = read_index(folder, state)
    try:
        base = decode_batch(index.base_batch)
    except MalformedBatch as error:
        raise DamagedFile(f"its batch cannot be read: {error}") from error
    return StateReader(state, ChunkReader(index, base.header), base.hash)


def read_index(folder: Path, state: StateCopy) -> SnapshotIndex:
    """The index of a state. Raises `DamagedFile`."""
    data = read_file(folder, state.index)
    try:
        index = decode(SnapshotIndex, data, bytes_max=MANIFEST_BYTES_MAX, structure_bytes_max=MANIFEST_BYTES_MAX)
    except WireError as error:
        raise DamagedFile(f"cannot be read: {error}") from error
    if index.height != state.height or len(index.chunks) != len(state.chunks):
        raise DamagedFile("is the index of another state")
    return index


def read_chunk(folder: Path, state: StateCopy, number: int) -> bytes:
    """A chunk's records. Raises `DamagedFile`."""
    return unpacked(read_file(folder, state.chunks[number]), CHUNK_UNPACKED_BYTES_MAX)


def read_segment(folder: Path, segment: Segment) -> Iterator[tuple[int, bytes, bytes]]:
    """The (height, batch, commit) of a segment, in order. Raises `DamagedFile`."""
    if segment.unpacked_bytes > SEGMENT_UNPACKED_BYTES_MAX:
        raise DamagedFile(f"is said to hold {segment.unpacked_bytes} bytes; a segment has at most 64 MB")
    content = unpacked(read_file(folder, segment.file), segment.unpacked_bytes)
    height = segment.first_height
    for batch, commit in batch_records(content):
        if height > segment.last_height:
            raise DamagedFile("holds more batches than it should")
        yield height, batch, commit
        height += 1
    if height != segment.last_height + 1:
        raise DamagedFile(f"ends at height {height - 1}, and must go to {segment.last_height}")


def _losses(manifest: Manifest) -> Iterator[tuple[BackupFile, str, str]]:
    """Of each file what is lost without it, and what to do."""
    again = "Make a backup in an empty directory while the node is there."
    yield (
        manifest.home.genesis,
        "Nothing can be restored without it, but it is the same on every node of the chain.",
        f"Copy the chain's genesis.json over it, byte for byte. Or: {again}",
    )
    if manifest.home.initial_state is not None:
        yield (
            manifest.home.initial_state,
            "Nothing can be restored without it, but it is the same on every node of the chain.",
            f"Copy the chain's initial_state.bin over it, byte for byte. Or: {again}",
        )
    yield (
        manifest.home.config,
        "The settings are lost, and nothing else.",
        "Restore with `--config FILE`, a config.toml of your own.",
    )
    if manifest.home.validator_sets is not None:
        yield (
            manifest.home.validator_sets,
            "Receipts and newcomers of the restored node have no links to the present validators.",
            "Restore everything (without `--state-only`), which makes them anew.",
        )
    for file in manifest.home.signing_histories:
        yield (
            file,
            "What this key has signed is not known.",
            "Restore; then start the node with --lost-signing-history, which waits until all that it can have signed is"
            " final.",
        )
    for file in manifest.home.key_files:
        yield file, "This key is lost, if it is nowhere else.", "Look for another copy of it."
    for segment in manifest.segments:
        yield segment.file, *_segment_loss(manifest, segment)
    for state in manifest.states:
        for file in state.files:
            yield file, *_state_loss(manifest, state)
    for reports in manifest.reports:
        yield reports.file, *reports_loss(reports)


def reports_loss(segment: ReportSegment) -> tuple[str, str]:
    """What is lost with a file of reports, and what to do."""
    return (
        f"The reports of fairness of the epochs {segment.first_epoch} to {segment.last_epoch} are lost; the batches are"
        " not.",
        "Restore: the node makes those again whose batches it has. Make a backup in an empty directory while the node"
        " is there.",
    )


def _segment_loss(manifest: Manifest, segment: Segment) -> tuple[str, str]:
    lost = f"The batches of the heights {segment.first_height} to {segment.last_height} are lost."
    state = manifest.latest_state
    if state is not None and state.height >= segment.last_height:
        return lost, (
            f"`step-node backup restore --state-only` restores the state of height {state.height} and what follows; the"
            " peers of the node may have the rest. Make a backup in an empty directory while the node is there."
        )
    return lost, (
        f"`step-node backup restore --to-height {segment.first_height - 1}` restores what comes before, and the node"
        " fetches the rest from its peers. Make a backup in an empty directory while the node is there."
    )


def _state_loss(manifest: Manifest, state: StateCopy) -> tuple[str, str]:
    if state.height == manifest.base_height:
        return (
            "Nothing can be restored without it, but what a later state of this backup has.",
            "Restore with `--state-only`, if there is a later state; make a backup in an empty directory.",
        )
    return (
        f"The copy of the state of height {state.height} is lost; the batches are not.",
        "Restore everything (without `--state-only`); make a backup in an empty directory.",
    )
