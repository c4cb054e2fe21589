import math
import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import TriangleId
from step_node.proofs import wire
from step_node.proofs.canonical_line import canonical_line, proof_id
from step_node.proofs.proof import SignedProof
from step_node.proofs.timestamps import TIMESTAMP_MAX_MS, TIMESTAMP_MIN_MS, format_timestamp
from step_node.proofs.wire import MalformedProof, decode_bundle, encode_bundle, from_wire_fields, to_wire_fields
from tests.proofs.vectors import VECTORS, decoded

PROOFS = tuple(decoded(vector) for vector in VECTORS)


@st.composite
def proofs(draw: st.DrawFn) -> SignedProof:
    level = draw(st.integers(1, 21))
    triangle = TriangleId(draw(st.integers(0, 19)), level, draw(st.integers(0, 4 ** (level - 1) - 1)))
    account = draw(st.binary(min_size=20, max_size=20))
    lat = draw(st.floats(-90, 90)) + 0.0
    lon = draw(st.floats(-180, 180)) + 0.0
    accuracy_m = draw(st.floats(min_value=0, exclude_min=True, allow_infinity=False))
    timestamp_ms = draw(st.integers(TIMESTAMP_MIN_MS, TIMESTAMP_MAX_MS))
    nonce = draw(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
    signature = draw(st.binary(min_size=64, max_size=64)) + bytes((draw(st.sampled_from((27, 28))),))
    line = canonical_line(account, triangle.text, lat, lon, accuracy_m, format_timestamp(timestamp_ms), nonce)
    return SignedProof(account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce, signature, proof_id(line))


@given(proofs())
def test_a_proof_survives_the_wire_with_its_id(proof: SignedProof) -> None:
    assert from_wire_fields(msgpack.unpackb(msgpack.packb(to_wire_fields(proof)))) == proof


@given(st.lists(proofs(), min_size=1, max_size=4))
def test_a_bundle_survives_the_wire(bundle: list[SignedProof]) -> None:
    assert decode_bundle(encode_bundle(bundle)) == tuple(bundle)


def test_the_known_answers_keep_their_ids_on_the_wire() -> None:
    assert decode_bundle(encode_bundle(PROOFS)) == PROOFS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("account", b"\x00" * 19),
        ("account", "0" * 20),
        ("triangle", 0),
        ("triangle", 2**63),
        ("triangle", -1),
        ("triangle", True),
        ("triangle", 1.0),
        ("lat", -0.0),
        ("lat", 47),
        ("lat", 90.1),
        ("lat", math.nan),
        ("lon", -0.0),
        ("lon", -180.1),
        ("lon", math.inf),
        ("accuracy_m", 0.0),
        ("accuracy_m", -0.0),
        ("accuracy_m", math.inf),
        ("accuracy_m", math.nan),
        ("accuracy_m", 5),
        ("timestamp_ms", TIMESTAMP_MAX_MS + 1),
        ("timestamp_ms", TIMESTAMP_MIN_MS - 1),
        ("timestamp_ms", 0.0),
        ("timestamp_ms", True),
        ("nonce", ""),
        ("nonce", "a" * 65),
        ("nonce", "a\n"),
        ("nonce", b"a"),
        ("signature", b"\x01" * 64),
        ("signature", b"\x01" * 64 + b"\x00"),
        ("signature", b"\x01" * 64 + b"\x1d"),
        ("signature", None),
    ],
)
def test_a_field_out_of_its_canonical_form_is_named(field: str, value: object) -> None:
    fields = to_wire_fields(PROOFS[0])
    fields[wire.WIRE_FIELDS.index(field)] = value
    with pytest.raises(MalformedProof, match=f"^{field}: "):
        from_wire_fields(fields)


@pytest.mark.parametrize("fields", [None, [], {}, b"", to_wire_fields(PROOFS[0])[:-1], [*to_wire_fields(PROOFS[0]), 1]])
def test_what_is_not_an_array_of_eight_is_malformed(fields: object) -> None:
    with pytest.raises(MalformedProof, match=r"^proof: must be an array of 8"):
        from_wire_fields(fields)


def test_a_proof_that_has_not_passed_the_gates_is_not_sent() -> None:
    proof = PROOFS[0]
    unsent = SignedProof(
        proof.account,
        proof.triangle,
        proof.lat,
        proof.lon,
        proof.accuracy_m,
        proof.timestamp_ms,
        proof.nonce,
        proof.signature[:64] + b"\x05",
        proof.proof_id,
    )
    with pytest.raises(ValueError, match="signature: v must be 27 or 28"):
        to_wire_fields(unsent)


