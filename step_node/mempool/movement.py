"""The figures behind `TOO_FAST` and `MORATORIUM`, for people and programs: how far, how fast, and from when on.

The gates decide without them (`ledger.state_gates`): nothing here has to have the same bits everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from mesh import EARTH_RADIUS_M, unit_vector
from step_node.ledger.records import LastProof
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

MOVEMENT_CODES = (RefusalCode.TOO_FAST, RefusalCode.MORATORIUM)


def distance_m(one: LastProof, lat: float, lon: float) -> float:
    """Metres on the great circle between a place and another (degrees), good to a centimetre or so."""
    chord = math.dist(unit_vector(one.lat, one.lon), unit_vector(lat, lon))
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, chord / 2))


def earliest_ms(last: LastProof, lat: float, lon: float, parameters: Parameters) -> int:
    """From when on a proof of this place (degrees) passes both gates after `last`; at most 2 ms late."""
    # The gate's division may round down by a bit, and the distance here is not the gate's.
    travel_ms = math.ceil(distance_m(last, lat, lon) * 1_000 / parameters.speed_limit_mps) + 1
    return last.timestamp_ms + max(parameters.moratorium_ms, min(travel_ms, parameters.speed_horizon_ms + 1), 1)


def with_speed(refusal: Refusal | None, proof: SignedProof, last: LastProof | None) -> Refusal | None:
    """`refusal` of `proof`, which was compared with `last`, with distance and speed if it is `TOO_FAST`."""
    if refusal is None or last is None or refusal.code is not RefusalCode.TOO_FAST:
        return refusal
    metres = distance_m(last, proof.lat, proof.lon)
    elapsed_ms = abs(proof.timestamp_ms - last.timestamp_ms)
    # Rounded up: no speed that is refused reads as the one that is allowed.
    speed_mps = math.ceil(metres * 100_000 / elapsed_ms) / 100
    return replace(refusal, details=refusal.details._replace(value=speed_mps, distance_m=round(metres, 1)))


def with_retry_at(
    refusal: Refusal | None, proof: SignedProof, after: Iterable[LastProof | None], parameters: Parameters
) -> Refusal | None:
    """`refusal` with the moment from which a new proof of the same place passes both gates after all these."""
    if refusal is None or refusal.code not in MOVEMENT_CODES:
        return refusal
    moments = [earliest_ms(last, proof.lat, proof.lon, parameters) for last in after if last is not None]
    return replace(refusal, details=refusal.details._replace(retry_at_ms=max(moments))) if moments else refusal
