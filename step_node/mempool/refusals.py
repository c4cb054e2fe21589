"""What admission itself refuses, beside the gates and the mempool: before a proof is looked at, or for want of time."""

from __future__ import annotations

from step_node.explanations.details import Details
from step_node.mempool.backlog import BACKLOG_SECONDS
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

WAITING_PART_OF_AGE = 100
"""A proof that is handed in must have time left to wait in: `BACKLOG_SECONDS`, the finality that clients can count on,
or this part of the greatest age where that is less. What is older would be taken in to be dropped."""

STOPPING = Refusal(RefusalCode.NOT_READY, "the node is stopping; submit to another node", Details(gate="stopping"))


def too_many(waiting: int) -> Refusal:
    """As many wait as the chain keeps up with."""
    return Refusal(
        RefusalCode.MEMPOOL_FULL,
        f"{waiting} proofs wait already, as many as the chain finalises in {BACKLOG_SECONDS} seconds; try again later",
        Details(gate="backlog", value=waiting, unit="proofs"),
    )


def too_early(begins_in_ms: int, now_ms: int) -> Refusal:
    """The chain has not begun."""
    return Refusal(
        RefusalCode.NOT_READY,
        f"the chain begins in {begins_in_ms} ms; submit a proof made then",
        Details(gate="genesis_time", value=begins_in_ms, unit="ms", retryable=False, retry_at_ms=now_ms + begins_in_ms),
    )


def queue_full(submissions_max: int) -> Refusal:
    """As many submissions are on their way in as may be."""
    return Refusal(
        RefusalCode.MEMPOOL_FULL,
        f"{submissions_max} submissions wait already; try again in a second",
        Details(gate="queue", value=submissions_max, limit=submissions_max, unit="submissions"),
    )


def check_time_left(proof: SignedProof, time_ms: int, parameters: Parameters) -> Refusal | None:
    """Why a client cannot be promised that `proof` waits: it would soon be too old for any batch."""
    age_ms = time_ms - proof.timestamp_ms
    waiting_ms = min(1_000 * BACKLOG_SECONDS, parameters.proof_max_age_ms // WAITING_PART_OF_AGE)
    limit_ms = parameters.proof_max_age_ms - waiting_ms
    if age_ms <= limit_ms:
        return None
    return Refusal(
        RefusalCode.CLOCK_DRIFT,
        f"timestamp: {age_ms} ms old; to be final before it is {parameters.proof_max_age_ms} ms old, it may have at"
        f" most {limit_ms} ms when it is handed in",
        Details(value=age_ms, limit=limit_ms, unit="ms", drift_ms=-age_ms),
    )
