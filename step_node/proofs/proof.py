"""The signed location proof as the node carries it, and its compact wire form (protocol.md §2).

A proof is decoded once. What enters here, from a client's JSON or from a peer's bytes, leaves as one immutable
`SignedProof` in canonical form: account as 20 bytes, triangle as a `TriangleId`, timestamp in milliseconds, `-0.0`
as `0.0`, signature with v of 27 or 28. Its proof id is computed at that moment and travels with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mesh import TriangleId
from step_node.explanations.details import NO_DETAILS, Details

SIGNATURE_BYTES = 65
ADDRESS_BYTES = 20
PROOF_ID_BYTES = 32


class RefusalCode(StrEnum):
    """Why a proof, or a request, is refused (protocol.md §2); what each means stands in `step_node.explanations`."""

    INVALID_PAYLOAD = "INVALID_PAYLOAD"
    LOW_GPS_ACCURACY = "LOW_GPS_ACCURACY"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    OUT_OF_BOUNDS = "OUT_OF_BOUNDS"
    CLOCK_DRIFT = "CLOCK_DRIFT"
    NONCE_REPLAY = "NONCE_REPLAY"
    TRIANGLE_NOT_FOUND = "TRIANGLE_NOT_FOUND"
    TRIANGLE_EXHAUSTED = "TRIANGLE_EXHAUSTED"
    TOO_FAST = "TOO_FAST"
    MORATORIUM = "MORATORIUM"
    RATE_LIMITED = "RATE_LIMITED"
    MEMPOOL_FULL = "MEMPOOL_FULL"
    NOT_READY = "NOT_READY"
    INTAKE_PAUSED = "INTAKE_PAUSED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


STATELESS_CODES = frozenset(
    {
        RefusalCode.INVALID_PAYLOAD,
        RefusalCode.LOW_GPS_ACCURACY,
        RefusalCode.BAD_SIGNATURE,
        RefusalCode.OUT_OF_BOUNDS,
    }
)
"""Gates that anyone can check from the proof alone: letting such a proof through is provable misbehaviour."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gate's answer: its code, a message that names the field and the rule, and the figures behind it."""

    code: RefusalCode
    message: str
    details: Details = NO_DETAILS


class ProofRefused(ValueError):
    """Raised where a proof cannot even be decoded, or a gate refuses it."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code}: {refusal.message}")
        self.refusal = refusal


class SignedProof(NamedTuple):
    """One location proof with its signature. A tuple, as a frozen dataclass takes five times as long to make.

    `account` is 20 bytes; `lat` and `lon` are degrees; `accuracy_m` metres; `timestamp_ms` milliseconds since the
    Unix epoch; `signature` r‖s‖v, 65 bytes, v of 27 or 28 (any other v that a client sent is refused by the
    BAD_SIGNATURE gate, so it is on no wire and in no store); `proof_id` the EIP-191 digest of the canonical line.
    """

    account: bytes
    triangle: TriangleId
    lat: float
    lon: float
    accuracy_m: float
    timestamp_ms: int
    nonce: str
    signature: bytes
    proof_id: bytes
