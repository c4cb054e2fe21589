"""Payments summed by account, however they come in parts, against a plain dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from step_node.economy.fairness.income import AccountSums, Payments
from step_node.ledger.records import TriangleState
from step_node.ledger.state import Receipt

# Addresses that differ in one byte only, the last ones of each of the numbers that they are sorted by among them.
ACCOUNTS = [bytes(20), *(bytes(place) + b"\x01" + bytes(19 - place) for place in range(20)), b"\xff" * 20]

payments_of = st.lists(st.tuples(st.sampled_from(ACCOUNTS), st.integers(0, 10**6), st.integers(0, 2**61)), max_size=30)


def receipt(account: bytes, reward_ustep: int, before_ustep: int, *, triangle: int = 10) -> Receipt:
    after_ustep = before_ustep + reward_ustep
    return Receipt(bytes(32), 1, 0, account, triangle, reward_ustep, 1, TriangleState.ACTIVE, after_ustep, 0)


def rows(sums: AccountSums) -> list[tuple[bytes, int, int, int, int]]:
    columns = (sums.proofs, sums.paid_ustep, sums.before_ustep, sums.after_ustep)
    return [
        (bytes(sums.account[row]), *(int(column[row]) for column in columns))  # type: ignore[misc]
        for row in range(len(sums))
    ]


@given(st.lists(payments_of, max_size=4))
def test_the_sums_are_those_of_a_dictionary(parts: list[list[tuple[bytes, int, int]]]) -> None:
    expected: dict[bytes, tuple[int, int, int, int]] = {}
    sums = AccountSums.of(Payments.of([]))
    for part in parts:
        for account, reward_ustep, before_ustep in part:
            proofs, paid_ustep, first_ustep, _ = expected.get(account, (0, 0, before_ustep, 0))
            expected[account] = proofs + 1, paid_ustep + reward_ustep, first_ustep, before_ustep + reward_ustep
        sums = sums.then(AccountSums.of(Payments.of([receipt(*one) for one in part])))
    assert rows(sums) == [(account, *expected[account]) for account in sorted(expected)]


@given(payments_of, st.integers(0, 30))
def test_batches_joined_are_one_batch(payments: list[tuple[bytes, int, int]], cut: int) -> None:
    receipts = [receipt(*one) for one in payments]
    joined = Payments.joined([Payments.of(receipts[:cut]), Payments.of(receipts[cut:])])
    assert rows(AccountSums.of(joined)) == rows(AccountSums.of(Payments.of(receipts)))
