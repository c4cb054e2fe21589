"""Under which kind, and as what value, the double-sign guard remembers a message of consensus."""

from __future__ import annotations

from consensus.messages import PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from step_node.signing.history import SigningKind


def signed_value(message: SignedMessage) -> tuple[SigningKind, bytes]:
    """The guard's kind for `message`, and the value that must be one for its height, round and kind."""
    match message:
        case ProofBatch(valid_round=valid_round, batch_hash=batch_hash):
            return SigningKind.PROPOSAL, batch_hash + valid_round.to_bytes(4, "big", signed=True)
        case PreVote(batch_hash=batch_hash):
            return SigningKind.PRE_VOTE, batch_hash or b""
        case PreCommit(batch_hash=batch_hash):
            return SigningKind.PRE_COMMIT, batch_hash or b""
        case TimeoutMessage(kind=kind):
            return SigningKind[f"TIMEOUT_{kind}"], b""
