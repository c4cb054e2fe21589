"""The rate of minting, how few hold how much, stakes that answer for nothing: what they are, and when they break."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.economy.guardrails.band import Origin
from step_node.economy.guardrails.drifts import (
    BASELINE_HOURS,
    HOUR_MS,
    NOBODY,
    Minting,
    concentration_bps,
    held_ustep,
    orphaned_stake,
)
from step_node.economy.guardrails.guardrail import Guardrail
from step_node.economy.guardrails.guardrails import Guardrails, Limits
from step_node.ledger.records import ChainRecord, ValidatorRecord, ValidatorState
from tests.economy.guardrails.guarded_world import GuardedWorld
from tests.support.proofs import START_MS, signed_proof


def chain_at(hour: float, minted_ustep: int, *, stakes_ustep: int = 0) -> ChainRecord:
    return ChainRecord(
        height=1,
        batch_hash=bytes(32),
        timestamp_ms=int(hour * HOUR_MS),
        proposer=NOBODY,
        paid_ustep=0,
        minted_ustep=minted_ustep,
        balances_ustep=minted_ustep - stakes_ustep,
        stakes_ustep=stakes_ustep,
        burnt_ustep=0,
    )


def after_hours(hours: int, each_ustep: int) -> tuple[Minting, ChainRecord]:
    """So many hours, each with two batches that mint the same together, and the first batch of the next."""
    chain = chain_at(0, 0)
    minting = Minting.begin(chain)
    for hour in range(hours):
        for at, minted in ((hour + 0.3, each_ustep // 2), (hour + 0.7, each_ustep - each_ustep // 2)):
            after = chain_at(at, chain.minted_ustep + minted)
            minting, chain = minting.after(chain, after), after
    after = chain_at(hours + 0.1, chain.minted_ustep)
    return minting.after(chain, after), after


def test_the_baseline_is_what_an_hour_mints() -> None:
    minting, chain = after_hours(30, 1_000)
    assert minting.baseline_ustep == 1_000
    assert minting.present_ustep(chain) == 0
    assert minting.bound_ustep(4, 0) == 4_000
    assert minting.bound_ustep(4, 5_000) == 20_000


def test_nothing_is_too_much_before_a_day_has_been_seen() -> None:
    assert after_hours(BASELINE_HOURS - 1, 1_000)[0].bound_ustep(4, 0) is None
    assert after_hours(BASELINE_HOURS, 1_000)[0].bound_ustep(4, 0) == 4_000


def test_growth_becomes_usual_and_hours_without_a_batch_count_as_nothing() -> None:
    minting, chain = after_hours(30, 24_000)
    grown = chain_at(30.5, chain.minted_ustep + 48_000)
    minting = minting.after(chain, grown)
    assert minting.present_ustep(grown) == 48_000
    later = chain_at(31.1, grown.minted_ustep)
    assert minting.after(grown, later).baseline_ustep == 25_000
    # One hour of 48,000, then ten of nothing.
    away = minting.after(grown, chain_at(41.1, grown.minted_ustep))
    assert away.hour == 41
    assert 15_000 < away.baseline_ustep < 17_000
    assert minting.after(grown, chain_at(10**6, grown.minted_ustep)).baseline_ustep <= 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**12)), max_size=60))
def test_the_baseline_never_leaves_what_hours_have_minted(moves: list[tuple[int, int]]) -> None:
    chain = chain_at(0, 0)
    minting, most_ustep, hours = Minting.begin(chain), 0, 0
    for passing, minted in moves:
        hours += passing
        after = chain_at(hours, chain.minted_ustep + minted)
        minting = minting.after(chain, after)
        most_ustep = max(most_ustep, chain.minted_ustep - 0)
        chain = after
        assert -1 <= minting.baseline_ustep <= most_ustep
        assert 0 <= minting.hours <= BASELINE_HOURS


def test_a_surge_is_told_in_its_own_hour_and_is_over_with_the_next() -> None:
    world = GuardedWorld(limits=Limits(minting_factor=2, minting_floor_ustep=10_000), speed_limit_mps=300_000_000)
    start = START_MS // HOUR_MS * HOUR_MS + HOUR_MS
    for hour in range(BASELINE_HOURS + 1):
        at_ms = start + hour * HOUR_MS
        world.apply(signed_proof("usual", lat=hour, timestamp_ms=at_ms), at_ms=at_ms)
    assert not world.breaches
    at_ms = start + (BASELINE_HOURS + 1) * HOUR_MS
    world.apply(*(signed_proof(f"s-{n}", lat=-60 + n, timestamp_ms=at_ms) for n in range(10)), at_ms=at_ms)
    assert not world.breaches
    world.apply(*(signed_proof(f"t-{n}", lat=-30 + n, timestamp_ms=at_ms) for n in range(2)), at_ms=at_ms + 1_000)
    assert [breach.guardrail for breach in world.breaches] == [Guardrail.MINTING_RATE]
    assert world.breaches[0].bound == 20_000 < (world.breaches[0].figure or 0)
    world.apply(signed_proof("usual", lat=50, timestamp_ms=at_ms + HOUR_MS), at_ms=at_ms + HOUR_MS)
    assert not world.guardrails.broken


# --- concentration ----------------------------------------------------------------------------------------------------


def validator(state: ValidatorState = ValidatorState.ACTIVE, **fields: object) -> ValidatorRecord:
    made = ValidatorRecord(bytes([1]) * 20, bytes(33), 100, "/memory/x", bytes([2]) * 20, state)
    return replace(made, **fields)  # type: ignore[arg-type]


def test_what_an_account_holds_is_its_balance_and_its_stakes() -> None:
    owner = bytes([2]) * 20
    assert held_ustep({owner: 5, NOBODY: 1}, [validator(), validator()]) == {owner: 205, NOBODY: 1}
    assert held_ustep({}, [validator()]) == {owner: 100}


def test_the_ten_largest_are_compared_with_all_that_was_not_burnt() -> None:
    held = {bytes([n]) * 20: 10 for n in range(100)}
    assert concentration_bps(held, chain_at(0, 1_000)) == 1_000
    assert concentration_bps(held, replace(chain_at(0, 1_000), burnt_ustep=500)) == 2_000
    assert concentration_bps({}, chain_at(0, 0)) == 0


# --- orphaned stake ---------------------------------------------------------------------------------------------------

CHAIN = replace(chain_at(1, 1_000, stakes_ustep=1_000), height=50)
NOW_MS = CHAIN.timestamp_ms


@pytest.mark.parametrize(
    ("record", "is_orphaned"),
    [
        (validator(), False),
        (validator(ValidatorState.LEAVING), False),
        (validator(ValidatorState.WAITING, active_from_height=51), False),
        (validator(ValidatorState.UNBONDING, locked_until_ms=NOW_MS + 1), False),
        (validator(ValidatorState.UNBONDING, locked_until_ms=NOW_MS), True),
        (validator(ValidatorState.JAILED, locked_until_ms=NOW_MS + 1), False),
        (validator(ValidatorState.JAILED, locked_until_ms=NOW_MS), True),
        (validator(ValidatorState.JAILED, locked_until_ms=NOW_MS, stake_ustep=0), False),
        (validator(ValidatorState.ROTATED, stake_ustep=0, locked_until_ms=NOW_MS), False),
        (validator(owner=NOBODY), True),
    ],
)
def test_a_stake_is_orphaned_once_it_answers_for_nothing(record: ValidatorRecord, is_orphaned: bool) -> None:
    orphaned = orphaned_stake([record], CHAIN)
    assert (orphaned.stake_ustep, orphaned.share_bps(CHAIN)) == ((100, 1_000) if is_orphaned else (0, 0))
    assert not orphaned.is_impossible


@pytest.mark.parametrize(
    "record", [validator(ValidatorState.ROTATED), validator(ValidatorState.WAITING, active_from_height=50)]
)
def test_a_stake_where_the_rules_put_none_breaks_the_guardrail_however_small_it_is(record: ValidatorRecord) -> None:
    assert orphaned_stake([record], CHAIN).is_impossible
    world = GuardedWorld()
    head = replace(world.head, chain=CHAIN, validators=(record,))
    guardrails = Guardrails(Origin(0, 1, counts_all=True), head, {}, limits=Limits(orphaned_bps_max=10_000))
    (breach,) = guardrails.look({})
    assert breach.guardrail is Guardrail.ORPHANED_STAKE
    assert "where the rules put none" in breach.message


def test_drifts_come_and_go_with_their_figures() -> None:
    world = GuardedWorld()
    record = validator(ValidatorState.JAILED, locked_until_ms=NOW_MS)
    head = replace(world.head, chain=CHAIN, validators=(record,))
    limits = Limits(orphaned_bps_max=900, concentration_bps_max=5_000, concentration_accounts_min=3)
    guardrails = Guardrails(Origin(0, 1, counts_all=True), head, {}, limits=limits)
    few = {bytes([9]) * 20: 900}
    assert [breach.guardrail for breach in guardrails.look(few)] == [Guardrail.ORPHANED_STAKE]
    many = {bytes([n]) * 20: 200 for n in range(9, 13)}
    assert [breach.guardrail for breach in guardrails.look(many)] == [Guardrail.CONCENTRATION]
    assert guardrails.look(many) == ()
    assert set(guardrails.broken) == {Guardrail.CONCENTRATION, Guardrail.ORPHANED_STAKE}
    assert guardrails.kept.broken == {}
    guardrails.limits = Limits(orphaned_bps_max=1_000, concentration_bps_max=9_000, concentration_accounts_min=3)
    guardrails.look(many)
    assert not guardrails.broken


def test_every_guardrail_has_a_reading() -> None:
    guardrails = GuardedWorld().guardrails
    assert [reading.guardrail for reading in guardrails.readings()] == list(Guardrail)
    supply = next(reading for reading in guardrails.readings() if reading.guardrail is Guardrail.SUPPLY)
    assert supply.figure == supply.bound == guardrails.head.chain.minted_ustep
