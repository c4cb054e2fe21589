"""What a running node says of the height that it is deciding: plain values, for operators."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VoterStatus:
    """A member of the set, and what this node has of it in the present round.

    A vote is the hash (32 bytes) of the batch that it is for, empty bytes for nil, or None while there is none.
    """

    address: bytes
    is_self: bool
    is_connected: bool
    """Whether it is this node or a connected peer."""
    pre_vote: bytes | None
    pre_commit: bytes | None


@dataclass(frozen=True, slots=True)
class ConsensusStatus:
    """The height that is being decided. A round of -1 is none: nothing waits (`round`), nothing is locked or valid."""

    height: int
    round: int
    step: str
    height_since_ms: int
    """When this node began the height, by its clock; for one that has just started, when it did that."""
    step_since_ms: int
    """When this step was come to."""
    proposer: bytes
    """Of the present round; of round 0, where none has begun."""
    proposal: bytes | None
    """The hash of the batch that it proposes, once that is here."""
    quorum: int
    locked_round: int
    locked_hash: bytes | None
    valid_round: int
    valid_hash: bytes | None
    takes_part: bool
    """Whether consensus is at work here; a validator that is behind only follows."""
    waiting_proofs: int
    waiting_operations: int
    waiting_evidence: int
    voters: tuple[VoterStatus, ...]
