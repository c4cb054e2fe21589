"""The compact wire form of proofs: MessagePack, for gossip bundles and for the proofs inside a batch.

A proof is the array `[account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce, signature]`: 20 bytes, the
triangle's integer form, three float64, a signed integer, text, 65 bytes. The proof id is not sent: the receiver
computes it, so it cannot lie. Each proof has exactly one wire form, and decoding refuses every other (-0.0, v of 0,
a nonce outside its alphabet, an integer where a float belongs), so that decoding and encoding again gives the same
bytes and nobody can make two messages of one proof.

Whether the 65 bytes are a valid signature is not asked here: that is the BAD_SIGNATURE gate, and a batch with such a
proof must be decodable to be proof of its proposer's misbehaviour.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgpack

from mesh import TriangleId
from step_node.crypto.eip191 import RECOVERY_VALUES
from step_node.proofs.canonical_line import canonical_line, proof_id
from step_node.proofs.payload import NONCE_CHARACTERS_MAX
from step_node.proofs.proof import ADDRESS_BYTES, SIGNATURE_BYTES, SignedProof
from step_node.proofs.timestamps import TIMESTAMP_MAX_MS, TIMESTAMP_MIN_MS, format_timestamp

WIRE_FIELDS = ("account", "triangle", "lat", "lon", "accuracy_m", "timestamp_ms", "nonce", "signature")

BUNDLE_VERSION = 1
BUNDLE_PROOFS_MAX = 500
"""A sender splits what is more (`encode_bundle` raises); a receiver refuses the bundle."""
BUNDLE_BYTES_MAX = 200_000
"""Above the largest possible bundle of `BUNDLE_PROOFS_MAX` proofs: 198 bytes each, with a nonce of 64 characters."""

_CheckedFields = tuple[bytes, TriangleId, float, float, float, int, str, bytes]
"""`WIRE_FIELDS` that have passed every rule."""

NONCE_FORM = re.compile(f"[A-Za-z0-9._-]{{1,{NONCE_CHARACTERS_MAX}}}")


class MalformedProof(ValueError):
    """A peer's bytes that are not proofs in wire form. The message names the field and the rule, not the value."""


def to_wire_fields(proof: SignedProof) -> list[object]:
    """The wire form of a proof, ready for MessagePack.

    Raises ValueError if v of its signature is not 27 or 28: such a proof has not passed the gates, and no peer would
    decode it.
    """
    if proof.signature[64] not in RECOVERY_VALUES:
        raise ValueError(f"signature: v must be 27 or 28 on the wire, not {proof.signature[64]}")
    return [
        proof.account,
        proof.triangle.integer,
        proof.lat,
        proof.lon,
        proof.accuracy_m,
        proof.timestamp_ms,
        proof.nonce,
        proof.signature,
    ]


def from_wire_fields(fields: object) -> SignedProof:
    """Decode one proof and compute its proof id. Raises MalformedProof, whatever value `fields` is.

    MessagePack's arrays come as lists or tuples, as the caller's decoder is set; both are taken.
    """
    return _proof_of(_check_fields(fields))


def encode_bundle(proofs: Sequence[SignedProof]) -> bytes:
    """`[version, [proof, …]]` of 1 to `BUNDLE_PROOFS_MAX` proofs, at most `BUNDLE_BYTES_MAX` bytes.

    Raises ValueError for none or too many: the caller splits.
    """
    if not 1 <= len(proofs) <= BUNDLE_PROOFS_MAX:
        raise ValueError(f"bundle: must hold 1 to {BUNDLE_PROOFS_MAX} proofs, not {len(proofs)}")
    encoded: bytes = msgpack.packb([BUNDLE_VERSION, [to_wire_fields(proof) for proof in proofs]])
    return encoded


def decode_bundle(data: bytes) -> tuple[SignedProof, ...]:
    """Decode a peer's bundle. Raises MalformedProof, naming the proof's index, field and rule; nothing else."""
    return check_bundle(data).decode(0, BUNDLE_PROOFS_MAX)


@dataclass(frozen=True, slots=True)
class CheckedBundle:
    """A bundle that has been found well-formed; its proofs have no ids yet, which is most of the work of decoding."""

    _checked: tuple[_CheckedFields, ...]

    def __len__(self) -> int:
        return len(self._checked)

    def decode(self, start: int, end: int) -> tuple[SignedProof, ...]:
        """The proofs from index `start` to before `end`, with their ids. Raises nothing."""
        return tuple([_proof_of(checked) for checked in self._checked[start:end]])


