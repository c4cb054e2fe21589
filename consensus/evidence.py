"""Evidence: two signed messages of one validator that no honest validator signs both of (protocol.md §4, slashing).

Evidence with an exhibit is about the content of a batch, of which consensus knows nothing: `step_node.ledger.evidence`.
"""

from collections.abc import Callable

from consensus.messages import Accusation, Evidence, EvidenceKind, PreCommit, PreVote, ProofBatch
from consensus.state import without_batch


class InvalidEvidence(ValueError):
    """The evidence proves nothing. The message says why."""


def contradiction(one: ProofBatch | PreVote | PreCommit, other: ProofBatch | PreVote | PreCommit) -> Evidence:
    """The evidence that two contradicting messages make, in its one canonical form."""
    kind = EvidenceKind.CONFLICTING_PROPOSAL if isinstance(one, ProofBatch) else EvidenceKind.DOUBLE_SIGN
    first, second = sorted(
        (without_batch(message) if isinstance(message, ProofBatch) else message for message in (one, other)),
        key=_order,
    )
    return Evidence(kind, first, second)


def verify_contradiction(evidence: Evidence, *, chain_id: str, recover: Callable[[str, bytes], bytes]) -> bytes:
    """The address of who signed both messages: what can be seen from them alone, whoever the validators are.

    `recover(line, signature)` gives the address that signed `line` (EIP-191), or raises ValueError.

    Raises: InvalidEvidence unless both messages are of the kind, height, round and validator, differ in what they
    say, are in canonical order, carry no batch, and are signed by that validator.
    """
    first, second = _check_pair(evidence)
    if _order(first) == _order(second):
        raise InvalidEvidence(f"{evidence.kind}: the messages say the same")
    if _order(first) > _order(second):
        raise InvalidEvidence(f"{evidence.kind}: the messages must be in canonical order")
    for message in (first, second):
        check_accusation(evidence.kind, message, chain_id=chain_id, recover=recover)
    return first.signer


def check_accusation(
    kind: EvidenceKind, message: Accusation, *, chain_id: str, recover: Callable[[str, bytes], bytes]
) -> None:
    """Raises: InvalidEvidence unless `message` carries no batch and is signed by the validator that it names."""
    if isinstance(message, ProofBatch) and message.batch:
        raise InvalidEvidence(f"{kind}: a proposal in evidence must not carry its batch")
    try:
        signer = recover(message.signing_line(chain_id), message.signature)
    except ValueError as error:
        raise InvalidEvidence(f"{kind}: a signature cannot be read: {error}") from error
    if signer != message.signer:
        raise InvalidEvidence(f"{kind}: a message is not signed by 0x{message.signer.hex()}")


def _check_pair(evidence: Evidence) -> tuple[Accusation, Accusation]:
    first, second = evidence.first, evidence.second
    if second is None or evidence.exhibit is not None:
        raise InvalidEvidence(f"{evidence.kind}: needs two messages and no exhibit")
    is_proposal = evidence.kind is EvidenceKind.CONFLICTING_PROPOSAL
    wanted = is_proposal or evidence.kind is EvidenceKind.DOUBLE_SIGN
    if not wanted or type(first) is not type(second) or isinstance(first, ProofBatch) is not is_proposal:
        raise InvalidEvidence(f"{evidence.kind}: {type(first).__name__} and {type(second).__name__} do not make it")
    if (first.height, first.round) != (second.height, second.round):
        raise InvalidEvidence(f"{evidence.kind}: the messages must be of one height and round")
    if first.signer != second.signer:
        raise InvalidEvidence(f"{evidence.kind}: the messages must be of one validator")
    return first, second


def _order(message: Accusation) -> tuple[bool, bytes, int]:
    """Nil first, then by hash, then by valid round: the order of the pair, and equal for messages that say the same."""
    valid_round = message.valid_round if isinstance(message, ProofBatch) else -1
    return message.batch_hash is not None, message.batch_hash or b"", valid_round
