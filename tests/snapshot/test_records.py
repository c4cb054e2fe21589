"""Records out of their bytes: what was written comes back, and nothing else is taken for a record."""

from __future__ import annotations

from collections.abc import Sequence

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.ledger.protocol_record import ProtocolRecord, Upgrade, UpgradeVote
from step_node.ledger.records import (
    Account,
    ChainRecord,
    LastProof,
    NonceRecord,
    ParametersRecord,
    Record,
    Triangle,
    TriangleState,
    record_bytes,
)
from step_node.snapshot.records import KINDS, InvalidSnapshot, read_records
from tests.support.chains import make_genesis

IN_ORDER: tuple[Record, ...] = (
    ChainRecord(3, b"h" * 32, 1_000, b"p" * 20, 5, 10, 6, 4, 0),
    ParametersRecord(b"{}"),
    ProtocolRecord(Upgrade(1, 1), Upgrade(2, 9, "0.2.0"), (UpgradeVote(b"v" * 20, Upgrade(2, 9)),)),
    *make_genesis(2).head().validators,
    Account(b"a" * 20, 5, 1, LastProof(900, 47.0, -8.5)),
    Account(b"b" * 20),
    Triangle(1, 3, TriangleState.ACTIVE),
    Triangle(2, 11, TriangleState.SUBDIVIDED),
    NonceRecord(b"a" * 20, "one", 900),
    NonceRecord(b"a" * 20, "two", 900),
    NonceRecord(b"b" * 20, "one", 900),
)


def joined(records: Sequence[Record]) -> bytes:
    return b"".join(map(record_bytes, records))


def test_every_kind_of_record_is_known() -> None:
    assert {type(record) for record in IN_ORDER} == {kind.record for kind in KINDS}
    assert set(Record.__args__) == {kind.record for kind in KINDS}


def test_what_was_written_comes_back() -> None:
    records, encoded, _ = read_records(joined(IN_ORDER), None)
    assert tuple(records) == IN_ORDER
    assert b"".join(encoded) == joined(IN_ORDER)


def test_the_order_holds_over_chunks() -> None:
    _, _, place = read_records(joined(IN_ORDER[:6]), None)
    read_records(joined(IN_ORDER[6:]), place)
    for again in (IN_ORDER[:1], IN_ORDER[5:6], IN_ORDER[4:5]):
        with pytest.raises(InvalidSnapshot, match="in order"):
            read_records(joined(again), place)


@pytest.mark.parametrize("position", range(1, len(IN_ORDER)))
def test_a_record_that_stands_twice_or_too_early_is_refused(position: int) -> None:
    one, other = IN_ORDER[position - 1], IN_ORDER[position]
    for wrong in ((one, one), (other, one)):
        with pytest.raises(InvalidSnapshot, match="in order"):
            read_records(joined(wrong), None)


@pytest.mark.parametrize(
    "fields",
    [
        None,
        [],
        ["transfer", 1],
        ["nonce", b"a" * 20, "one"],
        ["nonce", b"a" * 20, "one", 900, 1],
        ["nonce", b"a" * 20, b"one", 900],
        ["nonce", b"a" * 20, "one", True],
        ["triangle", 1, 3, 7],
        ["triangle", 1, 3, None],
        ["account", b"a" * 20, 5, 1, [900, 47, -8.5]],
        ["account", b"a" * 20, 5, 1, [900, 47.0]],
        ["account", b"a" * 20, 5, 1, "there"],
        ["account", None, 5, 1, None],
        {"account": 1},
    ],
)
def test_what_is_no_record_is_refused(fields: object) -> None:
    with pytest.raises(InvalidSnapshot):
        read_records(msgpack.packb(fields), None)


def test_a_record_has_one_encoding() -> None:
    canonical = record_bytes(Triangle(1, 3, TriangleState.ACTIVE))
    longer = canonical.replace(b"\x03\x00", b"\xcc\x03\x00")
    assert msgpack.unpackb(longer) == msgpack.unpackb(canonical)
    with pytest.raises(InvalidSnapshot, match="canonical"):
        read_records(longer, None)


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_worse(data: bytes) -> None:
    if data:
        with pytest.raises(InvalidSnapshot):
            read_records(data, None)


@given(st.data())
def test_a_changed_byte_changes_the_records_or_is_refused(data: st.DataObject) -> None:
    encoded = bytearray(joined(IN_ORDER))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        records, again, _ = read_records(bytes(encoded), None)
    except InvalidSnapshot:
        return
    # `==` would not do: -0.0 is 0.0.
    assert b"".join(again) == encoded != joined(IN_ORDER)
    assert joined(records) == encoded
