"""The records that make up the ledger's state, and the keys under which they are committed to (protocol.md §3).

Every record is immutable and has one canonical encoding, `record_bytes`: MessagePack of
`[kind, key…, value…]`. The state root is a commitment to the set of these byte strings, so two nodes agree on the
state exactly when they agree on the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

import msgpack

from step_node.ledger.protocol_record import ProtocolRecord, protocol_fields


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
    """An account that has been credited at least once. `address` is 20 bytes; amounts are micro-STEP.

    `operations` counts the operations that it has signed and that were applied: the sequence number of its next one.
    """

    address: bytes
    balance_ustep: int = 0
    proofs: int = 0
    last_proof: LastProof | None = None
    operations: int = 0


@dataclass(frozen=True, slots=True)
class Triangle:
    """A touched triangle. `id` is the integer form (protocol.md §1); untouched ones have no record."""

    id: int
    clicks: int = 0
    state: TriangleState = TriangleState.ACTIVE


class ValidatorState(IntEnum):
    """Life of a validator (protocol.md §4); the numbers are what is stored and committed to."""

    WAITING = 0
    """Registered; joins the set at `active_from_height`."""
    ACTIVE = 1
    LEAVING = 2
    """Has asked to leave; in the set until the epoch's end."""
    UNBONDING = 3
    """Has left; the stake may be withdrawn from `locked_until_ms` on."""
    JAILED = 4
    """Slashed; from `locked_until_ms` on the stake may be withdrawn, or the validator registered again."""
    ROTATED = 5
    """Its key has been replaced by `next_public_key`, whose record has the stake and answers for what it signed."""


@dataclass(frozen=True, slots=True)
class ValidatorRecord:
    """A validator, from its registration until its stake is withdrawn.

    `address` (20 bytes) is that of the hot key `public_key` (33 bytes, compressed secp256k1), `owner` (20 bytes) that
    of the cold key, whose account pays the stake and earns the rewards.
    """

    address: bytes
    public_key: bytes
    stake_ustep: int
    p2p_address: str
    owner: bytes
    state: ValidatorState = ValidatorState.ACTIVE
    active_from_height: int = 1
    """The first height of its latest term in the set (while WAITING: of the coming one)."""
    active_until_height: int = 0
    """The first height after that term; 0 while it lasts."""
    slashed_at_height: int = 0
    """The height of the batch that slashed it last; 0 if none has."""
    slashed_ustep: int = 0
    """What offences up to that height have cost; together with the stake, what a graver one of them is a share of."""
    locked_until_ms: int = 0
    """By batch time; see the states."""
    absent_since_ms: int = 0
    """The batch time since which no `last_commit` has had its pre-commit; 0 if the last one had."""
    absent_batches: int = 0
    """How many batches that were."""
    next_public_key: bytes = b""
    """The hot key from the epoch's end on; in the state ROTATED, the one that has come after. Else empty."""

    @property
    def is_in_set(self) -> bool:
        """Whether it is a member of the set of the next height."""
        return self.state in (ValidatorState.ACTIVE, ValidatorState.LEAVING)

    def was_in_set(self, height: int) -> bool:
        """Whether its latest term covers `height`."""
        return self.active_from_height <= height and (
            self.active_until_height == 0 or height < self.active_until_height
        )


@dataclass(frozen=True, slots=True)
class NonceRecord:
    """A nonce that cannot be used again for as long as this record is there (docs/adr/0008-nonces.md).

    `timestamp_ms` is its proof's.
    """

    account: bytes
    nonce: str
    timestamp_ms: int


def nonce_age(nonce: NonceRecord) -> tuple[int, bytes, str]:
    """The order in which nonces leave the state."""
    return nonce.timestamp_ms, nonce.account, nonce.nonce


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """Where the chain stands after a batch, and the supply.

    `paid_ustep` is what the batch paid to provers; its validators are rewarded from it when the next batch shows
    who pre-committed. `minted = balances + stakes + burnt` holds after every batch.

    Evidence about heights up to `evidence_floor_height` is too old. `evidence_mark_height`, of batch time
    `evidence_mark_ms`, becomes the floor once it is `unbonding_ms` old, and another mark is set (ADR 11).
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
    evidence_floor_height: int = 0
    evidence_mark_height: int = 0
    evidence_mark_ms: int = 0


@dataclass(frozen=True, slots=True)
class ParametersRecord:
    """The chain's parameters, as the canonical JSON (RFC 8785) of `Parameters`."""

    canonical_json: bytes


Record: TypeAlias = Account | Triangle | ValidatorRecord | NonceRecord | ChainRecord | ParametersRecord | ProtocolRecord


def record_bytes(record: Record) -> bytes:
    """The canonical encoding of a record, under its kind and key."""
    return records_bytes((record,))[0]


def records_bytes(records: Iterable[Record]) -> list[bytes]:
    """`record_bytes` of each: by one packer, since making that takes longer than what it does for a record."""
    pack: Callable[[object], bytes] = msgpack.Packer(use_bin_type=True).pack
    return [pack(_FIELDS_OF[type(record)](record)) for record in records]


def _account_fields(account: Account) -> tuple[object, ...]:
    last = account.last_proof
    place = None if last is None else (last.timestamp_ms, last.lat, last.lon)
    return "account", account.address, account.balance_ustep, account.proofs, place, account.operations


def _triangle_fields(triangle: Triangle) -> tuple[object, ...]:
    return "triangle", triangle.id, triangle.clicks, int(triangle.state)


def _nonce_fields(nonce: NonceRecord) -> tuple[object, ...]:
    return "nonce", nonce.account, nonce.nonce, nonce.timestamp_ms


def _validator_fields(validator: ValidatorRecord) -> tuple[object, ...]:
    return (
        "validator",
        validator.address,
        validator.public_key,
        validator.stake_ustep,
        validator.p2p_address,
        validator.owner,
        int(validator.state),
        validator.active_from_height,
        validator.active_until_height,
        validator.slashed_at_height,
        validator.slashed_ustep,
        validator.locked_until_ms,
        validator.absent_since_ms,
        validator.absent_batches,
        validator.next_public_key,
    )


def _chain_fields(chain: ChainRecord) -> tuple[object, ...]:
    return (
        "chain",
        chain.height,
        chain.batch_hash,
        chain.timestamp_ms,
        chain.proposer,
        chain.paid_ustep,
        chain.minted_ustep,
        chain.balances_ustep,
        chain.stakes_ustep,
        chain.burnt_ustep,
        chain.evidence_floor_height,
        chain.evidence_mark_height,
        chain.evidence_mark_ms,
    )


def _parameters_fields(parameters: ParametersRecord) -> tuple[object, ...]:
    return "parameters", parameters.canonical_json


_FIELDS_OF: Final[Mapping[type[Record], Callable[[Any], tuple[object, ...]]]] = {
    Account: _account_fields,
    Triangle: _triangle_fields,
    ValidatorRecord: _validator_fields,
    NonceRecord: _nonce_fields,
    ChainRecord: _chain_fields,
    ParametersRecord: _parameters_fields,
    ProtocolRecord: protocol_fields,
}
"""`[kind, key…, value…]` of each kind of record. Six records change for each proof, so nothing is matched on here."""
