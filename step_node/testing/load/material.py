"""Signed proofs, ready to be sent: made beforehand or by other processes, so that signing slows no load down."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mesh import TriangleId
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.parameters import Parameters
from step_node.proofs.canonical_line import canonical_line, proof_id
from step_node.proofs.client_signing import sign_payload
from step_node.proofs.timestamps import format_timestamp
from step_node.testing.load.provers import Provers

ACCURACY_M = 5.0


@dataclass(frozen=True, slots=True)
class Signed:
    """One proof: its id, 32 bytes, who makes it, and the JSON of its submission."""

    proof_id: bytes
    prover: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Order:
    """A proof to be signed: by which prover, with which timestamp."""

    prover: int
    timestamp_ms: int


def sign_orders(provers: Provers, orders: Sequence[Order], nonces: str) -> list[Signed]:
    """Sign them all, some 200 µs each. `nonces` is what their nonces begin with: no two calls may have the same."""
    return [_sign(provers, order, f"{nonces}-{index}") for index, order in enumerate(orders)]


def sign_for_now(count: int) -> list[Signed]:
    """`count` proofs, each by another prover of a new seed, that are good at this moment."""
    provers = Provers(secrets.token_bytes(16), Parameters().seeded_level)
    now_ms = time.time_ns() // 1_000_000
    return sign_orders(provers, [Order(number, now_ms) for number in range(count)], secrets.token_hex(4))


def _sign(provers: Provers, order: Order, nonce: str) -> Signed:
    key, triangle = provers.private_key(order.prover), provers.triangle(order.prover)
    lat, lon = provers.place(order.prover)
    signed = sign_payload(key, triangle, lat, lon, ACCURACY_M, order.timestamp_ms, nonce)
    return Signed(
        _proof_id(key, triangle, lat, lon, order.timestamp_ms, nonce),
        order.prover,
        json.dumps(signed, separators=(",", ":")).encode(),
    )


def _proof_id(key: bytes, triangle: TriangleId, lat: float, lon: float, timestamp_ms: int, nonce: str) -> bytes:
    account = address_of(public_key_of(key))
    timestamp = format_timestamp(timestamp_ms)
    return proof_id(canonical_line(account, triangle.text, lat, lon, ACCURACY_M, timestamp, nonce))
