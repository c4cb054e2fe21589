"""What a proof pays, and what validators share (protocol.md §3)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.ledger.rewards import rounded_reward_ustep, validator_rewards_ustep


@pytest.mark.parametrize(
    ("level", "reward_ustep"), [(1, 1_000_000), (2, 500_000), (7, 15_625), (10, 1_953), (20, 2), (21, 1)]
)
def test_a_proof_pays_what_the_protocol_says(level: int, reward_ustep: int) -> None:
    assert rounded_reward_ustep(level, 1) == reward_ustep


@pytest.mark.parametrize("level", range(1, 22))
def test_a_reward_is_the_exact_fraction_rounded_half_up(level: int) -> None:
    exact = Fraction(10**6, 2 ** (level - 1))
    assert rounded_reward_ustep(level, 1) == (exact + Fraction(1, 2)).__floor__()


def test_signers_share_alike_and_the_proposer_gets_the_remainder() -> None:
    rewards = validator_rewards_ustep(1_953, 500, [b"a", b"b", b"c"], b"b")
    assert rewards == {b"a": 32, b"b": 33, b"c": 32}  # 1,953 · 5 % = 97 = 3 · 32 + 1


def test_a_proposer_that_did_not_sign_still_gets_the_remainder() -> None:
    assert validator_rewards_ustep(1_953, 500, [b"a", b"b", b"c"], b"d") == {b"a": 32, b"b": 32, b"c": 32, b"d": 1}


def test_nobody_is_rewarded_without_signers() -> None:
    assert validator_rewards_ustep(10**6, 500, [], b"d") == {}


@given(
    paid_ustep=st.integers(0, 10**12),
    reward_bps=st.integers(0, 10_000),
    signers=st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=100, unique=True),
    proposer=st.binary(min_size=20, max_size=20),
)
def test_the_pool_is_given_out_to_the_last_unit(
    paid_ustep: int, reward_bps: int, signers: list[bytes], proposer: bytes
) -> None:
    rewards = validator_rewards_ustep(paid_ustep, reward_bps, signers, proposer)
    assert sum(rewards.values()) == paid_ustep * reward_bps // 10_000
    assert all(reward > 0 for reward in rewards.values())
