"""The figures of docs/economy.md, each by its name and with its formula, for any parameters. Pure and exact.

What the two versions of the rules (protocol.md §6) pay differently has a figure for each, `….version1` and
`….version2`; where the difference is lost in rounding, the figure is of the version that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from step_node.chain.new_chains import RULES_VERSION, new_chain_parameters
from step_node.economy import formulas
from step_node.economy.formulas import BASIS_POINTS, EXACT, LEVELS, ROUNDED, YEAR_DAYS, Habit
from step_node.ledger.level_counts import mesh_triangles
from step_node.ledger.state_gates import LEVEL_MAX, clicks_max
from step_node.parameters import USTEP_PER_STEP, Parameters

DAY_S: Final = 86_400
HALF_EQUATOR_M: Final = 20_015_087
EARTH_KM2: Final = 510_064_472
"""From one point to the one opposite, and all of it, on the sphere of protocol.md §2."""

CITY_KM2: Final = 525
COUNTRY_KM2: Final = 93_030
"""Budapest and Hungary, as examples."""

FARM_ACCOUNTS: Final = 10_000
"""How many accounts somebody invents in the examples."""

TOWN: Final = Habit("a town: 1,000 people, each once a minute for two hours a day", 1_000, 120)
DECIMALS: Final = {"STEP": 6, "proofs": 0, "stakes": 0, "validators": 0, "km2": 0}
"""Places after the point; of other units, two."""


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit` is `formula`, in the letters of docs/economy.md."""

    name: str
    value: Fraction
    unit: str
    formula: str

    @property
    def text(self) -> str:
        """Rounded, with commas: `856,083,750.293760`."""
        return rounded(self.value, DECIMALS.get(self.unit, 2))


@dataclass(frozen=True, slots=True)
class Table:
    """Several figures of one kind, written out."""

    name: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Economy:
    """What the figures are of: a chain's parameters, the version of its rules, and how many validators it has; by
    default a new chain's."""

    parameters: Parameters = field(default_factory=new_chain_parameters)
    version: int = RULES_VERSION
    validators: int = 4

    @property
    def stake_ustep(self) -> int:
        """The least stake."""
        return self.parameters.min_stake * USTEP_PER_STEP

    @property
    def proofs_a_second(self) -> Fraction:
        """How many proofs the chain can take: full batches, one each interval."""
        return Fraction(self.parameters.batch_max_proofs * 1_000, self.parameters.batch_interval_ms)

    @property
    def farm(self) -> Habit:
        """Invented accounts that never pause."""
        return Habit(
            f"a farm: {FARM_ACCOUNTS:,} invented accounts that never pause",
            FARM_ACCOUNTS,
            formulas.proofs_a_day_max(self.parameters.moratorium_ms),
        )

    @property
    def habits(self) -> tuple[Habit, ...]:
        """Kinds of users, each alone in the world."""
        return (
            Habit("somebody who proves ten times a day", 1, 10),
            Habit("somebody who proves once a minute for two hours a day", 1, 120),
            Habit("one account that never pauses", 1, formulas.proofs_a_day_max(self.parameters.moratorium_ms)),
            TOWN,
            Habit("a country: 1,000,000 such people", 1_000_000, 120),
            self.farm,
        )


def rounded(value: Fraction, decimals: int) -> str:
    """Half to even, with commas."""
    scaled = round(value * 10**decimals)
    whole, part = divmod(abs(scaled), 10**decimals)
    return f"{'-' if scaled < 0 else ''}{whole:,}" + (f".{part:0{decimals}d}" if decimals else "")


def step(amount_ustep: Fraction | int) -> Fraction:
    """µSTEP in STEP."""
    return Fraction(amount_ustep) / USTEP_PER_STEP


def percent(part: Fraction | int, whole: Fraction | int) -> Fraction:
    """How many hundredths `part` is of `whole`."""
    return 100 * Fraction(part) / Fraction(whole)


def figures(economy: Economy) -> dict[str, Figure]:
    """All of them, by name."""
    found = [
        *_supply(economy),
        *_stakes(economy),
        *_places(economy),
        *_invented_accounts(economy),
        *_validators(economy),
        *_movement(economy.parameters),
    ]
    return {figure.name: figure for figure in found}


