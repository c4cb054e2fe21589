"""Validator sets, quorums, proposers, and how long a wait lasts."""

import hashlib

import pytest

from consensus.values import VALIDATORS_MAX, TimeoutKind, Timeouts, ValidatorSet
from tests.consensus.network import address, validator_set


@pytest.mark.parametrize("count", range(1, VALIDATORS_MAX + 1))
def test_two_quorums_share_an_honest_validator_and_the_honest_make_one(count: int) -> None:
    validators = ValidatorSet(
        tuple(type(validator_set(1).validators[0])(number.to_bytes(20, "big"), bytes(33), 1) for number in range(count))
    )
    assert 2 * validators.quorum - count > validators.faults_max
    assert validators.quorum <= count - validators.faults_max
    assert validators.quorum == (2 * count + 2) // 3


def test_the_proposer_is_the_validator_at_height_plus_round() -> None:
    validators = validator_set(4)
    proposers = [validators.proposer(5, number).address for number in range(5)]
    assert proposers == [address(1), address(2), address(3), address(0), address(1)]


def test_the_hash_is_over_address_key_and_stake_in_the_order_of_addresses() -> None:
    validators = validator_set(3)
    expected = hashlib.sha256(
        b"".join(address(index) + b"\x02" * 33 + (100).to_bytes(8, "big") for index in range(3))
    ).digest()
    assert validators.hash == expected
    assert ValidatorSet.of(reversed(validators.validators)).hash == expected


def test_membership() -> None:
    validators = validator_set(4)
    assert address(2) in validators
    assert address(9) not in validators


def test_a_set_that_is_empty_unsorted_or_has_a_double_is_refused() -> None:
    one, two = validator_set(2)
    with pytest.raises(ValueError, match="must be 1 to"):
        ValidatorSet(())
    with pytest.raises(ValueError, match="sorted by address"):
        ValidatorSet((two, one))
    with pytest.raises(ValueError, match="twice"):
        ValidatorSet((one, one))


def test_waits_grow_with_the_round() -> None:
    timeouts = Timeouts(5_000, 3_000, 2_000, 500)
    assert timeouts.duration_ms(TimeoutKind.PROPOSER, 0) == 5_000
    assert timeouts.duration_ms(TimeoutKind.PRE_VOTE, 2) == 4_000
    assert timeouts.duration_ms(TimeoutKind.PRE_COMMIT, 1) == 2_500
    with pytest.raises(ValueError, match="delta_ms"):
        Timeouts(delta_ms=0)
