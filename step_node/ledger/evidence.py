"""What a piece of evidence proves, from nothing but its bytes.

A contradiction (DOUBLE_SIGN, CONFLICTING_PROPOSAL) is proven by two signatures. An invalid batch (INVALID_PROPOSAL,
INVALID_VOTE) is proven by one signature over the batch's hash, the header with that hash, and one proof that hangs
under the header's `proofs_root` and fails a stateless gate (docs/adr/0006-batch-identity.md). Whether the accused can
still be punished for it is `ledger.validators`' to say.
"""

from __future__ import annotations

import hashlib

import msgpack

from consensus.evidence import InvalidEvidence, check_accusation, verify_contradiction
from consensus.messages import Accusation, Evidence, EvidenceKind, Exhibit, ProofBatch
from consensus.wire import WireError, decode, encode
from step_node.batch.batch import BatchHeader, proof_leaf
from step_node.batch.merkle import root_of_path
from step_node.crypto.lines import recover_signer
from step_node.ledger.offences import Offence, OffenceKind
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless
from step_node.proofs.proof import SignedProof
from step_node.proofs.wire import from_wire_fields


def offence_in(evidence: Evidence, *, chain_id: str, parameters: Parameters) -> Offence:
    """What `evidence` proves. Pure. Raises InvalidEvidence if that is nothing."""
    if evidence.exhibit is None:
        accused = verify_contradiction(evidence, chain_id=chain_id, recover=recover_signer)
    else:
        accused = _accused_by_exhibit(evidence, evidence.exhibit, chain_id=chain_id, parameters=parameters)
    return Offence(OffenceKind(evidence.kind.value), accused, evidence.first.height, encode(evidence))


def accuse_of_invalid_batch(message: Accusation, exhibit: Exhibit) -> Evidence:
    """The evidence that `message`, which speaks for a batch, and an exhibit of that batch make."""
    kind = EvidenceKind.INVALID_PROPOSAL if isinstance(message, ProofBatch) else EvidenceKind.INVALID_VOTE
    return Evidence(kind, message, None, exhibit)


def _accused_by_exhibit(evidence: Evidence, exhibit: Exhibit, *, chain_id: str, parameters: Parameters) -> bytes:
    kind, message = evidence.kind, evidence.first
    if evidence.second is not None:
        raise InvalidEvidence(f"{kind}: needs one message and an exhibit")
    wanted = EvidenceKind.INVALID_PROPOSAL if isinstance(message, ProofBatch) else EvidenceKind.INVALID_VOTE
    if kind is not wanted:
        raise InvalidEvidence(f"{kind}: {type(message).__name__} and an exhibit do not make it")
    if message.batch_hash is None or hashlib.sha256(exhibit.header).digest() != message.batch_hash:
        raise InvalidEvidence(f"{kind}: the header is not that of the batch which the message speaks for")
    try:
        header = decode(BatchHeader, exhibit.header, bytes_max=len(exhibit.header))
    except WireError as error:
        raise InvalidEvidence(f"{kind}: the header cannot be read: {error}") from error
    if root_of_path(exhibit.proof, exhibit.path) != header.proofs_root:
        raise InvalidEvidence(f"{kind}: the proof is not one of that batch")
    proof = _proof_in(exhibit.proof)
    if proof is not None and check_stateless(proof, parameters) is None:
        raise InvalidEvidence(f"{kind}: the proof is good")
    check_accusation(kind, message, chain_id=chain_id, recover=recover_signer)
    return message.signer


def _proof_in(leaf: bytes) -> SignedProof | None:
    """The proof, or None where the bytes are not the wire form of one: no honest node has decoded such a batch."""
    try:
        proof = from_wire_fields(msgpack.unpackb(leaf))
    except (ValueError, msgpack.UnpackException):
        return None
    return proof if proof_leaf(proof) == leaf else None
