"""The entries of a signing history: each has one form."""

from __future__ import annotations

import pytest

from step_node.signing.history import (
    Doubted,
    Entry,
    FloorRaised,
    Settled,
    SignedRecord,
    SigningKind,
    decode_entry,
    encode_entry,
)

ENTRIES = (SignedRecord(1, 0, SigningKind.PRE_VOTE, b"h" * 32), FloorRaised(1), Doubted("a copy"), Settled(1))


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_comes_back_as_it_was_and_from_no_other_bytes(entry: Entry) -> None:
    encoded = encode_entry(entry)
    assert decode_entry(encoded) == entry
    longer = b"\xdc" + (encoded[0] & 0x0F).to_bytes(2, "big") + encoded[1:]
    with pytest.raises(ValueError, match="one form"):
        decode_entry(longer)