def _supply(economy: Economy) -> Iterator[Figure]:
    parameters, last = economy.parameters, range(18, LEVEL_MAX + 1)
    seeded = range(1, parameters.seeded_level + 1)
    halving_ustep = formulas.halving_pays_ustep()
    proofs = sum(map(formulas.level_proofs, LEVELS))
    yield Figure("supply.halving", step(halving_ustep), "STEP", "780 * 2^20 - 220")
    yield Figure("supply.count", Fraction(proofs), "proofs", "220 * (4^20 - 1) / 3 + 560 * 4^20")
    years = Fraction(proofs) / (economy.proofs_a_second * DAY_S * YEAR_DAYS)
    yield Figure("supply.years", years, "years", "supply.count / capacity")
    for version in (ROUNDED, EXACT):
        paid_ustep, end = formulas.levels_pay_ustep(version), f".version{version}"
        rounding_ustep = paid_ustep - halving_ustep
        yield Figure(f"supply.proofs{end}", step(paid_ustep), "STEP", "sum of N * T")
        yield Figure(f"supply.rounding{end}", step(rounding_ustep), "STEP", "supply.proofs - supply.halving")
        share = percent(rounding_ustep, halving_ustep)
        yield Figure(f"supply.rounding_share{end}", share, "%", "supply.rounding / supply.halving")
        late_ustep, late_exact_ustep = formulas.levels_pay_ustep(version, last), formulas.halving_pays_ustep(last)
        late = late_ustep - late_exact_ustep
        yield Figure(f"supply.rounding_18_to_21{end}", step(late), "STEP", "the same of levels 18 to 21")
        yield Figure(
            f"supply.rounding_share_18_to_21{end}", percent(late, late_exact_ustep), "%", "the same of levels 18 to 21"
        )
        deepest_ustep = formulas.level_pays_ustep(version, LEVEL_MAX)
        yield Figure(f"supply.level21{end}", step(deepest_ustep), "STEP", "20 * 4^20 * T")
        yield Figure(
            f"supply.level21_share{end}", percent(deepest_ustep, paid_ustep), "%", "supply.level21 / supply.proofs"
        )
        late_share = percent(late_ustep, paid_ustep)
        yield Figure(f"supply.share_18_to_21{end}", late_share, "%", "sum of N * T of levels 18 to 21 / supply.proofs")
        unpaid = sum(not formulas.proof_pays_ustep(version, LEVEL_MAX, k) for k in range(1, clicks_max(LEVEL_MAX) + 1))
        yield Figure(f"supply.level21_unpaid{end}", Fraction(unpaid), "proofs", "of a triangle of level 21")
        seeded_ustep = formulas.levels_pay_ustep(version, seeded)
        yield Figure(f"supply.seeded{end}", step(seeded_ustep), "STEP", "sum of N * T to seeded_level")
        yield Figure(f"supply.spot{end}", step(formulas.spot_pays_ustep(version)), "STEP", "sum of T")
        all_ustep = formulas.supply_max_ustep(version, parameters.validator_reward_bps)
        yield Figure(
            f"supply.validators{end}", step(all_ustep - paid_ustep), "STEP", "supply.proofs * reward_bps / 10^4"
        )
        yield Figure(f"supply.all{end}", step(all_ustep), "STEP", "supply.proofs + supply.validators")


