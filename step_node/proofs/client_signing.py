"""What a client does: build a payload and sign it (protocol.md §2). For the command line, walkers and tests."""

from __future__ import annotations

from typing import TypedDict

from mesh import TriangleId
from step_node.crypto import eip191
from step_node.proofs.canonical_line import PROOF_VERSION
from step_node.proofs.payload import parse_payload
from step_node.proofs.timestamps import format_timestamp

_PLACEHOLDER_SIGNATURE = "0x" + "00" * eip191.SIGNATURE_BYTES


class SignedPayload(TypedDict):
    """The body of `POST /proof/submit`: the payload of protocol.md §2, and 0x with 130 hex digits."""

    payload: dict[str, str | float]
    signature: str


def sign_payload(
    private_key: bytes,
    triangle: TriangleId,
    lat: float,
    lon: float,
    accuracy_m: float,
    timestamp_ms: int,
    nonce: str,
) -> SignedPayload:
    """Build and sign a proof of being at `lat`, `lon` (degrees) inside `triangle` at `timestamp_ms`.

    `private_key` is 32 bytes, and the account is its address. Raises ProofRefused (INVALID_PAYLOAD) if the payload
    would not be of the protocol's form, ValueError for a key or a timestamp out of range. The later gates are not
    asked: a proof of another place can be signed.
    """
    account = eip191.address_of(eip191.public_key_of(private_key))
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
    unsigned = parse_payload(payload, _PLACEHOLDER_SIGNATURE)
    signature = eip191.sign_digest(unsigned.proof_id, private_key)
    return {"payload": payload, "signature": f"0x{signature.hex()}"}
