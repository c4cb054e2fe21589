"""What the ledger's gates say of a proof that waits: now, and for good. Pure."""

from __future__ import annotations

from step_node.ledger.state import StateSlice
from step_node.ledger.state_gates import check_state_gates
from step_node.mempool.movement import with_retry_at, with_speed
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof


def refusal_at(proof: SignedProof, state: StateSlice, reference_time_ms: int) -> Refusal | None:
    """Why a batch of that time, on top of `state`, could not hold `proof`; None if it could."""
    parent = proof.triangle.parent_integer
    account = state.accounts[proof.account]
    last = None if account is None else account.last_proof
    refusal = check_state_gates(
        proof,
        reference_time_ms=reference_time_ms,
        nonce_used=state.nonces[proof.account, proof.nonce] is not None,
        account=account,
        triangle=state.triangles[proof.triangle.integer],
        parent=None if parent is None else state.triangles[parent],
        parameters=state.head.parameters,
    )
    return with_retry_at(with_speed(refusal, proof, last), proof, [last], state.head.parameters)


def refusal_for_good(proof: SignedProof, state: StateSlice) -> Refusal | None:
    """Why no later batch can hold `proof` either, or None.

    Batches move on in time and never come back, so against the *finalised* state these verdicts are for good: a proof
    older than the window, a used nonce, a triangle that is no longer active, an account that has since been proven
    elsewhere or later. (Speed obeys the triangle inequality: what is too far from the last proof is too far from every
    proof that could follow it first.) A timestamp ahead of the clock, or a triangle whose parent is not subdivided yet,
    may come right.
    """
    # A proof that is ahead of the chain is judged as of its own time: the other gates do not ask for the time, and what
    # they refuse now they refuse then.
    earliest_ms = max(state.head.chain.timestamp_ms + 1, proof.timestamp_ms)
    refusal = refusal_at(proof, state, earliest_ms)
    return None if refusal is not None and refusal.code is RefusalCode.TRIANGLE_NOT_FOUND else refusal
