"""A position as a device measured it, and the duties of a client towards it (docs/clients.md).

A node can check that a signed position is well formed, near enough, slow enough. Only the client knows whether it was
measured now, or is what the operating system had lying about. So: nothing measured a while ago is signed, nor the
0, 0 that means "no fix" to many receivers; and latitude and longitude are rounded to 7 decimals (a centimetre) before
the triangle is looked up, so that what is looked up is what is signed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from step_node.client.errors import BadPosition

DECIMALS = 7
"""Of degrees: a centimetre, far below what any receiver measures."""

FIX_AGE_MS_MAX = 30_000
"""An older fix is refused as stale: ask the device for a new one."""

FIX_AHEAD_MS_MAX = 5_000
"""A fix further ahead of the device's own clock is of another clock."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a device was: degrees, the accuracy in metres, and when by the device's clock (Unix milliseconds).

    `taken_at_ms` None is now. Raises BadPosition for numbers that cannot be a position, and for 0, 0.
    """

    lat: float
    lon: float
    accuracy_m: float
    taken_at_ms: int | None = None

    def __post_init__(self) -> None:
        for field, value, limit in (("lat", self.lat, 90), ("lon", self.lon, 180)):
            if not isinstance(value, int | float) or isinstance(value, bool) or not -limit <= value <= limit:
                raise BadPosition(field, f"must be a number of degrees from {-limit} to {limit}")
        if not isinstance(self.accuracy_m, int | float) or not (0 < self.accuracy_m < math.inf):
            raise BadPosition("accuracy_m", "must be a number of metres above 0")
        if abs(self.lat) < 10**-DECIMALS and abs(self.lon) < 10**-DECIMALS:
            raise BadPosition("lat, lon", "0, 0 is what receivers tell that have no fix; wait for one")

    def rounded(self) -> Position:
        """The same to 7 decimals, as it is looked up and signed."""
        return replace(self, lat=_rounded(self.lat), lon=_rounded(self.lon))

    def check(self, *, now_ms: int, accuracy_max_m: float) -> None:
        """Raise BadPosition if the fix is stale, from the future, or less accurate than the chain allows.

        `now_ms` is the clock that `taken_at_ms` is by: the device's.
        """
        if self.accuracy_m > accuracy_max_m:
            raise BadPosition("accuracy_m", f"must be at most {accuracy_max_m:g} metres; wait for a better fix")
        if self.taken_at_ms is None:
            return
        age_ms = now_ms - self.taken_at_ms
        if age_ms > FIX_AGE_MS_MAX:
            raise BadPosition(
                "taken_at_ms",
                f"the fix is {age_ms} ms old, and must be at most {FIX_AGE_MS_MAX} ms; ask the device for a new one",
            )
        if age_ms < -FIX_AHEAD_MS_MAX:
            raise BadPosition("taken_at_ms", f"the fix is {-age_ms} ms ahead of this device's clock")


def _rounded(degrees: float) -> float:
    return round(float(degrees), DECIMALS) + 0.0  # Adding 0.0 makes -0.0 the one zero of the signed line.
