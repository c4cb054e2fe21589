"""Made-up people and farms, as rows of a window of 48 hours, for what signals of plausibility say of them.

People live in six cities and sleep at night; they prove by hand, with receivers that are off by some metres. Farms are
scripts at a desk. Everything comes from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from mesh import locate_array
from step_node.economy.columns import ProofColumns

BEGIN_MS: Final = 1_800_000_000_000 // 86_400_000 * 86_400_000
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
END_MS: Final = BEGIN_MS + 2 * DAY_MS

CITIES: Final = ((48.14, 11.58), (52.52, 13.40), (48.85, 2.35), (40.71, -74.0), (35.68, 139.69), (-33.87, 151.21))
_METRES_A_DEGREE: Final = 111_195.0

Numbers = npt.NDArray[np.float64]


class World:
    """Rows that grow, of accounts that are numbered as they come."""

    def __init__(self, seed: int, *, first: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.accounts = first
        self._parts: list[tuple[int, Numbers, Numbers, Numbers, Numbers]] = []

    def prove(self, account: int, time_ms: Numbers, lat: Numbers, lon: Numbers, accuracy_m: Numbers) -> None:
        """Rows of one account, in the order of their times; what is outside of the window is left out."""
        inside = (time_ms >= BEGIN_MS) & (time_ms < END_MS)
        self._parts.append((account, time_ms[inside], lat[inside], lon[inside], accuracy_m[inside]))

    def newcomer(self) -> int:
        """The number of an account that nobody had."""
        self.accounts += 1
        return self.accounts - 1

    def walk(
        self,
        account: int,
        begin_ms: float,
        pauses_ms: Numbers,
        at: tuple[float, float],
        *,
        speed_mps: float = 1.3,
        accuracy_m: Numbers | None = None,
        way: tuple[float, float] | None = None,
    ) -> None:
        """Proofs along a way that bends, or goes straight in the direction `way` (north, east)."""
        time_ms = begin_ms + np.cumsum(pauses_ms)
        metres = speed_mps * pauses_ms / 1_000
        if way is None:
            turn = self.random.uniform(0, 2 * np.pi) + np.cumsum(self.random.normal(0, 0.3, len(metres)))
            north, east = np.cumsum(metres * np.cos(turn)), np.cumsum(metres * np.sin(turn))
        else:
            north, east = np.cumsum(metres) * way[0], np.cumsum(metres) * way[1]
        accuracy_m = self.receiver(len(metres)) if accuracy_m is None else accuracy_m
        north, east = north + self.random.normal(0, 4, len(north)), east + self.random.normal(0, 4, len(east))
        lat = at[0] + north / _METRES_A_DEGREE
        lon = at[1] + east / (_METRES_A_DEGREE * np.cos(np.radians(at[0])))
        self.prove(account, time_ms, np.round(lat, 7), np.round(lon, 7), accuracy_m)

    def receiver(self, count: int) -> Numbers:
        """What a phone says of its own accuracy: of half of them any number, of the others one of some steps."""
        if self.random.random() < 0.5:
            return np.round(3 + self.random.gamma(2, 4, count), 3).clip(3, 50)
        return self.random.choice(
            [4.7, 5.0, 7.1, 10.0, 14.2, 20.0, 35.0], count, p=[0.2, 0.3, 0.1, 0.2, 0.1, 0.05, 0.05]
        )

    def hand(self, count: int) -> Numbers:
        """The time between taps: some wait for the countdown of ten seconds, others prove when they think of it."""
        if self.random.random() < 0.4:
            return 10_300 + self.random.gamma(2, 900, count)
        return 15_000 + self.random.exponential(60_000, count)

    def by_day(self, day: int | None = None) -> float:
        """A moment between seven and eleven in the evening, of one of the two days."""
        day = int(self.random.integers(2)) if day is None else day
        return BEGIN_MS + day * DAY_MS + self.random.uniform(7, 22.5) * HOUR_MS

    def spot(self, city: tuple[float, float], spread_m: float = 5_000) -> tuple[float, float]:
        """Somewhere in a city."""
        north, east = self.random.normal(0, spread_m, 2)
        lat = city[0] + north / _METRES_A_DEGREE
        return lat, city[1] + east / (_METRES_A_DEGREE * float(np.cos(np.radians(lat))))

    def city(self) -> tuple[float, float]:
        return CITIES[int(self.random.integers(len(CITIES)))]

    def columns(self) -> ProofColumns:
        """All rows, in batches of a second."""
        account = np.concatenate([np.full(len(part[1]), part[0]) for part in self._parts])
        time_ms, lat, lon, accuracy_m = (np.concatenate([part[of] for part in self._parts]) for of in range(1, 5))
        time_ms = time_ms.astype(np.int64)
        height = (time_ms - BEGIN_MS) // 1_000 + 1
        order = np.lexsort((time_ms, height))
        address = np.zeros((len(account), 20), dtype=np.uint8)
        address[:, :8] = address_keys(account).astype(">u8").view(np.uint8).reshape(-1, 8)
        return ProofColumns(
            height=height[order],
            batch_time_ms=BEGIN_MS + height[order] * 1_000,
            timestamp_ms=time_ms[order],
            triangle=locate_array(lat, lon, 12).astype(np.uint64)[order],
            lat=lat[order],
            lon=lon[order],
            accuracy_m=accuracy_m[order],
            account=address[order],
        )


def together(parts: Sequence[ProofColumns]) -> ProofColumns:
    """The rows of several worlds in one window."""
    joined = ProofColumns.joined(parts)
    return joined.rows(np.argsort(joined.height, kind="stable"))


def address_keys(accounts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of accounts with these numbers: in no order, as addresses are, and each another."""
    return accounts.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x1234567)