def _stakes(economy: Economy) -> Iterator[Figure]:
    parameters, stake_ustep, version = economy.parameters, economy.stake_ustep, economy.version
    seeded_ustep = formulas.levels_pay_ustep(version, range(1, parameters.seeded_level + 1))
    yield Figure("stake.least", step(stake_ustep), "STEP", "min_stake")
    yield Figure("stake.of_seeded", percent(stake_ustep, seeded_ustep), "%", "min_stake / supply.seeded")
    stakes = Fraction(formulas.levels_pay_ustep(version) // stake_ustep)
    yield Figure("stake.in_all", stakes, "stakes", "supply.proofs / min_stake, rounded down")
    proofs_a_day = formulas.proofs_a_day_max(parameters.moratorium_ms)
    yield Figure("account.proofs_a_day", proofs_a_day, "proofs", "86,400,000 / moratorium_ms")
    days = formulas.days_at_level(version, stake_ustep, parameters.seeded_level, proofs_a_day)
    yield Figure("stake.years_at_seeded_level", days / YEAR_DAYS, "years", "c * min_stake / T / account.proofs_a_day")
    if stake_ustep <= formulas.levels_pay_ustep(version):
        proofs = formulas.proofs_level_by_level(version, stake_ustep)
        yield Figure("stake.proofs", Fraction(proofs), "proofs", "C(min_stake)")
        years = proofs / (proofs_a_day * YEAR_DAYS)
        yield Figure("stake.years", years, "years", "C(min_stake) / account.proofs_a_day")
        hours = Fraction(proofs) / economy.proofs_a_second / 3_600
        yield Figure("stake.hours_at_capacity", hours, "hours", "C(min_stake) / capacity")


def _places(economy: Economy) -> Iterator[Figure]:
    version = economy.version
    city, country = (Fraction(km2, EARTH_KM2) for km2 in (CITY_KM2, COUNTRY_KM2))
    earth_ustep = formulas.levels_pay_ustep(version)
    yield Figure("city.km2", Fraction(CITY_KM2), "km2", "A")
    city_ustep = formulas.levels_pay_ustep(version, part=city)
    yield Figure("city.all", step(city_ustep), "STEP", "sum of max(1, a * N) * T, a = A / Earth")
    proofs = sum(formulas.level_proofs(level, city) for level in LEVELS)
    yield Figure("city.proofs", Fraction(proofs), "proofs", "sum of max(1, a * N) * c")
    yield Figure("city.years", Fraction(proofs, TOWN.proofs_a_year), "years", "city.proofs / the town's")
    year_ustep = formulas.paid_level_by_level_ustep(version, TOWN.proofs_a_year, city)
    yield Figure("city.year_each", step(Fraction(year_ustep, TOWN.accounts)), "STEP", "S of the city / 1,000")
    yield Figure("country.km2", Fraction(COUNTRY_KM2), "km2", "A")
    country_ustep = formulas.levels_pay_ustep(version, part=country)
    yield Figure("country.all", step(country_ustep), "STEP", "sum of max(1, a * N) * T, a = A / Earth")
    yield Figure(
        "stake.km2", Fraction(EARTH_KM2 * economy.stake_ustep, earth_ustep), "km2", "Earth * min_stake / supply.proofs"
    )
    yield Figure("stake.cities", Fraction(economy.stake_ustep, city_ustep), "cities", "min_stake / city.all")


def _invented_accounts(economy: Economy) -> Iterator[Figure]:
    parameters, version = economy.parameters, economy.version
    yield Figure("capacity", economy.proofs_a_second, "proofs/s", "1000 * batch_max_proofs / batch_interval_ms")
    once_ustep = formulas.paid_level_by_level_ustep(version, FARM_ACCOUNTS)
    yield Figure("farm.once", step(once_ustep), "STEP", "S(10,000)")
    yield Figure("farm.account_once", step(Fraction(once_ustep, FARM_ACCOUNTS)), "STEP", "S(10,000) / 10,000")
    day_ustep = formulas.paid_level_by_level_ustep(version, int(economy.farm.accounts * economy.farm.proofs_a_day))
    yield Figure("farm.day", step(day_ustep), "STEP", "S(10,000 * account.proofs_a_day)")
    pace, town_pace = (habit.accounts * habit.proofs_a_day for habit in (economy.farm, TOWN))
    yield Figure("farm.beside_town", percent(pace, pace + town_pace), "%", "the farm's proofs / both's")
    seeded = range(1, parameters.seeded_level + 1)
    seeded_proofs = sum(map(formulas.level_proofs, seeded))
    yield Figure("farm.seeded_proofs", Fraction(seeded_proofs), "proofs", "220 * (4^seeded_level - 1) / 3")
    hours = seeded_proofs / economy.proofs_a_second / 3_600
    yield Figure("farm.seeded_hours", hours, "hours", "farm.seeded_proofs / capacity")
    for name, seats in (("halting", _seats_to_halt(economy)), ("ruling", _seats_to_rule(economy))):
        yield Figure(f"farm.{name}_stakes", Fraction(seats), "stakes", f"the least that {name} takes beside V others")
        amount_ustep = seats * economy.stake_ustep
        if amount_ustep <= formulas.levels_pay_ustep(version):
            proofs = formulas.proofs_level_by_level(version, amount_ustep)
            yield Figure(f"farm.{name}_proofs", Fraction(proofs), "proofs", f"C(farm.{name}_stakes * min_stake)")
            hours = proofs / economy.proofs_a_second / 3_600
            yield Figure(f"farm.{name}_hours", hours, "hours", f"C(farm.{name}_stakes * min_stake) / capacity")


def _seats_to_halt(economy: Economy) -> int:
    """How many validators must join before the others are no quorum of all: ceil(2N/3) (protocol.md §4)."""
    seats, others = 1, economy.validators
    while 3 * others >= 2 * (others + seats):
        seats += 1
    return seats


def _seats_to_rule(economy: Economy) -> int:
    """How many validators must join until they are a quorum themselves: twice as many as the others."""
    return 2 * economy.validators


def _validators(economy: Economy) -> Iterator[Figure]:
    parameters, version, count = economy.parameters, economy.version, economy.validators
    bps = parameters.validator_reward_bps
    yield Figure("validators", Fraction(count), "validators", "V")
    if bps:
        yield Figure(
            "validator.batch_least", Fraction(BASIS_POINTS, bps), "µSTEP", "10^4 / reward_bps: less pays nothing"
        )
    seeded_ustep = formulas.levels_pay_ustep(version, range(1, parameters.seeded_level + 1))
    for name, paid_ustep in (("seeded", seeded_ustep), ("all", formulas.levels_pay_ustep(version))):
        each = Fraction(formulas.validators_pay_ustep(paid_ustep, bps), count)
        yield Figure(f"validator.of_{name}", step(each), "STEP", "paid * reward_bps / 10^4 / V")
        yield Figure(f"validator.of_{name}_share", percent(each, economy.stake_ustep), "%", "of min_stake")
    for name in ("double_sign", "invalid", "offline"):
        share_bps = getattr(parameters, f"slash_{name}_bps")
        lost_ustep = formulas.slash_ustep(economy.stake_ustep, share_bps)
        yield Figure(f"slash.{name}", step(lost_ustep), "STEP", f"min_stake * slash_{name}_bps / 10^4")
        if bps:
            paid = formulas.paid_to_earn_ustep(lost_ustep, bps, count)
            yield Figure(f"slash.{name}_paid", step(paid), "STEP", f"slash.{name} * V * 10^4 / reward_bps")
    yield from _absence_beside_a_town(economy)
    conspirators = (count - 1) // 3 + 1
    forking_ustep = conspirators * formulas.slash_ustep(economy.stake_ustep, parameters.slash_double_sign_bps)
    yield Figure("slash.fork", step(forking_ustep), "STEP", "(f + 1) * slash.double_sign")


def _absence_beside_a_town(economy: Economy) -> Iterator[Figure]:
    """What each validator earns by the town's proofs, and how many years of that one absence costs."""
    first, second, mean = _earned_by_the_town(economy)
    yield Figure("validator.town_year", step(first), "STEP", "S(the town's first year) * reward_bps / 10^4 / V")
    yield Figure("validator.town_year_share", percent(first, economy.stake_ustep), "%", "of min_stake")
    yield Figure("validator.town_second_year_share", percent(second, economy.stake_ustep), "%", "of min_stake")
    lost_ustep = formulas.slash_ustep(economy.stake_ustep, economy.parameters.slash_offline_bps)
    if mean:
        yield Figure("slash.offline_first_years", lost_ustep / first, "years", "slash.offline / validator.town_year")
        yield Figure(
            "slash.offline_mean_years", lost_ustep / mean, "years", "the same, of a mean year of the first ten"
        )


def _earned_by_the_town(economy: Economy) -> tuple[Fraction, Fraction, Fraction]:
    """By each validator in µSTEP: in the first year, in the second, and in a mean one of the first ten."""
    shares = Fraction(economy.parameters.validator_reward_bps, BASIS_POINTS * economy.validators)
    first, two, ten = (
        shares * formulas.paid_level_by_level_ustep(economy.version, TOWN.proofs_a_year * years) for years in (1, 2, 10)
    )
    return first, two - first, ten / 10


def _movement(parameters: Parameters) -> Iterator[Figure]:
    reach_km = Fraction(parameters.speed_limit_mps * parameters.speed_horizon_ms, 10**6)
    yield Figure("movement.km_in_horizon", reach_km, "km", "speed_limit_mps * speed_horizon_ms")
    days = Fraction(HALF_EQUATOR_M, parameters.speed_limit_mps * DAY_S)
    yield Figure("movement.days_to_antipode", days, "days", "pi * 6,371,000 m / speed_limit_mps")


# --- tables ------------------------------------------------------------------------------------------------------


def levels_table() -> Table:
    """What each level pays, exactly and by both versions, in STEP."""
    rows = []
    for level in LEVELS:
        exact_ustep = formulas.halving_pays_ustep([level])
        paid_ustep = [formulas.level_pays_ustep(version, level) for version in (ROUNDED, EXACT)]
        rows.append(
            (
                str(level),
                f"{mesh_triangles(level):,}",
                *(rounded(step(formulas.triangle_pays_ustep(version, level)), 6) for version in (ROUNDED, EXACT)),
                rounded(step(exact_ustep), 0),
                *(rounded(step(amount_ustep), 0) for amount_ustep in paid_ustep),
                *(rounded(percent(amount_ustep - exact_ustep, exact_ustep), 2) for amount_ustep in paid_ustep),
            )
        )
    headings = ("L", "N", "T, 1", "T, 2", "exact", "N * T, 1", "N * T, 2", "rounding %, 1", "rounding %, 2")
    return Table("levels", headings, tuple(rows))


def users_table(economy: Economy) -> Table:
    """How long each kind of user takes, if it is alone and uses up the mesh in the dearest order."""
    rows = []
    for habit in economy.habits:
        paid_ustep = formulas.paid_level_by_level_ustep(economy.version, habit.proofs_a_year)
        year_ustep = Fraction(paid_ustep, habit.accounts)
        times = [_years(economy.version, amount_ustep, habit) for amount_ustep in (10**8, 10**10, economy.stake_ustep)]
        rows.append((habit.name, rounded(step(year_ustep), 2), *times))
    headings = ("who", "STEP each in the first year", "100 STEP each", "10,000 STEP each", "a stake each")
    return Table("users", headings, tuple(rows))


def _years(version: int, amount_ustep: int, habit: Habit) -> str:
    """`3.2 years`, `5 days` or `never`, where there is not so much."""
    if habit.accounts * amount_ustep > formulas.levels_pay_ustep(version):
        return "never"
    days = formulas.days_to_each(version, amount_ustep, habit)
    if days < Fraction(1, 24):
        return f"{rounded(days * 24 * 60, 1)} minutes"
    if days < 2:
        return f"{rounded(days * 24, 1)} hours"
    return f"{rounded(days, 1)} days" if days < YEAR_DAYS else f"{rounded(days / YEAR_DAYS, 1)} years"


def validators_table(economy: Economy) -> Table:
    """What each of the validators earns where so many proofs come, and how long it works for what absence costs."""
    parameters, stake_ustep = economy.parameters, economy.stake_ustep
    lost_ustep = formulas.slash_ustep(stake_ustep, parameters.slash_offline_bps)
    rows = []
    for proofs_a_day in (1_000, 120_000, 10_000_000, int(economy.proofs_a_second * DAY_S)):
        earned = []
        for years in (1, 2, 10):
            paid_ustep = formulas.paid_level_by_level_ustep(economy.version, proofs_a_day * YEAR_DAYS * years)
            earned.append(Fraction(paid_ustep * parameters.validator_reward_bps, BASIS_POINTS * economy.validators))
        first, second = earned[0], earned[1] - earned[0]
        rows.append(
            (
                f"{proofs_a_day:,}",
                rounded(step(first), 0),
                rounded(percent(first, stake_ustep), 2),
                rounded(percent(second, stake_ustep), 2),
                rounded(percent(earned[2], stake_ustep), 2),
                rounded(lost_ustep / first, 2) if first else "never",
            )
        )
    headings = (
        "proofs a day",
        "STEP each, year 1",
        "% of the stake, year 1",
        "year 2",
        "ten years",
        "years 1 that absence costs",
    )
    return Table("validators", headings, tuple(rows))


def tables(economy: Economy) -> tuple[Table, ...]:
    """All of them."""
    return levels_table(), users_table(economy), validators_table(economy)
