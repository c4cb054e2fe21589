"""The gates that depend on the ledger's state, in the protocol's order (protocol.md §2).

The same function judges a submission (against the head and the node's clock) and a batch (against the state as the
proofs before it left it, and the batch's timestamp).
"""

from __future__ import annotations

from mesh import TriangleId, unit_vector, within_distance
from step_node.explanations.details import Details
from step_node.ledger.records import Account, LastProof, Triangle, TriangleState
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

SUBDIVISION_CLICKS = 11
"""A triangle above the last level is subdivided by this click (protocol.md §3)."""

EXHAUSTION_CLICKS = 28
"""A triangle of the last level is exhausted by this click (protocol.md §3)."""

LEVEL_MAX = 21

METRES_A_DEGREE_MAX = 111_300.0
"""More than a degree of any great circle, 111,195 m, by a thousandth: the rounding of `within_distance`, some 10 nm and
one part in 10^15, cannot make up for that, so what is near by this measure is near by that one as well."""


def clicks_max(level: int) -> int:
    """The click at which a triangle of this level ends: it is subdivided by it, or exhausted (protocol.md §3)."""
    return SUBDIVISION_CLICKS if level < LEVEL_MAX else EXHAUSTION_CLICKS


def check_state_gates(
    proof: SignedProof,
    *,
    reference_time_ms: int,
    nonce_used: bool,
    account: Account | None,
    triangle: Triangle | None,
    parent: Triangle | None,
    parameters: Parameters,
) -> Refusal | None:
    """The first state gate that refuses `proof`, or None.

    `account`, `triangle` and `parent` (of the triangle, asked for above the seeded level only) are the records as they
    stand, None where there is none.
    """
    return (
        check_clock(proof, reference_time_ms, parameters)
        or _check_nonce(proof, nonce_used)
        or _check_triangle(proof.triangle, triangle, parent, parameters)
        or check_movement(proof, account, parameters)
    )


def check_clock(proof: SignedProof, reference_time_ms: int, parameters: Parameters) -> Refusal | None:
    """`CLOCK_DRIFT`: the timestamp lies too far from the reference time, either way."""
    if is_timely(proof, reference_time_ms, parameters):
        return None
    ahead_ms = proof.timestamp_ms - reference_time_ms
    if ahead_ms > parameters.clock_drift_ms:
        return Refusal(
            RefusalCode.CLOCK_DRIFT,
            f"timestamp: {ahead_ms} ms ahead of the reference time; at most {parameters.clock_drift_ms} ms are allowed",
            Details(
                value=ahead_ms,
                limit=parameters.clock_drift_ms,
                unit="ms",
                drift_ms=ahead_ms,
                retryable=True,
                retry_at_ms=proof.timestamp_ms - parameters.clock_drift_ms,
            ),
        )
    return Refusal(
        RefusalCode.CLOCK_DRIFT,
        f"timestamp: {-ahead_ms} ms old; at most {parameters.proof_max_age_ms} ms are allowed",
        Details(value=-ahead_ms, limit=parameters.proof_max_age_ms, unit="ms", drift_ms=ahead_ms),
    )


def is_timely(proof: SignedProof, reference_time_ms: int, parameters: Parameters) -> bool:
    """Whether `check_clock` lets `proof` pass, without the words: a proposer asks it of all that waits."""
    ahead_ms = proof.timestamp_ms - reference_time_ms
    return -parameters.proof_max_age_ms <= ahead_ms <= parameters.clock_drift_ms


def _check_nonce(proof: SignedProof, nonce_used: bool) -> Refusal | None:
    if nonce_used:
        return Refusal(
            RefusalCode.NONCE_REPLAY,
            f"nonce: this account has used {proof.nonce!r} already",
            Details(value=proof.nonce),
        )
    return None


def _check_triangle(
    triangle_id: TriangleId, triangle: Triangle | None, parent: Triangle | None, parameters: Parameters
) -> Refusal | None:
    if triangle_id.level > parameters.seeded_level and (parent is None or parent.state is not TriangleState.SUBDIVIDED):
        return Refusal(
            RefusalCode.TRIANGLE_NOT_FOUND,
            f"triangleId: {triangle_id.text} does not exist: levels above {parameters.seeded_level} come into being"
            " when their parent is subdivided",
            Details(value=triangle_id.level, limit=parameters.seeded_level, unit="level"),
        )
    if triangle is not None and triangle.state is not TriangleState.ACTIVE:
        return Refusal(
            RefusalCode.TRIANGLE_EXHAUSTED,
            f"triangleId: {triangle_id.text} is {triangle.state.name.lower()}; choose an active triangle",
            Details(
                value=triangle.clicks,
                limit=clicks_max(triangle_id.level),
                unit="clicks",
                state=triangle.state.name.lower(),
            ),
        )
    return None


def check_movement(proof: SignedProof, account: Account | None, parameters: Parameters) -> Refusal | None:
    """`TOO_FAST` and `MORATORIUM`: where and when `account` was last, against where and when the proof says it is."""
    if account is None or account.last_proof is None:
        return None
    last = account.last_proof
    elapsed_ms = proof.timestamp_ms - last.timestamp_ms
    if 0 < elapsed_ms <= parameters.speed_horizon_ms and _is_too_far(proof, last, elapsed_ms, parameters):
        return Refusal(
            RefusalCode.TOO_FAST,
            f"lat, lon: too far from this account's last proof, {elapsed_ms} ms before, for"
            f" {parameters.speed_limit_mps} m/s; a proof more than {parameters.speed_horizon_ms} ms after it is not"
            " compared with it",
            Details(
                limit=parameters.speed_limit_mps, unit="m/s", elapsed_ms=elapsed_ms, last_proof_at_ms=last.timestamp_ms
            ),
        )
    # At equal or falling timestamps there is no speed to speak of: "not after it at all" is the moratorium's case.
    if elapsed_ms <= 0 or elapsed_ms < parameters.moratorium_ms:
        return Refusal(
            RefusalCode.MORATORIUM,
            f"timestamp: {elapsed_ms} ms after this account's last proof; at least {parameters.moratorium_ms} ms"
            " must lie between two",
            Details(
                value=elapsed_ms,
                limit=parameters.moratorium_ms,
                unit="ms",
                elapsed_ms=elapsed_ms,
                last_proof_at_ms=last.timestamp_ms,
                retry_at_ms=last.timestamp_ms + parameters.moratorium_ms,
            ),
        )
    return None


def _is_too_far(proof: SignedProof, last: LastProof, elapsed_ms: int, parameters: Parameters) -> bool:
    # One correctly rounded division of two integers: the same bit everywhere (protocol.md §1).
    metres_max = (parameters.speed_limit_mps * elapsed_ms) / 1000
    # The way along the meridian and then along the parallel is no shorter than the great circle: whoever has time for
    # that is near enough, and no sines are needed.
    degrees = abs(proof.lat - last.lat) + abs(proof.lon - last.lon)
    if degrees * METRES_A_DEGREE_MAX <= metres_max:
        return False
    return not within_distance(unit_vector(last.lat, last.lon), unit_vector(proof.lat, proof.lon), metres_max)
