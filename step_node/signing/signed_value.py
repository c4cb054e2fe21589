"""Under which kind, and as what value, the double-sign guard remembers a message of consensus; and the message again.

Kind, height, round and value say the whole message but the batch of a proposal, and so the line that is signed for it
(protocol.md §4). A remote signer is told those four alone, and makes the line itself: nobody can have it sign another.
"""

from __future__ import annotations

from consensus.messages import PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.values import TimeoutKind
from step_node.signing.history import SigningKind

HASH_BYTES = 32
VALID_ROUND_BYTES = 4


def signed_value(message: SignedMessage) -> tuple[SigningKind, bytes]:
    """The guard's kind for `message`, and the value that must be one for its height, round and kind."""
    match message:
        case ProofBatch(valid_round=valid_round, batch_hash=batch_hash):
            return SigningKind.PROPOSAL, batch_hash + valid_round.to_bytes(VALID_ROUND_BYTES, "big", signed=True)
        case PreVote(batch_hash=batch_hash):
            return SigningKind.PRE_VOTE, batch_hash or b""
        case PreCommit(batch_hash=batch_hash):
            return SigningKind.PRE_COMMIT, batch_hash or b""
        case TimeoutMessage(kind=kind):
            return SigningKind[f"TIMEOUT_{kind}"], b""


def message_of(
    kind: SigningKind,
    height: int,
    round: int,  # noqa: A002
    value: bytes,
    validator: bytes,
) -> SignedMessage | None:
    """The message of which `signed_value` is this one's, unsigned and without a batch; None if there is none.

    `height` is 1 or more, `round` 0 or more, `validator` the signer's address of 20 bytes.
    """
    if kind is SigningKind.PROPOSAL:
        if len(value) != HASH_BYTES + VALID_ROUND_BYTES:
            return None
        valid_round = int.from_bytes(value[HASH_BYTES:], "big", signed=True)
        if valid_round < -1:
            return None
        return ProofBatch(height, round, valid_round, value[:HASH_BYTES], b"", validator)
    if kind in (SigningKind.PRE_VOTE, SigningKind.PRE_COMMIT):
        if len(value) not in (0, HASH_BYTES):
            return None
        vote = PreVote if kind is SigningKind.PRE_VOTE else PreCommit
        return vote(height, round, value or None, validator)
    return None if value else TimeoutMessage(height, round, TimeoutKind(kind.removeprefix("TIMEOUT_")), validator)
