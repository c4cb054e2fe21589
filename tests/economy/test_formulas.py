"""The closed forms against sums that are written out, and against the ledger that nodes run."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh import TriangleId, locate
from step_node.economy import formulas
from step_node.economy.formulas import LEVELS, Habit
from step_node.ledger.active_triangle import active_of, standings, triangles_at
from step_node.ledger.level_counts import CountsByLevel, add_counts, counts_of_receipts
from step_node.ledger.offences import Offence, OffenceKind
from step_node.ledger.records import TriangleState
from step_node.ledger.rewards import validator_rewards_ustep
from step_node.ledger.rules import RULES
from step_node.ledger.state import Receipt
from step_node.ledger.state_gates import clicks_max
from step_node.proofs.proof import SignedProof
from tests.ledger.world import World
from tests.support.chains import make_genesis
from tests.support.proofs import START_MS

VERSIONS = sorted(RULES)
LAT, LON = 47.4979, 19.0402

_strangers = count(1)


def strangers_proof(triangle: TriangleId) -> SignedProof:
    """Of an account that was never seen; unsigned, since the ledger looks at no signatures."""
    number = next(_strangers)
    stranger, proof_id = number.to_bytes(20, "big"), number.to_bytes(32, "big")
    return SignedProof(stranger, triangle, LAT, LON, 5.0, START_MS, "n", bytes(65), proof_id)


def world_of(version: int, seeded_level: int = 10) -> World:
    world = World(seeded_level=seeded_level)
    world.head = make_genesis(4, seeded_level=seeded_level).model_copy(update={"protocol_version": version}).head()
    return world


def click(world: World, triangles: list[TriangleId]) -> tuple[Receipt, ...]:
    return world.apply(*map(strangers_proof, triangles)).receipts


def paid_ustep(receipts: tuple[Receipt, ...]) -> int:
    return sum(receipt.reward_ustep for receipt in receipts)


# --- against the ledger ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("seeded_level", [1, 10])
def test_a_spot_that_is_walked_through_all_levels_pays_what_the_formula_says(version: int, seeded_level: int) -> None:
    world = world_of(version, seeded_level=seeded_level)
    for triangle in triangles_at(LAT, LON):
        receipts = click(world, [triangle] * clicks_max(triangle.level))
        assert [receipt.reward_ustep for receipt in receipts] == [
            formulas.proof_pays_ustep(version, triangle.level, receipt.clicks) for receipt in receipts
        ]
        assert paid_ustep(receipts) == formulas.triangle_pays_ustep(version, triangle.level)
    assert receipts[-1].triangle_state is TriangleState.EXHAUSTED
    minted_ustep = world.head.chain.minted_ustep - make_genesis(4).supply_ustep
    rewarded_ustep = minted_ustep - formulas.spot_pays_ustep(version)
    # The last batch has not paid its validators yet.
    due_ustep = [
        formulas.validators_pay_ustep(formulas.triangle_pays_ustep(version, level), 500) for level in LEVELS[:-1]
    ]
    assert rewarded_ustep == sum(due_ustep)


def levels_below(top: TriangleId, levels: int) -> Iterator[list[TriangleId]]:
    """`top`, its children, their children and so on: so many levels."""
    level = [top]
    for _ in range(levels):
        yield level
        level = [child for triangle in level for child in triangle.children] if level[0].level < 21 else []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("level", [1, 10, 19])
def test_a_part_of_the_mesh_that_is_used_up_pays_its_part_of_what_the_levels_pay(version: int, level: int) -> None:
    world = world_of(version, seeded_level=level)
    top = locate(LAT, LON, level)
    paid_by_ledger_ustep, counts = 0, CountsByLevel()
    for triangles in levels_below(top, 3):
        receipts = click(world, [triangle for triangle in triangles for _ in range(clicks_max(triangle.level))])
        paid_by_ledger_ustep += paid_ustep(receipts)
        add_counts(counts, counts_of_receipts(receipts))
    part = Fraction(1, 20 * 4 ** (level - 1))
    assert paid_by_ledger_ustep == part * formulas.levels_pay_ustep(version, range(level, level + 3))
    assert formulas.paid_bounds_ustep(version, counts) == (paid_by_ledger_ustep, paid_by_ledger_ustep)


@settings(deadline=None, max_examples=40)
@given(
    version=st.sampled_from(VERSIONS), clicks=st.lists(st.tuples(st.integers(0, 3), st.integers(5, 21)), max_size=60)
)
def test_whatever_is_clicked_the_ledger_pays_within_the_bounds(version: int, clicks: list[tuple[int, int]]) -> None:
    world = world_of(version, seeded_level=21)
    wanted: dict[TriangleId, int] = {}
    for place, level in clicks:
        triangle = locate(LAT + place, LON, level)
        wanted[triangle] = min(wanted.get(triangle, 0) + 1 + place, clicks_max(level))
    receipts = click(world, [triangle for triangle, times in wanted.items() for _ in range(times)])
    least_ustep, most_ustep = formulas.paid_bounds_ustep(version, counts_of_receipts(receipts))
    assert least_ustep <= paid_ustep(receipts) <= most_ustep
    assert most_ustep - least_ustep <= len(wanted)


@given(paid_ustep=st.integers(0, 10**12), reward_bps=st.integers(0, 10_000), signers=st.integers(1, 100))
def test_validators_are_paid_what_the_formula_says(paid_ustep: int, reward_bps: int, signers: int) -> None:
    addresses = [number.to_bytes(20, "big") for number in range(signers)]
    rewards = validator_rewards_ustep(paid_ustep, reward_bps, addresses, bytes(20))
    assert sum(rewards.values()) == formulas.validators_pay_ustep(paid_ustep, reward_bps)
    assert rewards.get(addresses[-1], 0) >= formulas.validator_pays_ustep(paid_ustep, reward_bps, signers)
    assert all(
        rewards.get(one, 0) == formulas.validator_pays_ustep(paid_ustep, reward_bps, signers) for one in addresses[1:]
    )


@pytest.mark.parametrize(
    ("kind", "name"),
    [(OffenceKind.DOUBLE_SIGN, "double_sign"), (OffenceKind.INVALID_VOTE, "invalid"), (OffenceKind.OFFLINE, "offline")],
)
def test_an_offence_burns_what_the_formula_says(kind: OffenceKind, name: str) -> None:
    world = World()
    before, culprit = world.head.chain, world.head.validators[0]
    offence = Offence(kind, culprit.address, 1, b"")
    (slashing,) = world.apply(offences=[offence]).slashings
    share_bps = getattr(world.head.parameters, f"slash_{name}_bps")
    assert slashing.amount_ustep == formulas.slash_ustep(culprit.stake_ustep, share_bps)
    assert (world.head.chain.burnt_ustep, world.head.chain.minted_ustep) == (slashing.amount_ustep, before.minted_ustep)


@pytest.mark.parametrize("seeded_level", [1, 5, 21])
def test_who_proves_in_the_active_triangle_is_paid_alike_whatever_level_is_seeded(seeded_level: int) -> None:
    places = [(LAT + step / 10, LON) for step in range(12)] * 4
    histories = []
    for level in (10, seeded_level):
        world, receipts = world_of(formulas.EXACT, seeded_level=level), list[Receipt]()
        for lat, lon in places:
            column = triangles_at(lat, lon)
            records = {int(one): world.triangles.get(int(one)) for one in column}
            active = active_of(standings(column, records, level))
            assert active is not None
            receipts += click(world, [active.triangle])
        histories.append([(one.triangle, one.clicks, one.reward_ustep, one.triangle_state) for one in receipts])
    assert histories[0] == histories[1]


# --- against sums that are written out -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_proof_pays_what_the_rules_of_its_version_say(version: int, level: int) -> None:
    for number in range(1, clicks_max(level) + 1):
        assert formulas.proof_pays_ustep(version, level, number) == RULES[version].proof_reward_ustep(level, number)


def test_the_formulas_know_every_version_of_the_rules_and_say_so_of_others() -> None:
    assert VERSIONS == [formulas.ROUNDED, formulas.EXACT]
    with pytest.raises(ValueError, match="version: must be 1 or 2"):
        formulas.levels_pay_ustep(max(VERSIONS) + 1)


def test_the_halving_pays_its_closed_form() -> None:
    for last in range(1, 21):
        assert formulas.halving_pays_ustep(range(1, last + 1)) == 220 * (2**last - 1) * 10**6
    assert formulas.halving_pays_ustep() == (780 * 2**20 - 220) * 10**6


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("proofs", [0, 1, 11, 12, 219, 220, 221, 1_100, 4_999, 5_003])
def test_level_by_level_is_the_sum_of_the_dearest_proofs(version: int, proofs: int) -> None:
    written_out = (
        formulas.proof_pays_ustep(version, level, number)
        for level in LEVELS
        for _ in range(20 * 4 ** (level - 1))
        for number in range(1, clicks_max(level) + 1)
    )
    total_ustep = sum(next(written_out) for _ in range(proofs))
    assert formulas.paid_level_by_level_ustep(version, proofs) == total_ustep


@given(version=st.sampled_from(VERSIONS), amount_ustep=st.integers(0, 795_310_451_298_560))
def test_so_many_proofs_and_no_fewer_pay_an_amount(version: int, amount_ustep: int) -> None:
    proofs = formulas.proofs_level_by_level(version, amount_ustep)
    assert formulas.paid_level_by_level_ustep(version, proofs) >= amount_ustep
    assert proofs == 0 or formulas.paid_level_by_level_ustep(version, proofs - 1) < amount_ustep


@pytest.mark.parametrize("version", VERSIONS)
def test_no_proofs_pay_more_than_all_there_is(version: int) -> None:
    everything_ustep = formulas.levels_pay_ustep(version)
    proofs = sum(map(formulas.level_proofs, LEVELS))
    assert formulas.paid_level_by_level_ustep(version, proofs) == everything_ustep
    assert formulas.paid_level_by_level_ustep(version, proofs + 1) == everything_ustep
    with pytest.raises(ValueError, match="more than all proofs are ever paid"):
        formulas.proofs_level_by_level(version, everything_ustep + 1)


def test_the_square_of_an_amount_through_660_is_near_the_proofs_that_it_takes() -> None:
    for amount_step in (1_000, 10_000, 100_000, 1_000_000):
        proofs = formulas.proofs_level_by_level(formulas.EXACT, amount_step * 10**6)
        # Within a level the curve is straight, so it lies over the parabola, by up to an eighth.
        assert 1 <= Fraction(proofs, amount_step**2) * 660 <= Fraction(9, 8) + Fraction(700, amount_step)


@given(
    version=st.sampled_from(VERSIONS),
    part=st.fractions(Fraction(1, 10**12), 1),
    share=st.fractions(0, 1, max_denominator=10**6),
)
def test_a_part_of_the_earth_pays_its_part_and_what_is_larger_than_it(
    version: int, part: Fraction, share: Fraction
) -> None:
    everything_ustep = formulas.levels_pay_ustep(version)
    part_ustep = formulas.levels_pay_ustep(version, part=part)
    # One triangle of each level that is larger, and less than one of each that is smaller.
    assert part * everything_ustep - formulas.spot_pays_ustep(version) < part_ustep
    assert part_ustep < part * everything_ustep + formulas.spot_pays_ustep(version)
    proofs = int(share * sum(formulas.level_proofs(level, part) for level in LEVELS))
    paid_ustep = formulas.paid_level_by_level_ustep(version, proofs, part)
    assert paid_ustep <= min(part_ustep, formulas.paid_level_by_level_ustep(version, proofs))
    assert share < 1 or paid_ustep == part_ustep


def test_a_hundred_that_share_take_a_hundred_times_as_long() -> None:
    alone, together = Habit("alone", 1, 100), Habit("together", 100, 100)
    days = formulas.days_to_each(formulas.EXACT, 10**10, alone)
    assert 90 < formulas.days_to_each(formulas.EXACT, 10**10, together) / days < 110
