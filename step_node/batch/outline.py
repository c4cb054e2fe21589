"""The outline of a batch: all of it but its proofs, which are named instead of given.

Nearly all proofs of a proposal wait in every validator's mempool already. Named, a thousand have 40 KB instead of 190,
and nobody has to decode them again. What others may not have yet is enclosed. An outline proves no more than a batch
does: whoever fills it checks the header's roots, which cover every byte of every proof.

A proof's id does not cover its signature, and an account can sign one proof in many ways. So each is named by its id
and by the beginning of its signature: the proof that waits under the id may have another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from consensus.messages import BATCH_BYTES_MAX, Commit, Evidence
from consensus.wire import WireError, decode, wire_type
from step_node.batch.batch import (
    EVIDENCE_MAX,
    OPERATIONS_MAX,
    PROOFS_MAX,
    Batch,
    BatchHeader,
    MalformedBatch,
    check_roots,
)
from step_node.operations.operation import OPERATION_BYTES_MAX
from step_node.proofs.proof import PROOF_ID_BYTES, SignedProof
from step_node.proofs.wire import MalformedProof, from_wire_fields, to_wire_fields

SIGNATURE_START_BYTES = 8
"""Of each signature, to tell two of one proof apart. Who makes two that begin alike has the batch sent whole."""

NAME_BYTES = PROOF_ID_BYTES + SIGNATURE_START_BYTES


@wire_type
class Outline:
    """A batch whose proofs are named. `names` holds each proof's id and the beginning of its signature, end to end, in
    the batch's order; `enclosed` those that come along, in wire form, not looked at yet."""

    header: BatchHeader
    names: Annotated[bytes, Field(max_length=NAME_BYTES * PROOFS_MAX)]
    enclosed: Annotated[tuple[tuple[Any, ...], ...], Field(max_length=PROOFS_MAX)]
    last_commit: Commit | None
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=EVIDENCE_MAX)]
    operations: Annotated[
        tuple[Annotated[bytes, Field(max_length=OPERATION_BYTES_MAX)], ...], Field(max_length=OPERATIONS_MAX)
    ]

    @property
    def proof_ids(self) -> list[bytes]:
        """The ids of its proofs, in the batch's order."""
        return [name[:PROOF_ID_BYTES] for name in self._names()]

    def _names(self) -> list[bytes]:
        return [self.names[start : start + NAME_BYTES] for start in range(0, len(self.names), NAME_BYTES)]

    def filled(self, known: Callable[[bytes], SignedProof | None]) -> Batch | None:
        """The batch, its proofs being those enclosed and those `known` by their ids; None if one of them is lacking.

        Raises `MalformedBatch` for what no proofs can make right: a proof enclosed that is none, or roots that are not
        those of the header.
        """
        try:
            enclosed = {_name(proof): proof for proof in map(from_wire_fields, self.enclosed)}
        except MalformedProof as error:
            raise MalformedBatch(f"enclosed: {error}") from error
        proofs: list[SignedProof] = []
        for name in self._names():
            proof = enclosed.get(name) or known(name[:PROOF_ID_BYTES])
            if proof is None or _name(proof) != name:
                return None
            proofs.append(proof)
        batch = Batch(self.header, tuple(proofs), self.last_commit, self.evidence, self.operations)
        check_roots(batch)
        return batch


def outline_of(batch: Batch, *, encloses: Callable[[bytes], bool]) -> Outline:
    """The outline of `batch`, in which the proofs of which (by id) `encloses` says so come along."""
    return Outline(
        header=batch.header,
        names=b"".join(map(_name, batch.proofs)),
        enclosed=tuple(tuple(to_wire_fields(proof)) for proof in batch.proofs if encloses(proof.proof_id)),
        last_commit=batch.last_commit,
        evidence=batch.evidence,
        operations=batch.operations,
    )


def decode_outline(data: bytes) -> Outline:
    """The outline in `data`, that `consensus.wire.encode` has made. Raises `MalformedBatch`, naming field and rule."""
    try:
        outline = decode(Outline, data, bytes_max=BATCH_BYTES_MAX, structure_bytes_max=BATCH_BYTES_MAX)
    except WireError as error:
        raise MalformedBatch(str(error)) from error
    if len(outline.names) % NAME_BYTES:
        raise MalformedBatch(f"names: must have {NAME_BYTES} bytes for each proof")
    return outline


def _name(proof: SignedProof) -> bytes:
    return proof.proof_id + proof.signature[:SIGNATURE_START_BYTES]
