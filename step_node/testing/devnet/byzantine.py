"""A validator that misbehaves: the shipped node with one part exchanged, as a process of its own. For devnets only.

    python -m step_node.testing.devnet.byzantine double-sign --home DIR …        (options as of `step-node start`)

Theory of operation. The shipped program has no switch for misbehaviour, and its guard would not let it sign twice. So
this is another program: it builds the same `Node` out of the same parts and overrides what leaves it (`_broadcast`),
or the one method of the chain that builds a batch. What it signs on the side is signed with the bare key, past the
guard. Everything else (the store, gossip, sync, the API) is what honest nodes run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from consensus.messages import Evidence, Message, PreCommit, PreVote
from step_node.batch.batch import BatchContent
from step_node.chain.chain import Chain, JudgedBatch
from step_node.crypto.eip191 import digest, sign_digest
from step_node.ledger.offences import Offence
from step_node.node.node import Node, NodeParts
from step_node.node.opening import NodeKeys, StartOptions
from step_node.operations.operation import Operation
from step_node.proofs.proof import SignedProof
from step_node.testing.devnet.misbehaviour import Misbehaviour


class DoubleSigningNode(Node):
    """Votes as an honest node would, and then says the contrary."""

    def __init__(self, parts: NodeParts, private_key: bytes) -> None:
        super().__init__(parts)
        self._private_key = private_key

    async def _broadcast(self, message: Message) -> None:
        await super()._broadcast(message)
        if isinstance(message, PreVote | PreCommit):
            await super()._broadcast(contrary_vote(message, self._chain.chain_id, self._private_key))


class SilentNode(Node):
    """Follows the chain and takes no part in it."""

    async def _broadcast(self, message: Message) -> None:
        del message


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


def contrary_vote(vote: PreVote | PreCommit, chain_id: str, private_key: bytes) -> PreVote | PreCommit:
    """A vote of the same kind, height and round for a batch that nobody has, signed. The same vote gives the same."""
    other = hashlib.sha256(b"another than " + (vote.batch_hash or b"nil")).digest()
    unsigned = replace(vote, batch_hash=other, signature=b"")
    return replace(unsigned, signature=sign_digest(digest(unsigned.signing_line(chain_id)), private_key))


def spoilt(proof: SignedProof) -> SignedProof:
    """The same proof with a signature that has one bit wrong, in s."""
    signature = bytearray(proof.signature)
    signature[40] ^= 1
    return replace(proof, signature=bytes(signature))


def make_misbehaving_node(misbehaviour: Misbehaviour, keys: NodeKeys, parts: NodeParts) -> Node:
    """The node, wired. Raises ValueError for one without a validator's key, which has nothing to misbehave with."""
    if keys.validator is None:
        raise ValueError("keys: a node that misbehaves must be a validator")
    match misbehaviour:
        case Misbehaviour.DOUBLE_SIGN:
            return DoubleSigningNode(parts, keys.validator)
        case Misbehaviour.INVALID_BATCH:
            return Node(replace(parts, chain=InvalidBatchChain(parts.chain)))
        case Misbehaviour.SILENT:
            return SilentNode(parts)


def main(
    misbehaviour: Annotated[Misbehaviour, typer.Argument()],
    home: Annotated[Path, typer.Option()],
    password_file: Annotated[Path | None, typer.Option()] = None,
    stop_with_stdin: Annotated[bool, typer.Option("--stop-with-stdin")] = False,
) -> None:
    """Run a validator that misbehaves, until a signal."""
    from step_node.cli.start_command import run_home

    run_home(
        home,
        password_file,
        options=StartOptions(),
        stop_with_stdin=stop_with_stdin,
        make_node=lambda keys, parts: make_misbehaving_node(misbehaviour, keys, parts),
    )


if __name__ == "__main__":
    typer.run(main)