def regulars(world: World) -> None:
    """Walk about in their city once to three times in two days, some minutes each."""
    for _ in range(1_500):
        account, home = world.newcomer(), world.spot(world.city())
        for begin_ms in sorted(world.by_day() for _ in range(world.random.integers(1, 4))):
            world.walk(account, begin_ms, world.hand(int(world.random.integers(3, 40))), home)


def occasional(world: World) -> None:
    """Prove once in two days."""
    for _ in range(2_500):
        world.walk(world.newcomer(), world.by_day(), np.array([0.0]), world.spot(world.city()))


def commuters(world: World) -> None:
    """Take a train in the morning and one in the evening, with a hundred others, and prove on the way."""
    for train in range(8):
        city = CITIES[train % len(CITIES)]
        angle = world.random.uniform(0, 2 * np.pi)
        for _ in range(100):
            account, home = world.newcomer(), world.spot(city)
            for day in range(2):
                for hour, sign in ((7.5, 1), (17.5, -1)):
                    begin_ms = BEGIN_MS + day * DAY_MS + hour * HOUR_MS + world.random.uniform(0, 120_000)
                    pauses = 20_000 + world.random.exponential(150_000, int(world.random.integers(4, 14)))
                    way = (sign * float(np.cos(angle)), sign * float(np.sin(angle)))
                    world.walk(account, begin_ms, pauses, city, speed_mps=13, way=way)
                world.walk(account, world.by_day(day) * 1.0, world.hand(5), home)


def tourists(world: World) -> None:
    """Fly from one city to another, and prove in both."""
    for _ in range(200):
        account = world.newcomer()
        world.walk(account, BEGIN_MS + world.random.uniform(7, 12) * HOUR_MS, world.hand(10), world.spot(world.city()))
        arrival = BEGIN_MS + DAY_MS + world.random.uniform(10, 20) * HOUR_MS
        world.walk(account, arrival, world.hand(15), world.spot(world.city(), 1_500))


def tour_parties(world: World) -> None:
    """Thirty people walk through a city together for a day; each proves when he or she thinks of it."""
    for party in range(6):
        city = world.spot(CITIES[party % len(CITIES)])
        turn = np.cumsum(world.random.normal(0, 0.2, 480)) + world.random.uniform(0, 6)
        north, east = np.cumsum(50 * np.cos(turn)), np.cumsum(50 * np.sin(turn))
        begin_ms = BEGIN_MS + DAY_MS + 9 * HOUR_MS
        for _ in range(30):
            account = world.newcomer()
            minutes = np.sort(world.random.choice(480, int(world.random.integers(15, 60)), replace=False))
            noise = world.random.normal(0, 15, (2, len(minutes)))
            lat = city[0] + (north[minutes] + noise[0]) / _METRES_A_DEGREE
            lon = city[1] + (east[minutes] + noise[1]) / (_METRES_A_DEGREE * np.cos(np.radians(city[0])))
            time_ms = begin_ms + minutes * 60_000.0 + world.random.uniform(0, 40_000, len(minutes))
            world.prove(account, time_ms, lat, lon, world.receiver(len(minutes)))


def families(world: World) -> None:
    """Four people walk together, and remind one another to prove."""
    for _ in range(60):
        home, begin_ms = world.spot(world.city()), world.by_day()
        angle = world.random.uniform(0, 2 * np.pi)
        pauses = world.hand(25)
        for _ in range(4):
            own = np.maximum(pauses + world.random.normal(0, 2_000, 25), 10_100)
            way = (float(np.cos(angle)), float(np.sin(angle)))
            world.walk(world.newcomer(), begin_ms + world.random.uniform(0, 10_000), own, home, way=way)


def stadium(world: World) -> None:
    """Four thousand people come to a match on the second evening; most have never proven, and prove once or twice."""
    for _ in range(4_000):
        begin_ms = BEGIN_MS + DAY_MS + world.random.uniform(17.5, 20.5) * HOUR_MS
        pauses = world.hand(int(world.random.integers(1, 4)))
        world.walk(world.newcomer(), begin_ms, pauses, world.spot(CITIES[0], 120), speed_mps=0.1)


def festival(world: World) -> None:
    """Two hundred people open a festival in a desert where nobody has proven before."""
    for _ in range(200):
        begin_ms = BEGIN_MS + DAY_MS + world.random.uniform(8, 20) * HOUR_MS
        world.walk(
            world.newcomer(), begin_ms, world.hand(int(world.random.integers(1, 20))), world.spot((40.79, -119.2), 800)
        )


