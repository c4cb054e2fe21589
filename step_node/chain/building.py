"""Building the batch that a validator proposes, as a pure function of the state and of what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consensus.messages import Commit, Evidence
from consensus.values import ValidatorSet
from step_node.batch.batch import EVIDENCE_MAX, OPERATIONS_MAX, BatchContent, BatchHeader
from step_node.chain.judging import JudgedBatch, signers_of
from step_node.ledger.apply import LedgerTransition, begin_execution
from step_node.ledger.commitment import state_root
from step_node.ledger.offences import Offence, Slashing
from step_node.ledger.state import Receipt, StateSlice
from step_node.operations.operation import Operation, encode_operation
from step_node.proofs.proof import Refusal, SignedProof
from step_node.receipts.leaves import operation_receipt_leaves, receipts_tree


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What a proposer wants a batch to be made of; the signatures of all of it have been checked."""

    chain_id: str
    round: int
    proposer: bytes
    timestamp_ms: int
    validators: ValidatorSet
    last_commit: Commit | None
    candidates: Sequence[SignedProof]
    evidence: Sequence[tuple[Evidence, Offence]] = ()
    operations: Sequence[Operation] = ()


def build_batch(state: StateSlice, plan: BatchPlan) -> JudgedBatch | None:
    """A batch of those candidates that can follow `state`'s head, in their order; None if none can.

    It takes `batch_max_proofs`, `EVIDENCE_MAX` and `OPERATIONS_MAX` at most; what comes later is left for another.
    Pure; some 50 µs a proof.
    """
    head, proofs_max = state.head, state.head.parameters.batch_max_proofs
    execution = begin_execution(state, timestamp_ms=plan.timestamp_ms, signers=signers_of(plan.last_commit))
    evidence = tuple(
        piece for piece, offence in plan.evidence[:EVIDENCE_MAX] if isinstance(execution.try_offence(offence), Slashing)
    )
    operations = tuple(
        operation for operation in plan.operations[:OPERATIONS_MAX] if execution.try_operation(operation) is None
    )
    proofs: list[SignedProof] = []
    receipts: list[Receipt] = []
    for proof in plan.candidates:
        if len(proofs) == proofs_max:
            break
        outcome = execution.try_proof(proof, len(proofs))
        if not isinstance(outcome, Refusal):
            proofs.append(proof)
            receipts.append(outcome)
    if not (proofs or evidence or operations):
        return None
    content = BatchContent(tuple(proofs), plan.last_commit, evidence, tuple(map(encode_operation, operations)))
    proof_ids_root, proofs_root, body_hash = content.roots()
    operation_leaves = operation_receipt_leaves(plan.chain_id, operations, execution.operation_receipts)
    receipts_root, receipts_size = receipts_tree(operation_leaves, receipts)
    batch = content.with_header(
        BatchHeader(
            chain_id=plan.chain_id,
            protocol_version=head.protocol.version,
            height=head.chain.height + 1,
            round=plan.round,
            proposer=plan.proposer,
            timestamp_ms=plan.timestamp_ms,
            previous_batch_hash=head.chain.batch_hash,
            validator_set_hash=plan.validators.hash,
            state_root=state_root(head.lanes),
            proof_ids_root=proof_ids_root,
            proofs_root=proofs_root,
            receipts_root=receipts_root,
            receipts_size=receipts_size,
            body_hash=body_hash,
        )
    )
    changes = execution.close(batch_hash=batch.hash, proposer=plan.proposer)
    return JudgedBatch(batch, LedgerTransition.of(head, changes, receipts, execution))
