"""What the node tells of the height that it is deciding: all of it at hand, none of it changed by looking."""

from __future__ import annotations

from collections.abc import Collection

from consensus.messages import PreCommit, PreVote
from consensus.state import NO_ROUND, ConsensusState, VoteSet
from step_node.api.status.consensus import ConsensusStatus, VoterStatus
from step_node.node.health.round_diary import RoundDiary


def consensus_status(
    state: ConsensusState,
    diary: RoundDiary,
    *,
    takes_part: bool,
    own: bytes | None,
    connected: Collection[bytes],
    waiting: tuple[int, int, int],
) -> ConsensusStatus:
    """Where `state` stands. `connected` are validators' addresses (20 bytes each), and `own` that of the node's key.

    `waiting` counts proofs, operations, and pieces of evidence.
    """
    current = state.current
    proofs, operations, evidence = waiting
    return ConsensusStatus(
        height=state.height,
        round=state.round,
        step=state.step.value,
        height_since_ms=diary.height_since_ms,
        step_since_ms=diary.step_since_ms,
        proposer=state.validators.proposer(state.height, max(state.round, 0)).address,
        proposal=current.proposals[0].batch_hash if current.proposals else None,
        quorum=state.validators.quorum,
        locked_round=state.locked_round,
        locked_hash=state.locked_hash if state.locked_round != NO_ROUND else None,
        valid_round=state.valid_round,
        valid_hash=state.valid_hash if state.valid_round != NO_ROUND else None,
        takes_part=takes_part,
        waiting_proofs=proofs,
        waiting_operations=operations,
        waiting_evidence=evidence,
        voters=tuple(
            VoterStatus(
                address=validator.address,
                is_self=validator.address == own,
                is_connected=validator.address == own or validator.address in connected,
                pre_vote=_vote(current.pre_votes, validator.address),
                pre_commit=_vote(current.pre_commits, validator.address),
            )
            for validator in state.validators
        ),
    )


def _vote(votes: VoteSet[PreVote] | VoteSet[PreCommit], validator: bytes) -> bytes | None:
    """The first of the validator's votes: a hash, nothing for nil, None if there is none."""
    vote = votes.first.get(validator)
    return None if vote is None else vote.batch_hash or b""
