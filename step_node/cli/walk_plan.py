"""Which points of a track to prove, and when: as many as the chain's moratorium and speed rule let through.

Pure. A track was recorded at some other time; it is walked again from now on, its times divided by the speed-up. So the
proofs of it keep the track's own distances in less time: sped up by N they are N times as fast, and what is then faster
than the chain's limit would be refused, and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mesh import EARTH_RADIUS_M
from step_node.cli.track_files import TrackPoint
from step_node.client.answers import NodeRules

SPEED_MARGIN = 0.999
"""Of the limit: the plan's distances are rounded otherwise than the chain's."""


@dataclass(frozen=True, slots=True)
class Step:
    """One point to prove, so many milliseconds after the walk began."""

    point: TrackPoint
    after_ms: int


@dataclass(frozen=True, slots=True)
class WalkPlan:
    """What becomes of each point of a track: `steps` are proven, the others are left out, for one of three reasons.

    `speed_up_max` is the highest speed-up with which none is too fast; None if the track itself is.
    """

    steps: tuple[Step, ...]
    without_fix: int
    too_soon: int
    too_fast: tuple[TrackPoint, ...]
    fastest_mps: float
    """The fastest stretch between two points that could be proven in turn, at the track's own pace."""
    speed_up_max: float | None

    @property
    def seconds(self) -> float:
        """How long the walk takes."""
        return self.steps[-1].after_ms / 1000 if self.steps else 0.0


def plan_walk(points: Sequence[TrackPoint], rules: NodeRules, *, speed_up: float = 1.0) -> WalkPlan:
    """Choose from `points`, which are in the order of their times, as many as can be proven, beginning with the first.

    A point at 0, 0 is what receivers without a fix record.
    """
    with_fix = [point for point in points if abs(point.lat) >= 1e-7 or abs(point.lon) >= 1e-7]
    steps: list[Step] = []
    too_fast: list[TrackPoint] = []
    too_soon, fastest_mps = 0, 0.0
    for point in with_fix:
        if not steps:
            steps.append(Step(point, 0))
            continue
        last = steps[-1]
        after_ms = math.floor((point.time_ms - with_fix[0].time_ms) / speed_up)
        elapsed_ms = after_ms - last.after_ms
        if elapsed_ms < max(1, rules.moratorium_ms):
            too_soon += 1
            continue
        distance_m = _distance_m(last.point, point)
        if elapsed_ms <= rules.speed_horizon_ms:
            fastest_mps = max(fastest_mps, distance_m * 1000 / (point.time_ms - last.point.time_ms))
            if distance_m > rules.speed_limit_mps * SPEED_MARGIN * elapsed_ms / 1000:
                too_fast.append(point)
                continue
        steps.append(Step(point, after_ms))
    limit_mps = rules.speed_limit_mps * SPEED_MARGIN
    return WalkPlan(
        steps=tuple(steps),
        without_fix=len(points) - len(with_fix),
        too_soon=too_soon,
        too_fast=tuple(too_fast),
        fastest_mps=fastest_mps,
        speed_up_max=math.inf if fastest_mps == 0 else limit_mps / fastest_mps if fastest_mps <= limit_mps else None,
    )


def _distance_m(one: TrackPoint, other: TrackPoint) -> float:
    """The great circle, by the haversine."""
    lat, other_lat = math.radians(one.lat), math.radians(other.lat)
    lon_between = math.radians(other.lon - one.lon)
    half = math.sin((other_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(other_lat) * math.sin(lon_between / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(half)))
