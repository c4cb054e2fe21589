"""The proof of a lock: the batch that a validator has locked on, and the quorum of pre-votes that it locked by.

A lock (L38, L39) is a promise about every later round. Its memory is the driver's log; this is a second one, kept
beside the signing history, for when that log is lost. The batch is in it because others may have it no more, and the
quorum because without it nobody else could pre-vote for the batch again (L28): so a network in which everybody has lost
the log goes on from its locks.
"""

from typing import Annotated

from pydantic import Field

from consensus.messages import BATCH_BYTES_MAX, Batch, BatchHash, CommitSignature, PreCommit, PreVote, Round
from consensus.state import ConsensusState
from consensus.values import VALIDATORS_MAX
from consensus.wire import UInt63, decode, encode, wire_type

PROOF_OF_LOCK_BYTES_MAX = BATCH_BYTES_MAX + 20_000
"""The largest encoded one: a batch, and the pre-votes of VALIDATORS_MAX validators."""


@wire_type
class ProofOfLock:
    """`pre_votes`: who has pre-voted `batch_hash` in `round`, sorted by validator; `batch` are the batch's bytes."""

    height: UInt63
    round: Round
    batch_hash: BatchHash
    batch: Batch
    pre_votes: Annotated[tuple[CommitSignature, ...], Field(max_length=VALIDATORS_MAX)]

    def votes(self) -> tuple[PreVote, ...]:
        """The pre-votes as they were sent."""
        return tuple(
            PreVote(self.height, self.round, self.batch_hash, entry.validator, entry.signature)
            for entry in self.pre_votes
        )


def proof_of_lock(state: ConsensusState, pre_commit: PreCommit) -> ProofOfLock | None:
    """What justifies `pre_commit`, which must be on disk before it is signed; None for nil, which locks nothing."""
    batch_hash = pre_commit.batch_hash
    if batch_hash is None or batch_hash not in state.batches:
        return None
    votes = state.round_state(pre_commit.round).pre_votes.votes_for(batch_hash)
    return ProofOfLock(
        pre_commit.height,
        pre_commit.round,
        batch_hash,
        state.batches[batch_hash],
        tuple(CommitSignature(vote.validator, vote.signature) for vote in votes),
    )


def encode_proof_of_lock(proof: ProofOfLock) -> bytes:
    """`proof` for its file."""
    return encode(proof)


def decode_proof_of_lock(data: bytes) -> ProofOfLock:
    """The proof in a file. Raises: WireError."""
    return decode(ProofOfLock, data, bytes_max=PROOF_OF_LOCK_BYTES_MAX, structure_bytes_max=PROOF_OF_LOCK_BYTES_MAX)
