"""Whose time is whose, and who has to wait."""

from __future__ import annotations

import pytest

from p2p.loop_time import ACCOUNTS_MAX, RESERVED, STRANGERS, LoopTime
from p2p.network import PeerId
from tests.p2p.worlds import Clock

VALIDATOR, STRANGER, OTHER = PeerId("validator"), PeerId("stranger"), PeerId("other")


def loop_time(clock: Clock | None = None) -> LoopTime:
    return LoopTime(Clock() if clock is None else clock, lambda: frozenset({VALIDATOR}))


def test_who_has_used_up_the_burst_waits_until_the_rate_has_made_up_for_it() -> None:
    clock = Clock()
    account = loop_time(clock).of_address("192.0.2.1")
    account.spend(STRANGERS.burst_ms)
    assert account.debt_seconds() == 0
    account.spend(STRANGERS.ms_per_second)
    assert account.debt_seconds() == pytest.approx(1)
    clock.now += 0.25
    assert account.debt_seconds() == pytest.approx(0.75)
    clock.now += 10_000
    assert account.is_full


def test_strangers_behind_one_address_have_one_account_and_a_new_identity_is_nothing_new() -> None:
    times = loop_time()
    times.of_peer(STRANGER, "192.0.2.1").spend(STRANGERS.burst_ms + 1)
    assert times.of_peer(OTHER, "192.0.2.1").debt_seconds() > 0
    assert times.of_address("192.0.2.1").debt_seconds() > 0
    assert times.of_peer(OTHER, "192.0.2.2").debt_seconds() == 0


def test_a_validator_has_an_account_of_its_own_whatever_strangers_at_its_address_do() -> None:
    times = loop_time()
    times.of_address("192.0.2.1").spend(1_000_000)
    account = times.of_peer(VALIDATOR, "192.0.2.1")
    account.spend(RESERVED.burst_ms)
    assert account.debt_seconds() == 0
    assert times.of_peer(VALIDATOR, "192.0.2.2") is account


def test_the_processors_time_is_what_counts() -> None:
    clock = Clock()
    account = loop_time(clock).of_address("192.0.2.1")
    assert account.is_full
    with account.measured():
        sum(range(100_000))
    assert not account.is_full


def test_a_name_that_looks_like_an_address_gets_nothing_by_it() -> None:
    times = LoopTime(Clock(), lambda: frozenset({PeerId("192.0.2.1")}))
    assert times.of_peer(PeerId("192.0.2.1"), "192.0.2.9") is not times.of_address("192.0.2.1")


def test_accounts_in_use_outlast_those_that_are_full_and_there_are_never_too_many() -> None:
    times = loop_time()
    times.of_address("debtor").spend(STRANGERS.burst_ms + 10)
    for number in range(ACCOUNTS_MAX):
        times.of_address(f"visitor {number}")
        assert len(times) <= ACCOUNTS_MAX
    assert times.of_address("debtor").debt_seconds() > 0
    for number in range(ACCOUNTS_MAX):
        times.of_address(f"spender {number}").spend(1)
        assert len(times) <= ACCOUNTS_MAX
