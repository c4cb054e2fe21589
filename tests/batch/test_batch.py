"""The batch: one encoding, an identity that covers all of it, and nothing that is let through half checked."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

import msgpack
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from consensus.messages import BATCH_BYTES_MAX
from step_node.batch.batch import (
    PROOFS_MAX,
    Batch,
    BatchContent,
    MalformedBatch,
    decode_batch,
    encode_batch,
    identity_in,
)
from step_node.proofs.proof import SignedProof
from tests.support.chains import build, finalise, make_genesis, open_chain
from tests.support.proofs import START_MS, signed_proof

FLOAT64_OF_A_HALF = b"\xcb" + struct.pack(">d", 0.5)
PROOFS = [signed_proof(f"walker-{index}", nonce=f"nonce-{index}") for index in range(4)]


@lru_cache(maxsize=1)
def batch() -> Batch:
    """A batch of height 2 with two proofs, as a proposer builds it."""

    async def build_it() -> Batch:
        chain = await open_chain(make_genesis(4))
        await finalise(chain, PROOFS[:1])
        return (await build(chain, PROOFS[1:3])).batch

    return trio.run(build_it)


def with_content(original: Batch, proofs: tuple[SignedProof, ...]) -> Batch:
    """The batch with other proofs, and the header that they have."""
    proof_ids_root, proofs_root, body_hash = BatchContent(proofs, original.last_commit).roots()
    header = replace(original.header, proof_ids_root=proof_ids_root, proofs_root=proofs_root, body_hash=body_hash)
    return Batch(header, proofs, original.last_commit)


def test_a_batch_comes_back_as_it_was() -> None:
    decoded = decode_batch(encode_batch(batch()))
    assert decoded == batch()
    assert decoded.hash == batch().hash
    assert encode_batch(decoded) == encode_batch(batch())


@given(st.lists(st.sampled_from(PROOFS), max_size=4))
def test_any_proofs_come_back_as_they_were(proofs: list[SignedProof]) -> None:
    original = with_content(batch(), tuple(proofs))
    assert decode_batch(encode_batch(original)) == original


def test_the_identity_can_be_read_without_the_body() -> None:
    encoded = encode_batch(batch())
    assert identity_in(encoded) == batch().hash
    body_at = encoded.index(b"\xa4body")
    for position in range(body_at + 5, len(encoded)):
        spoilt = bytearray(encoded)
        spoilt[position] = 0xC1  # never used in MessagePack
        try:
            assert identity_in(bytes(spoilt)) == batch().hash
        except MalformedBatch:
            continue


@given(st.binary(max_size=300))
def test_an_identity_is_read_or_refused_whatever_the_bytes(data: bytes) -> None:
    with suppress(MalformedBatch):
        assert len(identity_in(data)) == 32


def test_a_batch_with_a_number_in_another_form_is_refused() -> None:
    proof = signed_proof("walker", lat=0.5, lon=0.25, nonce="halves")
    data = encode_batch(with_content(batch(), (proof,)))
    assert data.count(FLOAT64_OF_A_HALF) == 1
    with pytest.raises(MalformedBatch, match="one form"):
        decode_batch(data.replace(FLOAT64_OF_A_HALF, b"\xca" + struct.pack(">f", 0.5)))


@pytest.mark.parametrize("is_reversed", [True, False])
def test_a_header_in_another_form_has_no_identity(is_reversed: bool) -> None:
    envelope = msgpack.unpackb(encode_batch(batch()))
    if is_reversed:
        envelope["header"] = dict(reversed(envelope["header"].items()))
        data = msgpack.packb(envelope)
    else:
        data = encode_batch(batch()).replace(b"\xa6height\x02", b"\xa6height\xcc\x02", 1)
    with pytest.raises(MalformedBatch, match="header: must be in its one form"):
        identity_in(data)
    with pytest.raises(MalformedBatch, match="one form"):
        decode_batch(data)


def test_any_flipped_bit_is_refused_or_makes_another_batch() -> None:
    encoded = encode_batch(batch())
    for position in range(len(encoded)):
        for bit in range(8):
            flipped = bytearray(encoded)
            flipped[position] ^= 1 << bit
            try:
                decoded = decode_batch(bytes(flipped))
            except MalformedBatch:
                continue
            assert decoded.hash != batch().hash, f"bit {bit} of byte {position}"


def test_the_identity_covers_signatures_which_proof_ids_do_not() -> None:
    proofs = batch().proofs
    forged = (proofs[0]._replace(signature=proofs[1].signature), *proofs[1:])
    assert forged[0].proof_id == proofs[0].proof_id
    other = with_content(batch(), forged)
    assert other.header.proof_ids_root == batch().header.proof_ids_root
    assert other.hash != batch().hash
    smuggled = Batch(batch().header, forged, batch().last_commit)
    with pytest.raises(MalformedBatch, match=r"header\.proofs_root: is not the Merkle root of the proofs"):
        decode_batch(encode_batch(smuggled))


def test_the_identity_covers_the_order_and_the_last_commit() -> None:
    commit = batch().last_commit
    assert commit is not None
    fewer = replace(commit, signatures=commit.signatures[:3])
    others = [
        Batch(batch().header, batch().proofs[::-1], commit),
        Batch(batch().header, batch().proofs[:1], commit),
        Batch(batch().header, batch().proofs, fewer),
        Batch(batch().header, batch().proofs, None),
        Batch(batch().header, batch().proofs, commit, operations=(b"",)),
    ]
    for other in others:
        with pytest.raises(MalformedBatch, match=r"header\.(proof_ids_root|body_hash): is not"):
            decode_batch(encode_batch(other))


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": "step-test-2"},
        {"height": 3},
        {"round": 1},
        {"proposer": bytes(20)},
        {"timestamp_ms": START_MS + 1_000_000},
        {"previous_batch_hash": bytes(32)},
        {"validator_set_hash": bytes(32)},
        {"state_root": bytes(32)},
    ],
)
def test_every_field_of_the_header_is_in_the_identity(changes: dict[str, object]) -> None:
    other = Batch(
        replace(batch().header, **changes),  # type: ignore[arg-type]  # any field of it
        batch().proofs,
        batch().last_commit,
    )
    assert decode_batch(encode_batch(other)).hash != batch().hash


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedBatch):
        decode_batch(data)


def fields_of(encoded: bytes) -> dict[str, object]:
    fields: dict[str, object] = msgpack.unpackb(encoded)
    return fields


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("version",), 2, "version"),
        (("extra",), 1, "extra"),
        (("header", "extra"), 1, "header.extra"),
        (("header", "height"), 0, "header.height"),
        (("header", "height"), True, "header.height"),
        (("header", "height"), 2**63, "header.height"),
        (("header", "round"), -1, "header.round"),
        (("header", "proposer"), bytes(19), "header.proposer"),
        (("header", "timestamp_ms"), 2**53, "header.timestamp_ms"),
        (("header", "timestamp_ms"), float("nan"), "header.timestamp_ms"),
        (("header", "state_root"), "text", "header.state_root"),
        (("header", "chain_id"), "", "header.chain_id"),
        (("body", "proofs"), [[]], "body.proofs"),
        (("body", "proofs"), [[b""] * 8] * (PROOFS_MAX + 1), "body.proofs"),
        (("body", "proofs"), 7, "body.proofs"),
        (("body", "last_commit"), {}, "body.last_commit"),
        (("body", "operations"), [b""] * 65, "body.operations"),
        (("body", "evidence"), [{}], "body.evidence"),
    ],
)
def test_a_field_of_another_form_is_named(place: tuple[str, ...], value: object, message: str) -> None:
    fields = fields_of(encode_batch(batch()))
    target = fields
    for name in place[:-1]:
        inner = target[name]
        assert isinstance(inner, dict)
        target = inner
    target[place[-1]] = value
    with pytest.raises(MalformedBatch, match=message.replace(".", r"\.")):
        decode_batch(msgpack.packb(fields))


def test_more_bytes_than_a_batch_may_have_are_refused_before_they_are_read() -> None:
    with pytest.raises(MalformedBatch, match=f"at most {BATCH_BYTES_MAX}"):
        decode_batch(bytes(BATCH_BYTES_MAX + 1))


def test_the_largest_batch_fits_its_limit() -> None:
    longest = PROOFS[0]._replace(nonce="n" * 64)
    assert len(encode_batch(with_content(batch(), (longest,) * PROOFS_MAX))) < BATCH_BYTES_MAX // 2