def test_the_largest_bundle_is_within_the_byte_limit_and_one_more_proof_is_refused() -> None:
    proof = from_wire_fields(
        [b"\xff" * 20, int(TriangleId(19, 21, 0)), 1.5, 2.5, 3.5, TIMESTAMP_MAX_MS, "n" * 64, b"\x01" * 64 + b"\x1b"]
    )
    largest = encode_bundle([proof] * wire.BUNDLE_PROOFS_MAX)
    assert len(largest) <= wire.BUNDLE_BYTES_MAX
    assert len(decode_bundle(largest)) == wire.BUNDLE_PROOFS_MAX
    with pytest.raises(ValueError, match="bundle: must hold 1 to 500 proofs, not 501"):
        encode_bundle([proof] * (wire.BUNDLE_PROOFS_MAX + 1))
    with pytest.raises(MalformedProof, match="exceeds max_array_len"):
        decode_bundle(msgpack.packb([1, [to_wire_fields(proof)] * (wire.BUNDLE_PROOFS_MAX + 1)]))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "bundle: must be one MessagePack value"),
        (b"\xc1", "bundle: must be one MessagePack value"),
        (encode_bundle(PROOFS) + b"\x00", "bundle: must be one MessagePack value"),
        (encode_bundle(PROOFS)[:-1], "bundle: must be one MessagePack value"),
        (b"\x91" * 5_000 + b"\x01", "bundle: must be one MessagePack value"),
        (b"\x00" * (wire.BUNDLE_BYTES_MAX + 1), "bundle: must be at most 200000 bytes"),
        (msgpack.packb({}), "bundle: must be an array of 2"),
        (msgpack.packb([1]), "bundle: must be an array of 2"),
        (msgpack.packb([2, [to_wire_fields(PROOFS[0])]]), "version: must be 1"),
        (msgpack.packb([True, [to_wire_fields(PROOFS[0])]]), "version: must be 1"),
        (msgpack.packb([1, []]), "proofs: must be an array of 1 to 500"),
        (msgpack.packb([1, {}]), "proofs: must be an array of 1 to 500"),
        (msgpack.packb([1, [to_wire_fields(PROOFS[0]), 3]]), r"proofs\[1\].proof: must be an array of 8"),
        (msgpack.packb([1, [[b"", *to_wire_fields(PROOFS[0])[1:]]]]), r"proofs\[0\].account: must be 20 bytes"),
    ],
)
def test_a_malformed_bundle_is_an_error_that_names_the_rule(data: bytes, rule: str) -> None:
    with pytest.raises(MalformedProof, match=f"^{rule}"):
        decode_bundle(data)


def test_a_second_encoding_of_the_same_values_is_refused() -> None:
    fields = to_wire_fields(PROOFS[2])
    fields[4] = 50.0
    canonical = msgpack.packb([1, [fields]])
    decode_bundle(canonical)
    float32 = canonical.replace(b"\xcb" + struct.pack(">d", 50.0), b"\xca" + struct.pack(">f", 50.0))
    long_version = b"\x92\xcc\x01" + canonical[2:]
    for other in (float32, long_version):
        assert other != canonical
        with pytest.raises(MalformedProof, match="shortest form"):
            decode_bundle(other)


def test_a_bundle_is_decoded_in_slices_to_the_same_proofs() -> None:
    bundle = wire.check_bundle(encode_bundle(PROOFS))
    assert len(bundle) == len(PROOFS)
    assert bundle.decode(0, 1) + bundle.decode(1, len(bundle)) == PROOFS == bundle.decode(0, 1_000)


def test_no_proof_is_shorter_on_the_wire_than_the_shares_of_gossip_reckon_with() -> None:
    # Shares are in bytes: this is what makes them shares of proofs as well.
    shortest = [b"\xff" * 20, int(TriangleId(0, 1, 0)), 1.5, 2.5, 3.5, 0, "n", b"\x01" * 64 + b"\x1b"]
    assert len(msgpack.packb(from_wire_fields(shortest) and shortest)) == 121


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_malformed_and_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(MalformedProof):
        decode_bundle(data)


@given(st.data())
def test_a_bundle_with_altered_bytes_is_malformed_or_canonical(data: st.DataObject) -> None:
    altered = bytearray(encode_bundle(PROOFS[:2]))
    for _ in range(data.draw(st.integers(1, 3))):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded_proofs = decode_bundle(bytes(altered))
    except MalformedProof:
        return
    assert encode_bundle(decoded_proofs) == altered
