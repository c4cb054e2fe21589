"""How people move, drawn from what was measured of them. Each figure below says of which of these it is:

1. González, Hidalgo and Barabási, "Understanding individual human mobility patterns", Nature 453 (2008), 779-782:
   100,000 phones through six months.
2. Song, Koren, Wang and Barabási, "Modelling the scaling properties of human mobility", Nature Physics 6 (2010),
   818-823: phones again, of more people and through a year.
3. Alessandretti and others, "Evidence for a conserved quantity in human mobility", Nature Human Behaviour 2 (2018),
   485-491: 40,000 people through years.
4. Weidmann, "Transporttechnik der Fussgänger", ETH Zürich (1993), from many surveys, as most models of pedestrians have
   it since. Bohannon and Williams Andrews, Physiotherapy 97 (2011), 182-189, have means of 0.94 to 1.43 m/s by age and
   sex, of 23,111 people.
5. Clark, "Urban population densities", Journal of the Royal Statistical Society A 114 (1951), 490-496.
6. Merry and Bettinger, "Smartphone GPS accuracy study in an urban environment", PLoS ONE 14 (2019), e0219890: 7 to 13 m
   off on average.
7. The Hungarian statistical office (KSH), "A lakosság közlekedési eszközhasználata", 2009, table 4.2.
8. TomTom's traffic index of Budapest, 2023.

Laws 1 and 2 are of displacements from one call to the next; here they are taken as distances from home, which is where
most displacements begin. Distances are in metres, angles in radians, places in degrees. Whatever is random comes from
the generator handed in.
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
"""How far off places are (1): P(r) ~ (r + 1.5 km)^-1.75 exp(-r / k); measured as 1.75 with an error of 0.15. Of all
people together k is 400 km, or 80 km in a second set of data; here everybody has one of his own."""
RANGE_OFFSET_M: Final = 5_800.0
RANGE_EXPONENT: Final = 1.65
RANGE_CUTOFF_M: Final = 350_000.0
"""How far one gets around, which is the k of one's displacements (1): P(k) ~ (k + 5.8 km)^-1.65 exp(-k / 350 km);
measured, of the radius of gyration, as 1.65 with an error of 0.15."""
RANGE_LEAST_M: Final = 500.0
"""Nobody stays within less: a choice, no measurement."""
VISITS_EXPONENT: Final = 1.2
"""How often one goes to each of one's places (2): the one of rank n as n^-1.2, with an error of 0.1. (1) has n^-1."""
FAMILIAR_PLACES: Final = 25
"""How many places one goes to, home being the first (3)."""
SIGHTS_EXPONENT: Final = 1.0
"""The same for tourists and sights: a choice, the plain law of Zipf."""
WALKING_MPS: Final = 1.34
WALKING_DEVIATION_MPS: Final = 0.26
"""How fast one walks (4)."""
DETOUR_SHARE: Final = 0.6
"""How far one gets on a walk, of what one walks: streets that cross at right angles lead 4 / pi times as far as a
straight line, and one who walks for pleasure goes a quarter farther than the shortest way (268 tracks of Nanjing, ISPRS
International Journal of Geo-Information 12 (2023), 384)."""
GPS_DEVIATION_M: Final = 6.0
"""To the north, and to the east, which is 7.5 m on average (6)."""
CITY_SCALE: Final = 3.0
"""How densely people live: ever less by exp(-r / s) from a city's centre (5). That s is a third of what is taken for
its radius is a choice."""
RIDE_MPS: Final = 9.0
"""32 km/h: buses and trams make 28, cars 44, all together 35 (7)."""
LEAVES_HOME_HOUR: Final = 7.75
LEAVES_HOME_DEVIATION_HOURS: Final = 0.75
LEAVES_WORK_HOUR: Final = 17.0
LEAVES_WORK_DEVIATION_HOURS: Final = 1.0
"""When commuters ride: roads are full from 7 to 9, and from 15 to 18 o'clock (8)."""


def tapered_power_law(
    random: np.random.Generator, count: int, *, offset_m: float, exponent: float, cutoff_m: Floats | float
) -> Floats:
    """Distances that exceed r with a probability of ((r + offset) / offset)^(1 - exponent) exp(-r / cutoff).

    That is the smaller of a power law and an exponential one, so it is drawn as that (Kagan's tapered Pareto). Below
    the cut-off the density is as good as (r + offset)^-exponent, and it falls exponentially beyond.
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
