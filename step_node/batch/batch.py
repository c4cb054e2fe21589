"""The batch: header, identity, and its one encoding (protocol.md §4).

A batch's identity is the SHA-256 of its canonical header. The header commits to everything else twice over, on
purpose: `proof_ids_root` is the Merkle root with which a client can be shown that its proof is in, and `body_hash`
covers every byte of the body. Proof ids alone would not do: they cover what the client signed, but not the signature
itself, so a proposer could send one identity with a good signature to some validators and a bad one to others
(docs/adr/0006-batch-identity.md). And it commits to what the batch does for those who are in it: `receipts_root`
(`step_node.receipts`, docs/adr/0034-receipts.md), which only who executes the batch can check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import msgpack
from pydantic import Field

from consensus.messages import BATCH_BYTES_MAX, BatchHash, Commit, Evidence, Exhibit, Round
from consensus.values import Address
from consensus.wire import FIELDS_MAX, UInt63, WireError, decode, encode, wire_type
from step_node.batch.merkle import merkle_path, merkle_root
from step_node.operations.operation import FIRST_VERSION, OPERATION_BYTES_MAX, PROTOCOL_VERSION_MAX
from step_node.proofs.proof import SignedProof
from step_node.proofs.wire import MalformedProof, from_wire_fields, to_wire_fields

PROOFS_MAX = 1_000
EVIDENCE_MAX = 16
OPERATIONS_MAX = 64
RECEIPTS_MAX = PROOFS_MAX + OPERATIONS_MAX
"""Each proof and each operation of a batch has one."""
HEADER_BYTES_MAX = 1_024
"""A header of the longest chain id and the greatest numbers has some 670."""


class MalformedBatch(ValueError):
    """The bytes are no batch: the message names the field and the rule."""


def is_first_version(protocol_version: int) -> bool:
    """Whether a header leaves it out."""
    return protocol_version == FIRST_VERSION


@wire_type
class BatchHeader:
    """What is hashed into the batch's identity.

    `protocol_version` names the rules by which the batch is judged and applied (protocol.md §6).
    `state_root` is the root before the batch is applied, `receipts_root` that of what applying it gives, a tree of
    `receipts_size` leaves: a root alone does not say how many, and a path is read by how many there are (RFC 9162's
    tree heads commit to both as well).
    """

    chain_id: Annotated[str, Field(min_length=1, max_length=64)]
    height: Annotated[UInt63, Field(ge=1)]
    round: Round
    proposer: Address
    timestamp_ms: Annotated[int, Field(ge=0, lt=2**53)]
    previous_batch_hash: BatchHash
    validator_set_hash: BatchHash
    state_root: BatchHash
    proof_ids_root: BatchHash
    proofs_root: BatchHash
    receipts_root: BatchHash
    receipts_size: Annotated[int, Field(ge=0, le=RECEIPTS_MAX)]
    body_hash: BatchHash
    protocol_version: Annotated[int, Field(ge=1, le=PROTOCOL_VERSION_MAX, exclude_if=is_first_version)] = FIRST_VERSION
    """Not written where it is the first: headers of that version are what they were before there were others."""


@wire_type
class _Rest:
    """What `body_hash` covers: the body but for its proofs."""

    last_commit: Commit | None
    evidence: tuple[Evidence, ...]
    operations: tuple[bytes, ...]


@wire_type
class _Body:
    """The wire form of all that the header commits to."""

    proofs: Annotated[tuple[tuple[Any, ...], ...], Field(max_length=PROOFS_MAX)]
    last_commit: Commit | None
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=EVIDENCE_MAX)]
    operations: Annotated[
        tuple[Annotated[bytes, Field(max_length=OPERATION_BYTES_MAX)], ...], Field(max_length=OPERATIONS_MAX)
    ]


@wire_type
class _Envelope:
    header: BatchHeader
    body: _Body


def header_hash(header: BatchHeader) -> bytes:
    """The identity of the batch with this header, 32 bytes."""
    return hashlib.sha256(encode(header)).digest()


@dataclass(frozen=True)
class Batch:
    """A batch with its proofs decoded. `last_commit` finalised the batch before; None only at height 1.

    `operations` are validator operations in their wire form (`step_node.operations`), not decoded yet.
    """

    header: BatchHeader
    proofs: tuple[SignedProof, ...]
    last_commit: Commit | None
    evidence: tuple[Evidence, ...] = ()
    operations: tuple[bytes, ...] = ()

    @cached_property
    def hash(self) -> bytes:
        """The batch's identity, 32 bytes."""
        return header_hash(self.header)

    @cached_property
    def _encoded(self) -> bytes:
        return encode(_Envelope(self.header, _body_of(self)))


@dataclass(frozen=True, slots=True)
class BatchContent:
    """What a proposer puts into a batch, before its header exists."""

    proofs: tuple[SignedProof, ...]
    last_commit: Commit | None
    evidence: tuple[Evidence, ...] = ()
    operations: tuple[bytes, ...] = ()

    def roots(self) -> tuple[bytes, bytes, bytes]:
        """`(proof_ids_root, proofs_root, body_hash)` for the header: what commits to the content itself."""
        return (
            merkle_root([proof.proof_id for proof in self.proofs]),
            merkle_root(proof_leaves(self.proofs)),
            _body_hash(self),
        )

    def with_header(self, header: BatchHeader) -> Batch:
        """The finished batch."""
        return Batch(header, self.proofs, self.last_commit, self.evidence, self.operations)


