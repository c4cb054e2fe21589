"""What a client does: build a payload and sign it (protocol.md §2)."""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from mesh import TriangleId
from step_node.crypto import eip191
from step_node.proofs.canonical_line import PROOF_VERSION, canonical_line
from step_node.proofs.payload import parse_payload
from step_node.proofs.timestamps import format_timestamp

_PLACEHOLDER_SIGNATURE = "0x" + "00" * eip191.SIGNATURE_BYTES


class SignedPayload(TypedDict):
    """The body of `POST /proof/submit`: the payload of protocol.md §2, and 0x with 130 hex digits."""

    payload: dict[str, str | float]
    signature: str


class UnsignedPayload(NamedTuple):
    """A payload, the line that its account has to sign, and that line's digest, the proof id (32 bytes)."""

    payload: dict[str, str | float]
    line: str
    proof_id: bytes


def unsigned_payload(
    account: bytes,
    triangle: TriangleId,
    lat: float,
    lon: float,
    accuracy_m: float,
    timestamp_ms: int,
    nonce: str,
) -> UnsignedPayload:
    """Build a proof that `account` (20 bytes) was at `lat`, `lon` (degrees) inside `triangle` at `timestamp_ms`.

    Raises ProofRefused (INVALID_PAYLOAD) if the payload would not be of the protocol's form, ValueError for a timestamp
    out of range. The later gates are not asked: a proof of another place can be signed.
    """
    payload: dict[str, str | float] = {
        "version": PROOF_VERSION,
        "account": f"0x{account.hex()}",
        "triangleId": triangle.text,
        "lat": lat,
        "lon": lon,
        "accuracy": accuracy_m,
        "timestamp": format_timestamp(timestamp_ms),
        "nonce": nonce,
    }
    proof_id = parse_payload(payload, _PLACEHOLDER_SIGNATURE).proof_id
    line = canonical_line(account, triangle.text, lat, lon, accuracy_m, format_timestamp(timestamp_ms), nonce)
    return UnsignedPayload(payload, line, proof_id)


def sign_payload(
    private_key: bytes,
    triangle: TriangleId,
    lat: float,
    lon: float,
    accuracy_m: float,
    timestamp_ms: int,
    nonce: str,
) -> SignedPayload:
    """Build and sign a proof. `private_key` is 32 bytes, and the account is its address.

    Raises as `unsigned_payload` does, and ValueError for what is not a key.
    """
    account = eip191.address_of(eip191.public_key_of(private_key))
    payload, _, proof_id = unsigned_payload(account, triangle, lat, lon, accuracy_m, timestamp_ms, nonce)
    return {"payload": payload, "signature": f"0x{eip191.sign_digest(proof_id, private_key).hex()}"}
