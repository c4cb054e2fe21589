"""Really signed proofs."""

from __future__ import annotations

import hashlib
from itertools import count

from mesh import TriangleId, locate
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import SignedProof

START_MS = 1_760_000_000_000
"""2025-10-09, when the tests' chains begin."""

_nonces = count()


def private_key(name: str) -> bytes:
    """A key that belongs to `name`, the same in every run."""
    return hashlib.sha256(f"step test key {name}".encode()).digest()


def address(name: str) -> bytes:
    """The 20-byte address of `private_key(name)`."""
    return address_of(public_key_of(private_key(name)))


def signed_proof(
    name: str = "alice",
    *,
    lat: float = 47.3769,
    lon: float = 8.5417,
    level: int = 10,
    timestamp_ms: int = START_MS,
    nonce: str | None = None,
    accuracy_m: float = 5.0,
    triangle: TriangleId | None = None,
) -> SignedProof:
    """A proof signed by `name`'s key; its triangle is the one that holds the point, unless another is given."""
    signed = sign_payload(
        private_key(name),
        triangle or locate(lat, lon, level),
        lat,
        lon,
        accuracy_m,
        timestamp_ms,
        nonce or f"n-{next(_nonces)}",
    )
    return parse_payload(signed["payload"], signed["signature"])
