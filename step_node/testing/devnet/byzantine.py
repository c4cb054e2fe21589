"""A validator that misbehaves: the shipped node with one part exchanged. For devnets only.

Theory of operation. The shipped program has no switch for misbehaviour, and its guard would not let it sign twice. So
there is another program (`step_node.cli.byzantine_command`): it builds the same `Node` out of the same parts, with a
hook that changes what leaves it, or with a chain whose one method that builds a batch is another. What it signs on the
side is signed with the bare key, past the guard. Everything else (the store, gossip, sync, the API) is what honest
nodes run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from consensus.messages import Evidence, Message, PreCommit, PreVote
from step_node.batch.batch import BatchContent
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.crypto.eip191 import digest, sign_digest
from step_node.home.keys import NodeKeys
from step_node.ledger.offences import Offence
from step_node.node.node import Node
from step_node.node.parts import NodeHooks, NodeParts
from step_node.operations.operation import Operation
from step_node.proofs.proof import SignedProof
from step_node.testing.devnet.misbehaviour import Misbehaviour


class InvalidBatchChain(Chain):
    """A chain whose own batches break a stateless gate."""

    def __init__(self, chain: Chain) -> None:
        # A copy of an open chain, which then goes on in its place: opening reads the store, and the node opens it.
        self.__dict__.update(vars(chain))

    async def build(
        self,
        candidates: Sequence[SignedProof],
        *,
        round_number: int,
        proposer: bytes,
        evidence: Sequence[tuple[Evidence, Offence]] = (),
        operations: Sequence[Operation] = (),
    ) -> JudgedBatch | None:
        """As an honest node builds it, but with the signature of the last proof spoilt; its proof id stays the same."""
        judged = await super().build(
            candidates, round_number=round_number, proposer=proposer, evidence=evidence, operations=operations
        )
        if judged is None or not judged.batch.proofs:
            return judged
        batch = judged.batch
        *others, last = batch.proofs
        content = BatchContent((*others, spoilt(last)), batch.last_commit, batch.evidence, batch.operations)
        proof_ids_root, proofs_root, body_hash = content.roots()
        header = replace(batch.header, proof_ids_root=proof_ids_root, proofs_root=proofs_root, body_hash=body_hash)
        return replace(judged, batch=content.with_header(header))


def with_contrary_vote(message: Message, chain_id: str, private_key: bytes) -> Sequence[Message]:
    """The message, and after a vote its contrary: what a validator that votes twice sends."""
    if isinstance(message, PreVote | PreCommit):
        return message, contrary_vote(message, chain_id, private_key)
    return (message,)


def contrary_vote(vote: PreVote | PreCommit, chain_id: str, private_key: bytes) -> PreVote | PreCommit:
    """A vote of the same kind, height and round for a batch that nobody has, signed. The same vote gives the same."""
    other = hashlib.sha256(b"another than " + (vote.batch_hash or b"nil")).digest()
    unsigned = replace(vote, batch_hash=other, signature=b"")
    return replace(unsigned, signature=sign_digest(digest(unsigned.signing_line(chain_id)), private_key))


def spoilt(proof: SignedProof) -> SignedProof:
    """The same proof with a signature that has one bit wrong, in s."""
    signature = bytearray(proof.signature)
    signature[40] ^= 1
    return proof._replace(signature=bytes(signature))


def make_misbehaving_node(misbehaviour: Misbehaviour, keys: NodeKeys, parts: NodeParts) -> Node:
    """The node, wired. Raises ValueError for one without a validator's key, which has nothing to misbehave with."""
    if keys.validator is None:
        raise ValueError("keys: a node that misbehaves must be a validator")
    # What it signs past its own history comes back in evidence: its watch would take that for another process's.
    parts = replace(parts, doppelganger=None)
    match misbehaviour:
        case Misbehaviour.DOUBLE_SIGN:
            private_key, chain_id = keys.validator, parts.genesis.chain_id
            hooks = NodeHooks(outgoing=lambda message: with_contrary_vote(message, chain_id, private_key))
            return Node(replace(parts, hooks=hooks))
        case Misbehaviour.INVALID_BATCH:
            return Node(replace(parts, chain=InvalidBatchChain(parts.chain)))
        case Misbehaviour.SILENT:
            return Node(replace(parts, hooks=NodeHooks(outgoing=lambda _: ())))
