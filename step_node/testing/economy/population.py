"""Who there is, and where everybody tries to prove when: a whole run's attempts, before anything is paid.

What somebody does with what he has is another thing (`decisions`). So an attempt is one that is made if its account is
still there on that day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mesh import LEVEL_MAX, locate_array
from step_node.testing.economy import movement
from step_node.testing.economy.movement import Floats, Integers
from step_node.testing.economy.scenario import (
    DAY_MS,
    City,
    Commuters,
    Crowd,
    Farmers,
    Scenario,
    Tourists,
    Walkers,
)

HOUR_MS: Final = 3_600_000
GENESIS_MS: Final = 1_767_225_600_000
"""When simulated chains begin: 2026-01-01."""
NEVER: Final = 1 << 30
"""The day on which nobody leaves."""
NOBODYS: Final = -1
"""The group of accounts that are in none: the owners of the validators of genesis."""


@dataclass(frozen=True, slots=True)
class People:
    """The accounts of a run: first the owners of the validators of genesis, then the groups in their order."""

    group: npt.NDArray[np.int16]
    first_day: Integers
    last_day: Integers
    """The day before which one leaves by himself."""

    @property
    def count(self) -> int:
        """How many accounts there are."""
        return len(self.group)


@dataclass(frozen=True, slots=True)
class Attempts:
    """Proofs that are tried, in the order in which the ledger sees them."""

    number: Integers
    """Each one's place in the whole run's row."""
    account: Integers
    city: npt.NDArray[np.int16]
    """Of the one who tries: a region, which is not left for a trip out of town. One more than the last: elsewhere."""
    lat: Floats
    lon: Floats
    timestamp_ms: Integers
    batch: Integers
    """From 0; the batch's height is one more."""
    triangle: Integers
    """The one of level 21, in integer form."""

    def between(self, start: int, stop: int) -> Attempts:
        """Those from one place in the order to another."""
        part = slice(start, stop)
        return Attempts(*(getattr(self, name)[part] for name in self.__slots__))

    def where(self, chosen: npt.NDArray[np.bool_]) -> Attempts:
        """Those of which it is true."""
        return Attempts(*(getattr(self, name)[chosen] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class _Tries:
    """What a group tries: its member (from 0), when (ms since the chain began), and where."""

    member: Integers
    at_ms: Integers
    lat: Floats
    lon: Floats


@dataclass(frozen=True, slots=True)
class _Members:
    """A group's people: how many, where they live, and who is there on which day (members by days)."""

    lat: Floats
    lon: Floats
    is_there: npt.NDArray[np.bool_]

    def days_with(self, random: np.random.Generator, mean: float) -> tuple[Integers, Integers, Integers]:
        """(member, day, how many) for all days on which a member does something, `mean` times a day."""
        times = random.poisson(mean, self.is_there.shape) * self.is_there
        member, day = np.nonzero(times)
        return member, day, times[member, day]


def populate(scenario: Scenario, random: np.random.Generator) -> tuple[People, Attempts]:
    """Everybody of a run, and all that they try."""
    cities = {city.name: number for number, city in enumerate(scenario.cities)}
    validators = scenario.validators.count
    groups, firsts, lasts = [np.full(validators, NOBODYS)], [np.zeros(validators)], [np.full(validators, NEVER)]
    columns: list[tuple[npt.NDArray[Any], ...]] = []
    before = validators
    for number, group in enumerate(scenario.groups):
        size = group.accounts
        first = np.full(size, group.first_day)
        if group.join_within_days:
            first = first + np.sort(random.integers(0, group.join_within_days, size))
        last = np.full(size, NEVER)
        if group.stay_days is not None:
            last = first + 1 + random.exponential(group.stay_days, size).astype(np.int64)
        days = np.arange(scenario.days)
        is_there = (first[:, None] <= days) & (days < last[:, None])
        city = scenario.cities[cities[group.city]]
        north, east = movement.from_centre(random, size, city.radius_km * 1_000)
        lat, lon = movement.moved(np.full(size, city.lat), np.full(size, city.lon), north, east)
        tries = _TRIED[type(group)](group, city, _Members(lat, lon, is_there), random)
        is_elsewhere = isinstance(group, Farmers) and group.spread == "world"
        region = np.full(len(tries.lat), len(cities) if is_elsewhere else cities[group.city])
        columns.append((tries.member + before, region, tries.lat, tries.lon, tries.at_ms))
        groups.append(np.full(size, number))
        firsts.append(first)
        lasts.append(last)
        before += size
    people = People(
        np.concatenate(groups).astype(np.int16),
        np.concatenate(firsts).astype(np.int64),
        np.concatenate(lasts).astype(np.int64),
    )
    return people, _in_order(columns, scenario)


def _in_order(columns: list[tuple[npt.NDArray[Any], ...]], scenario: Scenario) -> Attempts:
    account, city, lat, lon, at_ms = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    end_ms = scenario.batch_ms * scenario.batches_per_day * scenario.days
    inside = (at_ms >= 0) & (at_ms < end_ms)
    order = np.flatnonzero(inside)[np.argsort(at_ms[inside], kind="stable")]
    lat, lon, at_ms = lat[order], lon[order], at_ms[order].astype(np.int64)
    at_ms -= at_ms % scenario.timestamps_every_ms
    return Attempts(
        number=np.arange(len(lat)),
        account=account[order].astype(np.int64),
        city=city[order].astype(np.int16),
        lat=lat,
        lon=lon,
        timestamp_ms=GENESIS_MS + at_ms,
        batch=at_ms // scenario.batch_ms,
        triangle=locate_array(lat, lon, LEVEL_MAX) if len(lat) else np.zeros(0, dtype=np.int64),
    )


def _walks(group: Walkers, city: City, members: _Members, random: np.random.Generator) -> _Tries:
    """Of each walk a proof every few minutes. All walks of a day begin where one is on that day."""
    del city
    size, places = len(members.lat), movement.FAMILIAR_PLACES
    ranges = np.repeat(movement.personal_ranges_m(random, size), places)
    distances = movement.displacements_m(random, ranges).reshape(size, places)
    distances[:, 0] = 0.0
    north, east = movement.towards(random, distances.ravel())
    place_lat, place_lon = movement.moved(np.repeat(members.lat, places), np.repeat(members.lon, places), north, east)
    place = movement.ranks_visited(random, members.is_there.size, places).reshape(members.is_there.shape)
    member, day, walks = members.days_with(random, group.proofs_per_day / group.proofs_per_walk)
    place_of_walk = np.repeat(member * places + place[member, day], walks)
    member, day = np.repeat(member, walks), np.repeat(day, walks)
    # One row for each walk: pauses between its proofs, and where each step leads.
    shape = (len(member), group.proofs_per_walk)
    pauses_s = 30.0 + random.exponential(450.0, shape)
    speed = np.abs(random.normal(movement.WALKING_MPS, movement.WALKING_DEVIATION_MPS, (len(member), 1)))
    headings = random.uniform(0.0, 2 * np.pi, (len(member), 1)) + np.cumsum(random.normal(0.0, 0.6, shape), axis=1)
    steps = speed * pauses_s * movement.DETOUR_SHARE
    begins_ms = day * DAY_MS + 7 * HOUR_MS + random.random(len(member)) * 14 * HOUR_MS
    lat, lon = movement.moved(
        np.repeat(place_lat[place_of_walk], shape[1]),
        np.repeat(place_lon[place_of_walk], shape[1]),
        np.cumsum(steps * np.cos(headings), axis=1).ravel(),
        np.cumsum(steps * np.sin(headings), axis=1).ravel(),
    )
    at_ms = (begins_ms[:, None] + np.cumsum(pauses_s, axis=1) * 1_000).ravel()
    return _Tries(np.repeat(member, shape[1]), at_ms.astype(np.int64), lat, lon)


def _commutes(group: Commuters, city: City, members: _Members, random: np.random.Generator) -> _Tries:
    """Proofs at any time of the day, at home, at work, or where the ride is just then."""
    size = len(members.lat)
    reach_m = np.full(size, 2_000.0 * city.radius_km)
    north, east = movement.towards(random, movement.displacements_m(random, reach_m))
    leaves_home_ms = HOUR_MS * random.normal(movement.LEAVES_HOME_HOUR, movement.LEAVES_HOME_DEVIATION_HOURS, size)
    leaves_work_ms = HOUR_MS * random.normal(movement.LEAVES_WORK_HOUR, movement.LEAVES_WORK_DEVIATION_HOURS, size)
    speeds = np.abs(random.normal(group.ride_mps, group.ride_mps / 4, size)) + 1.0
    ride_ms = 1_000 * np.hypot(north, east) / speeds
    member, day, proofs = members.days_with(random, group.proofs_per_day)
    member, day = np.repeat(member, proofs), np.repeat(day, proofs)
    clock_ms = 6 * HOUR_MS + random.random(len(member)) * 16 * HOUR_MS
    out = np.clip((clock_ms - leaves_home_ms[member]) / ride_ms[member], 0.0, 1.0)
    back = np.clip((clock_ms - leaves_work_ms[member]) / ride_ms[member], 0.0, 1.0)
    away = np.where(day % 7 < 5, np.maximum(out - back, 0.0), 0.0)
    lat, lon = movement.moved(members.lat[member], members.lon[member], away * north[member], away * east[member])
    return _Tries(member, (day * DAY_MS + clock_ms).astype(np.int64), *movement.blurred(random, lat, lon))


def _tours(group: Tourists, city: City, members: _Members, random: np.random.Generator) -> _Tries:
    """Proofs at the sights, one after the other between nine in the morning and nine in the evening."""
    sight_north, sight_east = movement.from_centre(random, group.sights, city.radius_km * 500)
    member, day, proofs = members.days_with(random, group.proofs_per_day)
    clock_ms = 9 * HOUR_MS + _spaced(random, proofs) * 12 * HOUR_MS
    member, day = np.repeat(member, proofs), np.repeat(day, proofs)
    sight = movement.ranks_visited(random, len(member), group.sights, movement.SIGHTS_EXPONENT)
    north, east = movement.within_disc(random, len(member), 60.0)
    centre = np.full(len(member), city.lat), np.full(len(member), city.lon)
    lat, lon = movement.moved(*centre, sight_north[sight] + north, sight_east[sight] + east)
    return _Tries(member, (day * DAY_MS + clock_ms).astype(np.int64), lat, lon)


def _matches(group: Crowd, city: City, members: _Members, random: np.random.Generator) -> _Tries:
    """Proofs from seats around the city's centre, in the hours after seven in the evening."""
    is_on = np.arange(members.is_there.shape[1]) % group.every_days == group.every_days - 1
    comes = members.is_there & is_on & (random.random(members.is_there.shape) < group.attendance)
    member, day, proofs = _Members(members.lat, members.lon, comes).days_with(random, group.proofs_per_day)
    seat_north, seat_east = movement.within_disc(random, len(member), group.radius_m)
    clock_ms = 19 * HOUR_MS + random.random(int(proofs.sum())) * group.hours * HOUR_MS
    seat_north, seat_east = np.repeat(seat_north, proofs), np.repeat(seat_east, proofs)
    member, day = np.repeat(member, proofs), np.repeat(day, proofs)
    lat, lon = movement.moved(np.full(len(member), city.lat), np.full(len(member), city.lon), seat_north, seat_east)
    return _Tries(member, (day * DAY_MS + clock_ms).astype(np.int64), *movement.blurred(random, lat, lon))


def _inventions(group: Farmers, city: City, members: _Members, random: np.random.Generator) -> _Tries:
    """Made-up places, spaced evenly over the day: whoever waits for longer than the horizon may be anywhere."""
    member, day, proofs = members.days_with(random, group.proofs_per_day)
    phase = random.random(len(members.lat))[member]
    clock_ms = _spaced(random, proofs, phase=np.repeat(phase, proofs)) * DAY_MS
    member, day = np.repeat(member, proofs), np.repeat(day, proofs)
    if group.spread == "world":
        lat, lon = movement.anywhere(random, len(member))
    else:
        north, east = movement.within_disc(random, len(member), city.radius_km * 1_000)
        lat, lon = movement.moved(np.full(len(member), city.lat), np.full(len(member), city.lon), north, east)
    return _Tries(member, (day * DAY_MS + clock_ms).astype(np.int64), lat, lon)


def _spaced(random: np.random.Generator, counts: Integers, phase: Floats | None = None) -> Floats:
    """For each of `counts` that many moments of a day (0 to 1), one in each of as many equal parts of it."""
    total = int(counts.sum())
    index = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    return (index + (random.random(total) if phase is None else phase)) / np.repeat(counts, counts)


_TRIED: Final[Mapping[type[Any], Callable[[Any, City, _Members, np.random.Generator], _Tries]]] = {
    Walkers: _walks,
    Commuters: _commutes,
    Tourists: _tours,
    Crowd: _matches,
    Farmers: _inventions,
}