def encode_batch(batch: Batch) -> bytes:
    """The batch's one encoding, at most `BATCH_BYTES_MAX` bytes for any batch that `decode_batch` accepts.

    It is made once for each `Batch`: for its proposal, and for the store.
    """
    return batch._encoded


def decode_batch(data: bytes) -> Batch:
    """The batch in `data`, its roots checked against its header.

    Raises `MalformedBatch` naming the field and the rule. Whether the batch may follow a given state is not judged
    here: see `step_node.chain.chain`.
    """
    try:
        envelope = decode(_Envelope, data, bytes_max=BATCH_BYTES_MAX, structure_bytes_max=BATCH_BYTES_MAX)
        proofs = tuple(from_wire_fields(fields) for fields in envelope.body.proofs)
    except WireError as error:
        raise MalformedBatch(str(error)) from error
    except MalformedProof as error:
        raise MalformedBatch(f"body.proofs: {error}") from error
    body = envelope.body
    batch = Batch(envelope.header, proofs, body.last_commit, body.evidence, body.operations)
    check_roots(batch)
    return batch


def check_roots(batch: Batch) -> None:
    """Raise `MalformedBatch` unless the body is the one that the header commits to."""
    if merkle_root([proof.proof_id for proof in batch.proofs]) != batch.header.proof_ids_root:
        raise MalformedBatch("header.proof_ids_root: is not the Merkle root of the proofs' ids")
    if merkle_root(proof_leaves(batch.proofs)) != batch.header.proofs_root:
        raise MalformedBatch("header.proofs_root: is not the Merkle root of the proofs")
    if _body_hash(batch) != batch.header.body_hash:
        raise MalformedBatch("header.body_hash: is not the hash of the rest of the body")


def identity_in(data: bytes) -> bytes:
    """The identity of the batch in `data`, read from its header alone: 20 µs, whatever the body holds.

    Raises `MalformedBatch` where there is no header to read. Whether the body is the one that the header commits to,
    and is one at all, `decode_batch` finds out.
    """
    header = _value_of("header", data)
    if len(header) > HEADER_BYTES_MAX:
        raise MalformedBatch(f"header: {len(header)} bytes; at most {HEADER_BYTES_MAX} are allowed")
    try:
        fields = msgpack.unpackb(header)
        read = BatchHeader(**fields)
    except (TypeError, ValueError, msgpack.UnpackException) as error:
        raise MalformedBatch(f"header: cannot be read: {error}") from error
    in_order = [name for name in BatchHeader.__dataclass_fields__ if name in fields]
    has_all = len(in_order) == len(BatchHeader.__dataclass_fields__) - is_first_version(read.protocol_version)
    if not has_all or msgpack.packb({name: fields[name] for name in in_order}) != header:
        raise MalformedBatch("header: must be in its one form: all fields, in their order, MessagePack's shortest")
    return header_hash(read)


def _value_of(key: str, data: bytes) -> bytes:
    """The bytes of one value of the outermost map, nothing of which is built."""
    wanted = msgpack.packb(key)
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(data), 1))
    unpacker.feed(data)
    try:
        for _ in range(min(unpacker.read_map_header(), FIELDS_MAX)):
            start = unpacker.tell()
            unpacker.skip()
            middle = unpacker.tell()
            unpacker.skip()
            if data[start:middle] == wanted:
                return data[middle : unpacker.tell()]
    except (ValueError, msgpack.UnpackException) as error:
        raise MalformedBatch(f"{key}: is not there: {str(error) or type(error).__name__}") from error
    raise MalformedBatch(f"{key}: is missing")


def proof_leaf(proof: SignedProof) -> bytes:
    """A proof's wire bytes: its leaf under `proofs_root`, which covers its signature as well."""
    return proof_leaves((proof,))[0]


def proof_leaves(proofs: Iterable[SignedProof]) -> list[bytes]:
    """`proof_leaf` of each, by one packer."""
    pack: Callable[[object], bytes] = msgpack.Packer().pack
    return [pack(to_wire_fields(proof)) for proof in proofs]


def exhibit_of(batch: Batch, index: int) -> Exhibit:
    """What shows to anybody that the proof at `index` is in the batch with this hash."""
    leaves = proof_leaves(batch.proofs)
    return Exhibit(encode(batch.header), leaves[index], merkle_path(leaves, index))


def _body_of(content: Batch | BatchContent) -> _Body:
    return _Body(
        proofs=tuple(tuple(to_wire_fields(proof)) for proof in content.proofs),
        last_commit=content.last_commit,
        evidence=content.evidence,
        operations=content.operations,
    )


def _body_hash(content: Batch | BatchContent) -> bytes:
    return hashlib.sha256(encode(_Rest(content.last_commit, content.evidence, content.operations))).digest()