def automatic_walkers(world: World) -> None:
    """Honest people who let a program prove every ten seconds on their walks."""
    for _ in range(50):
        account, home = world.newcomer(), world.spot(world.city())
        pauses = 10_000 + np.abs(world.random.normal(0, 30, 120))
        world.walk(account, world.by_day(), pauses, home)


def farm_burst(world: World) -> None:
    """Ten thousand new keys in eighty seconds, a proof each, all over the world: what took 2,185 STEP from a desk."""
    for number in range(10_000):
        lat = float(np.degrees(np.arcsin(world.random.uniform(-1, 1))))
        at = (lat, world.random.uniform(-180, 180))
        _desk(world, BEGIN_MS + DAY_MS + 11 * HOUR_MS + number * 8, at, 5.0)


def farm_burst_careful(world: World) -> None:
    """Two thousand new keys in ten minutes, in a city, with accuracies and moments drawn as people's are."""
    for _ in range(2_000):
        begin_ms = BEGIN_MS + DAY_MS + 11 * HOUR_MS + world.random.uniform(0, 600_000)
        world.walk(world.newcomer(), begin_ms, np.array([0.0]), world.spot(CITIES[1]))


def farm_drip(world: World) -> None:
    """A new key every thirty seconds for fifteen hours, in a city."""
    for number in range(1_800):
        _desk(world, BEGIN_MS + 30 * HOUR_MS + number * 30_000, world.spot(CITIES[2], 10_000), 8.0)


def farm_sea(world: World) -> None:
    """Six hundred keys in the middle of an ocean, over two hours, with accuracies drawn as people's are."""
    for _ in range(600):
        begin_ms = BEGIN_MS + DAY_MS + 11 * HOUR_MS + world.random.uniform(0, 2 * HOUR_MS)
        world.walk(world.newcomer(), begin_ms, np.array([0.0]), world.spot((30.0, -40.0), 10_000))


def farm_scripted(world: World) -> None:
    """Two hundred keys walk at a desk, with a proof every ten seconds for an hour and one accuracy for all."""
    for _ in range(200):
        pauses = 10_000 + np.abs(world.random.normal(0, 5, 360))
        world.walk(world.newcomer(), world.by_day(), pauses, world.spot(world.city()), accuracy_m=np.full(360, 6.0))


def farm_sleepless(world: World) -> None:
    """Two hundred keys walk day and night, with pauses and accuracies drawn as people's are."""
    for _ in range(200):
        pauses = 60_000 + world.random.exponential(540_000, 300)
        world.walk(world.newcomer(), BEGIN_MS + world.random.uniform(0, HOUR_MS), pauses, world.spot(world.city()))


def farm_jumping(world: World) -> None:
    """A hundred keys jump to any city every hour and a half, which the ledger does not compare."""
    for _ in range(100):
        account = world.newcomer()
        for hop in range(8):
            begin_ms = BEGIN_MS + (8 + 1.5 * hop) * HOUR_MS
            world.walk(account, begin_ms, world.hand(3), world.spot(CITIES[int(world.random.integers(len(CITIES)))]))


def crowd_of_phones(world: World) -> None:
    """One hand carries forty phones through a city for an afternoon, and proves with each wherever it stops."""
    city = world.spot(CITIES[3])
    stops = 25
    time_ms = BEGIN_MS + DAY_MS + 13 * HOUR_MS + np.cumsum(300_000 + world.random.exponential(300_000, stops))
    north, east = (np.cumsum(world.random.normal(0, 600, stops)) for _ in range(2))
    for _ in range(40):
        noise = world.random.normal(0, 8, (2, stops))
        lat = city[0] + (north + noise[0]) / _METRES_A_DEGREE
        lon = city[1] + (east + noise[1]) / (_METRES_A_DEGREE * np.cos(np.radians(city[0])))
        world.prove(
            world.newcomer(), time_ms + world.random.uniform(0, 120_000, stops), lat, lon, world.receiver(stops)
        )


def farm_of_walkers(world: World) -> None:
    """Three hundred keys that do at a desk what people do, drawn from the very same numbers."""
    for _ in range(300):
        account, home = world.newcomer(), world.spot(world.city())
        for begin_ms in sorted(world.by_day() for _ in range(2)):
            world.walk(account, begin_ms, world.hand(20), home)


Population = Callable[[World], None]

HONEST: Final[Sequence[Population]] = (
    regulars,
    occasional,
    commuters,
    tourists,
    tour_parties,
    families,
    stadium,
    festival,
    automatic_walkers,
)
FARMS: Final[Sequence[Population]] = (
    farm_burst,
    farm_burst_careful,
    farm_drip,
    farm_sea,
    farm_scripted,
    farm_sleepless,
    farm_jumping,
    crowd_of_phones,
    farm_of_walkers,
)


def _desk(world: World, time_ms: float, at: tuple[float, float], accuracy_m: float) -> None:
    """One proof of a new key."""
    lat, lon = (np.round(np.array([degrees]), 7) for degrees in at)
    world.prove(world.newcomer(), np.array([time_ms]), lat, lon, np.array([accuracy_m]))
