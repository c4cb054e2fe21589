"""A state as chunks of records: cutting it up, and putting it together again under check.

Both sides add up the state's commitment as the records pass by. The writer holds it against the store's own, so a node
whose store has gone bad serves nothing; the reader holds it against the header that a quorum has committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from consensus.messages import Commit
from consensus.wire import decode
from step_node.batch.batch import BatchHeader
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.ledger.commitment import EMPTY_LANES, commit_encoded, state_root
from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.records import (
    Account,
    ChainRecord,
    NonceRecord,
    ParametersRecord,
    Record,
    Triangle,
    ValidatorRecord,
    records_bytes,
)
from step_node.ledger.state import StateHead
from step_node.parameters import Parameters
from step_node.snapshot.manifest import CHUNK_BYTES_MAX, CHUNKS_MAX, SnapshotIndex, chunk_hash
from step_node.snapshot.records import InvalidSnapshot, Place, read_records
from step_node.storage.interface import RecordSink, StoredBatch, StoredRecord


class ChunkWriter(RecordSink):
    """Cuts the records of an export into chunks. `write(index, chunk)` keeps them; it may block.

    `Storage.export(writer)`, then `finish`.
    """

    def __init__(self, write: Callable[[int, bytes], None], chunk_bytes: int = CHUNK_BYTES_MAX) -> None:
        self._write = write
        self._chunk_bytes = chunk_bytes
        self._head: StateHead | None = None
        self._base: StoredBatch | None = None
        self._lanes = EMPTY_LANES
        self._records = 0
        self._hashes: list[bytes] = []
        self._pending = bytearray()

    @property
    def lanes(self) -> bytes:
        """The commitment of the records so far, 2,048 bytes."""
        return self._lanes

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        """Raises `ValueError` at height 0."""
        if base is None:
            raise ValueError("the chain stands at height 0: there is no batch that a snapshot could be checked against")
        self._restart()
        self._head, self._base = head, base
        self.add(head.records)

    def add(self, records: Sequence[Record]) -> None:
        """Raises `InvalidSnapshot` when the state is larger than a snapshot can be."""
        encoded = records_bytes(records)
        self._lanes = commit_encoded(self._lanes, encoded)
        self._records += len(encoded)
        for one in encoded:
            if len(self._pending) + len(one) > self._chunk_bytes:
                self._flush()
            self._pending += one

    def finish(self) -> SnapshotIndex:
        """What the snapshot is. Raises `InvalidSnapshot` when the records do not add up to the store's commitment."""
        self._flush()
        if self._head is None or self._base is None or self._lanes != self._head.lanes:
            raise InvalidSnapshot("the store's records do not add up to its state root")
        return SnapshotIndex(
            height=self._base.height,
            base_batch=self._base.batch,
            base_commit=decode(Commit, self._base.commit, bytes_max=COMMIT_BYTES_MAX),
            records=self._records,
            chunks=tuple(self._hashes),
        )

    def _restart(self) -> None:
        self._lanes = EMPTY_LANES
        self._records = 0
        self._hashes.clear()
        self._pending.clear()

    def _flush(self) -> None:
        if len(self._hashes) == CHUNKS_MAX:
            raise InvalidSnapshot(f"the state is larger than {CHUNKS_MAX} chunks")
        chunk = bytes(self._pending)
        self._write(len(self._hashes), chunk)
        self._hashes.append(chunk_hash(chunk))
        self._pending.clear()


class ChunkReader:
    """Checks the chunks of a snapshot, in order, and finds its head. `base` is the checked header of its height."""

    def __init__(self, index: SnapshotIndex, base: BatchHeader) -> None:
        self._index = index
        self._base = base
        self._chunks = 0
        self._records = 0
        self._last: Place | None = None
        self._lanes = EMPTY_LANES
        self._chain: ChainRecord | None = None
        self._parameters: ParametersRecord | None = None
        self._protocol = ProtocolRecord()
        self._validators: list[ValidatorRecord] = []

    def read(self, chunk: bytes) -> None:
        """Take the next chunk. Raises `InvalidSnapshot`."""
        if chunk_hash(chunk) != self._index.chunks[self._chunks]:
            raise InvalidSnapshot(f"chunk {self._chunks}: is not the one that the manifest lists")
        records, encoded, self._last = read_records(chunk, self._last)
        self._lanes = commit_encoded(self._lanes, encoded)
        self._chunks += 1
        self._records += len(records)
        for record in records:
            match record:
                case ChainRecord():
                    self._chain = record
                case ParametersRecord():
                    self._parameters = record
                case ProtocolRecord():
                    self._protocol = record
                case ValidatorRecord():
                    self._validators.append(record)

    def finish(self, next_header: BatchHeader) -> StateHead:
        """The state's head, when all chunks have been read and add up. Raises `InvalidSnapshot`."""
        return self.finish_at(
            next_header.state_root,
            next_header.previous_batch_hash,
            whose=f"the state root that batch {next_header.height} carries",
        )

    def finish_at(self, root: bytes, base_hash: bytes, *, whose: str) -> StateHead:
        """As `finish`, for a reader who knows the root (`whose` says of what) and the hash of the base batch."""
        if self._chunks != len(self._index.chunks) or self._records != self._index.records:
            raise InvalidSnapshot("records: there are not as many as the manifest says")
        if state_root(self._lanes) != root:
            raise InvalidSnapshot(f"the records do not add up to {whose}")
        chain, parameters = self._chain, self._parameters
        if chain is None or parameters is None:
            raise InvalidSnapshot("records: the chain's own, or the parameters, are missing")
        if (chain.height, chain.batch_hash) != (self._base.height, base_hash):
            raise InvalidSnapshot("records: the chain's own is of another height")
        return StateHead(
            chain=chain,
            parameters=Parameters.model_validate_json(parameters.canonical_json),
            validators=tuple(self._validators),
            protocol=self._protocol,
            lanes=self._lanes,
        )


def stored_records(chunks: Iterator[bytes]) -> Iterator[list[StoredRecord]]:
    """The accounts, triangles and nonces of chunks that have been checked before, chunk by chunk."""
    for chunk in chunks:
        records, _, _ = read_records(chunk, None)
        yield [record for record in records if isinstance(record, Account | Triangle | NonceRecord)]
