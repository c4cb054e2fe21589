"""What TOO_FAST and MORATORIUM tell holds: the moment to come back, and no speed that reads as allowed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.ledger.records import Account, LastProof
from step_node.ledger.state_gates import check_movement
from step_node.mempool.movement import distance_m, earliest_ms, with_retry_at, with_speed
from step_node.parameters import Parameters
from step_node.proofs.proof import RefusalCode
from tests.support.proofs import START_MS, signed_proof

PARAMETERS = Parameters()
PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
STEPS = st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
PROOF = signed_proof()


def check(last: LastProof, lat: float, lon: float, timestamp_ms: int) -> RefusalCode | None:
    proof = PROOF._replace(lat=lat, lon=lon, timestamp_ms=timestamp_ms)
    refusal = check_movement(proof, Account(proof.account, last_proof=last), PARAMETERS)
    return None if refusal is None else refusal.code


@given(start=PLACES, step=st.one_of(STEPS, PLACES))
@settings(max_examples=300, deadline=None)
def test_from_the_moment_told_on_the_place_is_reached_and_not_much_before(
    start: tuple[float, float], step: tuple[float, float]
) -> None:
    last = LastProof(START_MS, *start)
    lat = max(-90.0, min(90.0, start[0] + step[0]))
    lon = (start[1] + step[1] + 180) % 360 - 180
    earliest = earliest_ms(last, lat, lon, PARAMETERS)
    assert START_MS < earliest <= START_MS + PARAMETERS.speed_horizon_ms + 1
    assert check(last, lat, lon, earliest) is None
    assert check(last, lat, lon, earliest + 60_000) is None
    assert check(last, lat, lon, earliest - 3) is not None


def test_a_speed_that_is_refused_never_reads_as_the_one_that_is_allowed() -> None:
    last = LastProof(START_MS - 20_000, PROOF.lat, PROOF.lon)
    # 300 m is the limit after 20 s; this is a centimetre more.
    lat = PROOF.lat + 300.02 / distance_m(last, PROOF.lat + 1, PROOF.lon)
    proof = PROOF._replace(lat=lat, timestamp_ms=START_MS)
    refusal = with_speed(check_movement(proof, Account(b"", last_proof=last), PARAMETERS), proof, last)
    assert refusal is not None
    assert refusal.code is RefusalCode.TOO_FAST
    assert refusal.details.distance_m == 300.0
    assert isinstance(refusal.details.value, float)
    assert refusal.details.value > PARAMETERS.speed_limit_mps


def test_the_moment_to_come_back_is_after_all_that_waits() -> None:
    last = LastProof(START_MS - 1_000, PROOF.lat, PROOF.lon)
    waiting = replace(last, timestamp_ms=START_MS + 30_000)
    proof = PROOF._replace(timestamp_ms=START_MS)
    refusal = check_movement(proof, Account(b"", last_proof=last), PARAMETERS)
    told = with_retry_at(refusal, proof, [last, waiting, None], PARAMETERS)
    assert told is not None
    assert told.details.retry_at_ms == START_MS + 40_000
