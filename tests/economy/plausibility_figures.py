"""The figures of docs/plausibility.md: what is said of made-up people and farms. `python -m` this prints the tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from mesh import locate
from step_node.economy.columns import ProofColumns
from step_node.economy.plausibility import IMPLAUSIBLE_BPS, AccountSignals, account_signals
from tests.economy import populations
from tests.economy.populations import CITIES, FARMS, HONEST, Population, World, address_keys, together

SEED = 64

_NAMES: dict[Population, str] = {
    populations.regulars: "walk about in a city, one to three times",
    populations.occasional: "prove once in two days",
    populations.commuters: "take the same trains, twice a day",
    populations.tourists: "fly from one city to another",
    populations.tour_parties: "walk through a city as parties of thirty",
    populations.families: "walk as families of four",
    populations.stadium: "come to a match, most of them new",
    populations.festival: "open a festival in a desert",
    populations.automatic_walkers: "walk, and let a program prove every ten seconds",
    populations.farm_burst: "10,000 new keys in 80 seconds, all over the world, one accuracy",
    populations.farm_burst_careful: "2,000 new keys in ten minutes, in a city, accuracies as of phones",
    populations.farm_drip: "a new key every 30 seconds, in a city, one accuracy",
    populations.farm_sea: "600 new keys within two hours, in an ocean, accuracies as of phones",
    populations.farm_scripted: "200 keys that walk by a script, every ten seconds, one accuracy",
    populations.farm_sleepless: "200 keys that walk day and night, pauses and accuracies as of people",
    populations.farm_jumping: "100 keys that jump between cities every hour and a half",
    populations.crowd_of_phones: "one hand with forty phones",
    populations.farm_of_walkers: "300 keys, each drawn as a person who walks about",
}


@dataclass(frozen=True)
class Judged:
    """What is said of one population."""

    name: str
    scores: np.ndarray[tuple[int], np.dtype[np.int64]]

    @property
    def implausible(self) -> int:
        return int(np.count_nonzero(self.scores >= IMPLAUSIBLE_BPS))

    @property
    def median(self) -> int:
        return int(np.sort(self.scores)[(len(self.scores) - 1) // 2])

    @property
    def row(self) -> str:
        """A line of the table."""
        high = int(np.sort(self.scores)[len(self.scores) * 95 // 100])
        share = 100 * self.implausible / len(self.scores)
        return f"| {self.name} | {len(self.scores):,} | {self.median:,} | {high:,} | {share:.1f} % |"


@cache
def honest_world() -> tuple[ProofColumns, dict[Population, range]]:
    """Everybody who is honest, and which accounts are whose."""
    world, ranges = World(SEED), dict[Population, range]()
    for population in HONEST:
        first = world.accounts
        population(world)
        ranges[population] = range(first, world.accounts)
    return world.columns(), ranges


@cache
def with_farm(farm: Population | None) -> tuple[AccountSignals, range]:
    """The signals where honest people and one farm are in the window, and which accounts are the farm's."""
    honest, ranges = honest_world()
    first = max(accounts.stop for accounts in ranges.values())
    if farm is None:
        return account_signals(honest), range(0)
    world = World(SEED + 1 + FARMS.index(farm), first=first)
    farm(world)
    return account_signals(together([honest, world.columns()])), range(first, world.accounts)


def judged(signals: AccountSignals, population: Population, accounts: range) -> Judged:
    """What is said of those accounts that are in the window."""
    keys = address_keys(np.arange(accounts.start, accounts.stop))
    return Judged(_NAMES[population], signals.implausibility_bps[np.isin(signals.keys, keys)])


def honest_judged(farm: Population | None = None) -> list[Judged]:
    """What is said of honest people, alone or beside a farm."""
    signals, _ = with_farm(farm)
    return [judged(signals, population, accounts) for population, accounts in honest_world()[1].items()]


def farms_judged() -> list[Judged]:
    """What is said of each farm, alone among honest people."""
    return [judged(*with_farm_named(farm)) for farm in FARMS]


def with_farm_named(farm: Population) -> tuple[AccountSignals, Population, range]:
    signals, accounts = with_farm(farm)
    return signals, farm, accounts


def account_table() -> list[str]:
    """The lines of the first table."""
    return [one.row for one in (*honest_judged(), *farms_judged())]


_REGIONS: tuple[tuple[str, Population | None, tuple[float, float]], ...] = (
    ("a city, nobody but honest people", None, CITIES[2]),
    ("the city with the match", None, CITIES[0]),
    ("the desert with the festival", None, (40.79, -119.2)),
    ("a city with a new key every 30 seconds, one accuracy", populations.farm_drip, CITIES[2]),
    ("a city with 2,000 new keys in ten minutes", populations.farm_burst_careful, CITIES[1]),
    ("an ocean with 600 new keys", populations.farm_sea, (30.0, -40.0)),
)


def region_table() -> list[str]:
    """The lines of the second table: triangles of level 7, with sides of some 110 km."""
    lines = []
    for name, farm, at in _REGIONS:
        region = with_farm(farm)[0].region(locate(*at, 7))
        share = 100 * region.implausible_accounts / region.accounts
        lines.append(f"| {name} | {region.accounts:,} | {region.implausibility_bps:,} | {share:.1f} % |")
    return lines


def rates() -> list[str]:
    """The sentence on rates: of all honest accounts, whichever farm is there, and of all accounts of farms."""
    worst = max((_implausible_honest(farm), FARMS.index(farm)) for farm in FARMS)[0]
    honest = sum(len(one.scores) for one in honest_judged())
    careless = [one for one in farms_judged() if one.implausible]
    found, of = sum(one.implausible for one in careless), sum(len(one.scores) for one in careless)
    return [
        f"{_implausible_honest(None)} of {honest:,} honest accounts",
        f"{worst} of {honest:,}",
        f"{len(careless)} of the {len(FARMS)} farms",
        f"{found:,} of their {of:,} accounts",
        f"at the most {max(map(_implausible_after, HOURS))} are, after the first",
    ]


HOURS = (8, 12, 24, 36, 42)


def _implausible_after(hours: int) -> int:
    """How many people are implausible where the window, and the chain, is no older."""
    honest, _ = honest_world()
    young = honest.rows(honest.batch_time_ms < populations.BEGIN_MS + hours * populations.HOUR_MS)
    return int(np.count_nonzero(account_signals(young).implausibility_bps >= IMPLAUSIBLE_BPS))


def _implausible_honest(farm: Population | None) -> int:
    return sum(one.implausible for one in honest_judged(farm))


FIGURES: tuple[Callable[[], list[str]], ...] = (account_table, region_table, rates)

if __name__ == "__main__":
    for figures in FIGURES:
        print(*figures(), "", sep="\n")  # noqa: T201 - what it is for
