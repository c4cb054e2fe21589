"""How people move, drawn from what was measured of them.

- How far from home the places are that one goes to: P(r) ~ (r + 1.5 km)^-1.75 exp(-r / k), with a cut-off k of one's
  own, which is as unevenly spread: P(k) ~ (k + 5.8 km)^-1.65 exp(-k / 350 km). González, Hidalgo and Barabási,
  "Understanding individual human mobility patterns", Nature 453 (2008), 779-782: 100,000 phones through six months.
- How often each of them: the one of rank n as n^-1.2. Song, Koren, Wang and Barabási, "Modelling the scaling properties
  of human mobility", Nature Physics 6 (2010), 818-823.
- How fast on foot: 1.34 m/s, with a deviation of 0.2 m/s. Bohannon and Williams Andrews, "Normal walking speed: a
  descriptive meta-analysis", Physiotherapy 97 (2011), 182-189, gives 1.0 to 1.4 m/s by age and sex.
- How densely they live: ever less by exp(-r / s) from a city's centre. Clark, "Urban population densities", Journal of
  the Royal Statistical Society A 114 (1951), 490-496.

Distances are in metres, angles in radians, places in degrees. Whatever is random comes from the generator handed in.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

METRES_PER_DEGREE: Final = 111_195.0
LAT_LIMIT: Final = 89.0
"""Nobody goes nearer to a pole, where a degree of longitude is next to nothing."""

DISPLACEMENT_OFFSET_M: Final = 1_500.0
DISPLACEMENT_EXPONENT: Final = 1.75
RANGE_OFFSET_M: Final = 5_800.0
RANGE_EXPONENT: Final = 1.65
RANGE_CUTOFF_M: Final = 350_000.0
RANGE_LEAST_M: Final = 500.0
VISITS_EXPONENT: Final = 1.2
WALKING_MPS: Final = 1.34
WALKING_DEVIATION_MPS: Final = 0.2
DETOUR_SHARE: Final = 0.6
"""How far one gets on a walk, of what one walks."""
GPS_DEVIATION_M: Final = 6.0
CITY_SCALE: Final = 3.0
"""A city's density falls by e in its radius over this."""


def tapered_power_law(
    random: np.random.Generator, count: int, *, offset_m: float, exponent: float, cutoff_m: Floats | float
) -> Floats:
    """Distances that exceed r with a probability of ((r + offset) / offset)^(1 - exponent) exp(-r / cutoff).

    That is the smaller of a power law and an exponential one, so it is drawn as that (Kagan's tapered Pareto).
    """
    power = offset_m * ((1.0 - random.random(count)) ** (-1.0 / (exponent - 1.0)) - 1.0)
    return np.minimum(power, random.exponential(cutoff_m, count))


def personal_ranges_m(random: np.random.Generator, count: int) -> Floats:
    """How far each of `count` people gets around: the cut-off of his displacements."""
    drawn = tapered_power_law(random, count, offset_m=RANGE_OFFSET_M, exponent=RANGE_EXPONENT, cutoff_m=RANGE_CUTOFF_M)
    return np.maximum(drawn, RANGE_LEAST_M)


def displacements_m(random: np.random.Generator, cutoffs_m: Floats) -> Floats:
    """How far from home a place is, one for each cut-off."""
    return tapered_power_law(
        random,
        len(cutoffs_m),
        offset_m=DISPLACEMENT_OFFSET_M,
        exponent=DISPLACEMENT_EXPONENT,
        cutoff_m=cutoffs_m,
    )


def ranks_visited(random: np.random.Generator, count: int, places: int, exponent: float = VISITS_EXPONENT) -> Integers:
    """Which of `places` is gone to, `count` times: 0 most often."""
    weights = np.arange(1, places + 1, dtype=np.float64) ** -exponent
    steps = np.cumsum(weights)
    found: Integers = np.searchsorted(steps, random.random(count) * steps[-1]).astype(np.int64)
    return np.minimum(found, places - 1)


def from_centre(random: np.random.Generator, count: int, radius_m: float) -> tuple[Floats, Floats]:
    """Where people live, as metres to the north and east of a city's centre."""
    # In the plane such a density has distances by 1 - (1 + x) exp(-x), x in scales; no one lives beyond the radius.
    scales = np.linspace(0.0, CITY_SCALE, 256)
    shares = 1.0 - (1.0 + scales) * np.exp(-scales)
    return towards(random, np.interp(random.random(count) * shares[-1], shares, scales) * radius_m / CITY_SCALE)


def within_disc(random: np.random.Generator, count: int, radius_m: float) -> tuple[Floats, Floats]:
    """Places anywhere in a disc, each as likely as another."""
    return towards(random, radius_m * np.sqrt(random.random(count)))


def towards(random: np.random.Generator, distances_m: Floats) -> tuple[Floats, Floats]:
    """So far in whatever direction: metres to the north and to the east."""
    headings = random.uniform(0.0, 2.0 * math.pi, len(distances_m))
    return distances_m * np.cos(headings), distances_m * np.sin(headings)


def anywhere(random: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of places anywhere on the globe, each area as likely as another of its size."""
    lats = np.degrees(np.arcsin(random.uniform(-1.0, 1.0, count)))
    return np.clip(lats, -LAT_LIMIT, LAT_LIMIT), random.uniform(-180.0, 180.0, count)


def moved(lats: Floats, lons: Floats, north_m: Floats, east_m: Floats) -> tuple[Floats, Floats]:
    """Places so many metres from others, in degrees."""
    new_lats = np.clip(lats + north_m / METRES_PER_DEGREE, -LAT_LIMIT, LAT_LIMIT)
    new_lons = lons + east_m / (METRES_PER_DEGREE * np.cos(np.radians(new_lats)))
    return new_lats, (new_lons + 180.0) % 360.0 - 180.0


def blurred(random: np.random.Generator, lats: Floats, lons: Floats) -> tuple[Floats, Floats]:
    """The places as phones tell them: some metres off."""
    north, east = random.normal(0.0, GPS_DEVIATION_M, (2, len(lats)))
    return moved(lats, lons, north, east)
