"""What is asked of a batch before it may follow a head, as pure functions: its header, its content, what it does.

Whether its last commit and its proofs are signed rightly, `step_node.chain.chain` asks, which knows what this node has
verified already.
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.evidence import InvalidEvidence
from consensus.messages import Commit
from consensus.values import ValidatorSet
from step_node.batch.batch import Batch, BatchHeader
from step_node.ledger.apply import BatchRefused, LedgerInput, LedgerTransition, apply_batch
from step_node.ledger.commitment import state_root
from step_node.ledger.evidence import offence_in
from step_node.ledger.offences import Offence
from step_node.ledger.state import StateHead, StateSlice
from step_node.operations.operation import Operation, OperationRefused, decode_operation, verify_operation
from step_node.parameters import Parameters
from step_node.receipts.leaves import operation_receipt_leaves, receipts_tree


class InvalidBatch(ValueError):
    """The batch may not follow the head. The message names the field and the rule.

    Where anyone could see it from the batch's proofs alone, proposing it is misbehaviour, and `bad_proof` is the index
    of the first such proof.
    """

    def __init__(self, message: str, *, bad_proof: int | None = None) -> None:
        super().__init__(message)
        self.bad_proof = bad_proof


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A batch found valid, with what it does to the state it extends."""

    batch: Batch
    transition: LedgerTransition


def check_header(header: BatchHeader, *, chain_id: str, head: StateHead, validators: ValidatorSet) -> None:
    """Whether the header is one of the batch after `head`, by `validators`' proposer. Raises `InvalidBatch`."""
    _require_equal(
        ("chain_id", header.chain_id, chain_id),
        ("protocol_version", header.protocol_version, head.protocol.version),
        ("height", header.height, head.chain.height + 1),
        ("proposer", header.proposer, validators.proposer(header.height, header.round).address),
        ("previous_batch_hash", header.previous_batch_hash, head.chain.batch_hash),
        ("validator_set_hash", header.validator_set_hash, validators.hash),
        ("state_root", header.state_root, state_root(head.lanes)),
    )
    if header.timestamp_ms <= head.chain.timestamp_ms:
        raise InvalidBatch(f"timestamp_ms: must be above the last batch's, {head.chain.timestamp_ms}")


def check_freshness(header: BatchHeader, *, proposed_in_round: int | None, now_ms: int, parameters: Parameters) -> None:
    """Whether a batch that is proposed for the first time was built for that, now. Raises `InvalidBatch`.

    A proposal may have been long on its way, but none can come before it was made: so behind the clock much is allowed,
    and ahead of it only what honest clocks differ by (docs/adr/0022-batch-time.md).
    """
    if header.round != proposed_in_round:
        raise InvalidBatch(f"round: a batch proposed for the first time must be of round {proposed_in_round}")
    ahead_ms = header.timestamp_ms - now_ms
    if ahead_ms > parameters.batch_ahead_ms:
        raise InvalidBatch(
            f"timestamp_ms: {ahead_ms} ms ahead of this node's clock; at most {parameters.batch_ahead_ms} are allowed"
        )
    if -ahead_ms > parameters.clock_drift_ms:
        raise InvalidBatch(
            f"timestamp_ms: {-ahead_ms} ms behind this node's clock; at most {parameters.clock_drift_ms} are allowed"
        )


def check_content(batch: Batch, parameters: Parameters) -> None:
    """Whether it holds something, and not too much. Raises `InvalidBatch`."""
    if not (batch.proofs or batch.evidence or batch.operations):
        raise InvalidBatch("proofs: a batch must hold at least one proof, piece of evidence or operation")
    if len(batch.proofs) > parameters.batch_max_proofs:
        raise InvalidBatch(f"proofs: {len(batch.proofs)}; at most {parameters.batch_max_proofs} are allowed")


def accusations_and_operations(
    batch: Batch, *, chain_id: str, parameters: Parameters
) -> tuple[tuple[Offence, ...], tuple[Operation, ...]]:
    """What the batch's evidence proves, and its operations, all signatures checked. Raises `InvalidBatch`."""
    offences, operations = [], []
    for index, piece in enumerate(batch.evidence):
        try:
            offences.append(offence_in(piece, chain_id=chain_id, parameters=parameters))
        except InvalidEvidence as error:
            raise InvalidBatch(f"evidence: evidence {index}: {error}") from error
    for index, encoded in enumerate(batch.operations):
        try:
            operation = decode_operation(encoded)
            verify_operation(operation, chain_id)
        except OperationRefused as error:
            raise InvalidBatch(f"operations: operation {index}: {error}") from error
        operations.append(operation)
    return tuple(offences), tuple(operations)


def apply_judged(
    state: StateSlice, batch: Batch, offences: tuple[Offence, ...], operations: tuple[Operation, ...]
) -> JudgedBatch:
    """What the batch does to `state`. Raises `InvalidBatch` where the ledger refuses it, or pays otherwise than its
    header says."""
    if state.head.chain.height != batch.header.height - 1:
        raise InvalidBatch(f"height: {batch.header.height} has been finalised meanwhile")
    ledger_input = LedgerInput(
        timestamp_ms=batch.header.timestamp_ms,
        proposer=batch.header.proposer,
        signers=signers_of(batch.last_commit),
        proofs=batch.proofs,
        batch_hash=batch.hash,
        offences=offences,
        operations=operations,
    )
    try:
        transition = apply_batch(state, ledger_input)
    except BatchRefused as error:
        raise InvalidBatch(f"{error.field}: {error}") from error
    leaves = operation_receipt_leaves(batch.header.chain_id, operations, transition.operation_receipts)
    root, size = receipts_tree(leaves, transition.receipts)
    _require_equal(
        ("receipts_root", batch.header.receipts_root, root), ("receipts_size", batch.header.receipts_size, size)
    )
    return JudgedBatch(batch, transition)


def signers_of(commit: Commit | None) -> tuple[bytes, ...]:
    """The addresses whose pre-commits are in it; none of no commit."""
    return () if commit is None else tuple(signature.validator for signature in commit.signatures)


def _require_equal(*expected: tuple[str, object, object]) -> None:
    """Of each field's name, what stands in the header, and what must."""
    for field, found, rule in expected:
        if found != rule:
            raise InvalidBatch(f"{field}: must be {_show(rule)}, not {_show(found)}")


def _show(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else repr(value)
