"""The state root is a commitment to a set of records (protocol.md §3)."""

from __future__ import annotations

import hashlib
import random

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from step_node.ledger.commitment import EMPTY_LANES, commit_changes, commit_encoded, state_root
from step_node.ledger.records import (
    Account,
    LastProof,
    NonceRecord,
    Record,
    Triangle,
    TriangleState,
    ValidatorRecord,
    record_bytes,
    records_bytes,
)

addresses = st.binary(min_size=20, max_size=20)
records = st.one_of(
    st.builds(
        Account,
        addresses,
        st.integers(0, 2**62),
        st.integers(0, 2**40),
        st.none() | st.builds(LastProof, st.integers(0, 2**50), st.floats(-90, 90), st.floats(-180, 180)),
    ),
    st.builds(Triangle, st.integers(1, 2**50), st.integers(0, 28), st.sampled_from(TriangleState)),
    st.builds(NonceRecord, addresses, st.text(min_size=1, max_size=64), st.integers(0, 2**50)),
    st.builds(ValidatorRecord, addresses, st.binary(min_size=33, max_size=33), st.integers(0, 2**62), st.text()),
)


@given(st.lists(records, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(some: list[Record], shuffler: random.Random) -> None:
    shuffled = list(some)
    shuffler.shuffle(shuffled)
    assert commit_changes(EMPTY_LANES, removed=(), added=some) == commit_changes(
        EMPTY_LANES, removed=(), added=shuffled
    )


@given(st.lists(records, max_size=5), records)
def test_adding_and_removing_a_record_leaves_no_trace(some: list[Record], extra: Record) -> None:
    lanes = commit_changes(EMPTY_LANES, removed=(), added=some)
    with_extra = commit_changes(lanes, removed=(), added=[extra])
    assert with_extra != lanes
    assert commit_changes(with_extra, removed=[extra], added=()) == lanes


@given(records, records)
def test_different_records_have_different_encodings(one: Record, other: Record) -> None:
    assert (record_bytes(one) == record_bytes(other)) == (repr(one) == repr(other))


def test_the_lanes_are_those_of_the_definition() -> None:
    """Worked out a second time, lane by lane, in integers."""
    pair: list[Record] = [Triangle(5, 3), Account(b"a" * 20, 7)]
    expanded = [blake3(record_bytes(record)).digest(length=2048) for record in pair]
    lanes = b"".join(
        (sum(int.from_bytes(text[at : at + 2], "little") for text in expanded) % 2**16).to_bytes(2, "little")
        for at in range(0, 2048, 2)
    )
    assert commit_changes(EMPTY_LANES, removed=(), added=pair) == lanes
    assert state_root(lanes) == hashlib.sha256(lanes).digest()


def test_more_records_than_are_summed_at_a_time_are_summed_all() -> None:
    many: list[Record] = [Triangle(number, number % 11) for number in range(1, 200)]
    one_by_one = EMPTY_LANES
    for record in many:
        one_by_one = commit_changes(one_by_one, removed=(), added=[record])
    assert commit_changes(EMPTY_LANES, removed=(), added=many) == one_by_one
    assert commit_encoded(EMPTY_LANES, iter(records_bytes(many))) == one_by_one
    assert commit_changes(one_by_one, removed=many[:150], added=()) == commit_changes(
        EMPTY_LANES, removed=(), added=many[150:]
    )