def check_bundle(data: bytes) -> CheckedBundle:
    """All that can be refused about a peer's bundle, for a quarter of the time that decoding it takes.

    Raises MalformedProof, naming the proof's index, field and rule; nothing else.
    """
    if len(data) > BUNDLE_BYTES_MAX:
        raise MalformedProof(f"bundle: must be at most {BUNDLE_BYTES_MAX} bytes, not {len(data)}")
    try:
        bundle = msgpack.unpackb(
            data,
            max_array_len=BUNDLE_PROOFS_MAX,
            max_str_len=NONCE_CHARACTERS_MAX,
            max_bin_len=SIGNATURE_BYTES,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise MalformedProof(f"bundle: must be one MessagePack value within the limits: {error}") from error
    if type(bundle) is not list or len(bundle) != 2:
        raise MalformedProof("bundle: must be an array of 2: version, proofs")
    version, proofs_fields = bundle
    if type(version) is not int or version != BUNDLE_VERSION:
        raise MalformedProof(f"version: must be {BUNDLE_VERSION}")
    if type(proofs_fields) is not list or not 1 <= len(proofs_fields) <= BUNDLE_PROOFS_MAX:
        raise MalformedProof(f"proofs: must be an array of 1 to {BUNDLE_PROOFS_MAX} proofs")
    checked = []
    for index, fields in enumerate(proofs_fields):
        try:
            checked.append(_check_fields(fields))
        except MalformedProof as error:
            raise MalformedProof(f"proofs[{index}].{error}") from error
    # MessagePack can write one value in several ways (a float in 4 bytes, a short integer in 9).
    if msgpack.packb(bundle) != data:
        raise MalformedProof("bundle: must be in MessagePack's shortest form, with float64")
    return CheckedBundle(tuple(checked))


def _check_fields(fields: object) -> _CheckedFields:
    if not isinstance(fields, (list, tuple)) or len(fields) != len(WIRE_FIELDS):
        raise MalformedProof(f"proof: must be an array of {len(WIRE_FIELDS)}: {', '.join(WIRE_FIELDS)}")
    account, triangle_int, lat, lon, accuracy_m, timestamp_ms, nonce, signature = fields
    if type(account) is not bytes or len(account) != ADDRESS_BYTES:
        raise MalformedProof(f"account: must be {ADDRESS_BYTES} bytes")
    if type(triangle_int) is not int:
        raise MalformedProof("triangle: must be an integer")
    try:
        triangle = TriangleId.from_int(triangle_int)
    except ValueError as error:
        raise MalformedProof(f"triangle: {error}") from error
    _check_degrees("lat", lat, 90.0)
    _check_degrees("lon", lon, 180.0)
    if type(accuracy_m) is not float or not 0.0 < accuracy_m < math.inf:
        raise MalformedProof("accuracy_m: must be a finite float above 0")
    if type(timestamp_ms) is not int or not TIMESTAMP_MIN_MS <= timestamp_ms <= TIMESTAMP_MAX_MS:
        raise MalformedProof(f"timestamp_ms: must be an integer from {TIMESTAMP_MIN_MS} to {TIMESTAMP_MAX_MS}")
    if type(nonce) is not str or NONCE_FORM.fullmatch(nonce) is None:
        raise MalformedProof(f"nonce: must be 1 to {NONCE_CHARACTERS_MAX} characters out of A-Z a-z 0-9 . _ -")
    if type(signature) is not bytes or len(signature) != SIGNATURE_BYTES:
        raise MalformedProof(f"signature: must be {SIGNATURE_BYTES} bytes")
    if signature[64] not in RECOVERY_VALUES:
        raise MalformedProof("signature: v must be 27 or 28")
    return account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce, signature


def _proof_of(checked: _CheckedFields) -> SignedProof:
    account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce, _ = checked
    line = canonical_line(account, triangle.text, lat, lon, accuracy_m, format_timestamp(timestamp_ms), nonce)
    return SignedProof(*checked, proof_id(line))


def _check_degrees(field: str, value: object, limit: float) -> None:
    if type(value) is not float or not -limit <= value <= limit:
        raise MalformedProof(f"{field}: must be a float from {-limit:g} to {limit:g}")
    if value == 0.0 and math.copysign(1.0, value) < 0:
        raise MalformedProof(f"{field}: must not be -0.0, which has the canonical form 0.0")
