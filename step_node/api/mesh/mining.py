"""From when on an account may prove in a triangle, by what is final (protocol.md §2, the gates of movement)."""

from __future__ import annotations

from math import ceil
from typing import Final

from mesh import EARTH_RADIUS_M, TriangleId, corners, unit_vector
from mesh.regions import distance_to_corners_rad
from step_node.ledger.records import Account
from step_node.parameters import Parameters

MS_A_SECOND: Final = 1_000


def may_mine_from_ms(account: Account | None, triangle: TriangleId, parameters: Parameters) -> int:
    """The earliest timestamp of a proof of `account` in `triangle`, which is active: at its point nearest to the last.

    Milliseconds since the Unix epoch; 0 where there is nothing to wait for. The distance is measured for display, so
    the gate may ask for a millisecond more.
    """
    if account is None or account.last_proof is None:
        return 0
    last = account.last_proof
    distance_m = distance_to_corners_rad(unit_vector(last.lat, last.lon), corners(triangle)) * EARTH_RADIUS_M
    travel_ms = ceil(distance_m * MS_A_SECOND / parameters.speed_limit_mps)
    # Beyond the horizon the last proof is not compared.
    return last.timestamp_ms + max(parameters.moratorium_ms, min(travel_ms, parameters.speed_horizon_ms + 1))
