"""The records that make up the ledger's state, and the keys under which they are committed to (protocol.md §3).

Every record is immutable and has one canonical encoding, `record_bytes`: MessagePack of
`[kind, key…, value…]`. The state root is a commitment to the set of these byte strings, so two nodes agree on the
state exactly when they agree on the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import msgpack


class TriangleState(IntEnum):
    """Life of a triangle; the numbers are what is stored and committed to."""

    ACTIVE = 0
    SUBDIVIDED = 1
    EXHAUSTED = 2


@dataclass(frozen=True, slots=True)
class LastProof:
    """Where and when an account was last proven to be: degrees, and milliseconds since the Unix epoch."""

    timestamp_ms: int
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Account:
    """An account that has been credited at least once. `address` is 20 bytes; amounts are micro-STEP."""

    address: bytes
    balance_ustep: int = 0
    proofs: int = 0
    last_proof: LastProof | None = None


@dataclass(frozen=True, slots=True)
class Triangle:
    """A touched triangle. `id` is the integer form (protocol.md §1); untouched ones have no record."""

    id: int
    clicks: int = 0
    state: TriangleState = TriangleState.ACTIVE


@dataclass(frozen=True, slots=True)
class ValidatorRecord:
    """A member of the validator set. `address` is 20 bytes, `public_key` 33 (compressed secp256k1)."""

    address: bytes
    public_key: bytes
    stake_ustep: int
    p2p_address: str


@dataclass(frozen=True, slots=True)
class NonceRecord:
    """A nonce that cannot be used again until its proof has left the window (`proof_max_age_ms`)."""

    account: bytes
    nonce: str
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """Where the chain stands after a batch, and the supply.

    `paid_ustep` is what the batch paid to provers; its validators are rewarded from it when the next batch shows
    who pre-committed. `minted = balances + stakes + burnt` holds after every batch.
    """

    height: int
    batch_hash: bytes
    timestamp_ms: int
    proposer: bytes
    paid_ustep: int
    minted_ustep: int
    balances_ustep: int
    stakes_ustep: int
    burnt_ustep: int


@dataclass(frozen=True, slots=True)
class ParametersRecord:
    """The chain's parameters, as the canonical JSON (RFC 8785) of `Parameters`."""

    canonical_json: bytes


Record: TypeAlias = Account | Triangle | ValidatorRecord | NonceRecord | ChainRecord | ParametersRecord


def record_bytes(record: Record) -> bytes:
    """The canonical encoding of a record, under its kind and key."""
    match record:
        case Account(address, balance_ustep, proofs, last):
            place = None if last is None else [last.timestamp_ms, last.lat, last.lon]
            fields: list[object] = ["account", address, balance_ustep, proofs, place]
        case Triangle(triangle_id, clicks, state):
            fields = ["triangle", triangle_id, clicks, int(state)]
        case ValidatorRecord(address, public_key, stake_ustep, p2p_address):
            fields = ["validator", address, public_key, stake_ustep, p2p_address]
        case NonceRecord(account, nonce, timestamp_ms):
            fields = ["nonce", account, nonce, timestamp_ms]
        case ChainRecord():
            fields = [
                "chain",
                record.height,
                record.batch_hash,
                record.timestamp_ms,
                record.proposer,
                record.paid_ustep,
                record.minted_ustep,
                record.balances_ustep,
                record.stakes_ustep,
                record.burnt_ustep,
            ]
        case ParametersRecord(canonical_json):
            fields = ["parameters", canonical_json]
    packed: bytes = msgpack.packb(fields, use_bin_type=True)
    return packed
