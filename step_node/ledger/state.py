"""What the ledger reads and what it writes: a slice of the state in, a set of changes out.

The state may be larger than memory, so the ledger never asks for a record while it works. `StateKeys` says
beforehand which records a batch can touch; storage loads them as a `StateSlice`; the ledger turns the slice and the
batch into `Changes` and receipts; storage writes those in one transaction. A record that was not loaded is a bug
and raises `KeyError`: it is never taken for an absent one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.records import (
    Account,
    ChainRecord,
    NonceRecord,
    ParametersRecord,
    Record,
    Triangle,
    TriangleState,
    ValidatorRecord,
)
from step_node.parameters import Parameters


@dataclass(frozen=True, slots=True)
class NonceExpiry:
    """Which nonces leave: of those of proofs before `before_ms` the `nonces_max` oldest, by `nonce_age`.

    What is over that stays, and counts as used, until a later batch.
    """

    before_ms: int
    nonces_max: int


@dataclass(frozen=True, slots=True)
class TriangleRanges:
    """Which triangles' records: those whose ids lie in one of `ranges`, the first `records_max` of them by id.

    Each range is (first, last), both included; they are in rising order, and no two of them meet. All descendants of a
    triangle are one range (protocol.md §1).
    """

    ranges: tuple[tuple[int, int], ...]
    records_max: int


@dataclass(frozen=True, slots=True)
class StateKeys:
    """The records to load; also the nonces that `expiry` has leave and the triangles in `ranges`, if given."""

    accounts: frozenset[bytes] = frozenset()
    triangles: frozenset[int] = frozenset()
    nonces: frozenset[tuple[bytes, str]] = frozenset()
    expiry: NonceExpiry | None = None
    ranges: TriangleRanges | None = None


@dataclass(frozen=True, slots=True)
class StateHead:
    """What every slice carries: where the chain stands.

    `lanes` is the state commitment's 2,048 bytes (see `ledger.commitment`); it covers `chain` too.
    """

    chain: ChainRecord
    parameters: Parameters
    validators: tuple[ValidatorRecord, ...]
    """Sorted by address."""
    protocol: ProtocolRecord
    """The rules of the next batch, and what is agreed on for later."""
    lanes: bytes

    @property
    def records(self) -> tuple[Record, ...]:
        """The records of the state that the head carries, in a snapshot's order; the lanes are over these and more."""
        parameters = ParametersRecord(self.parameters.canonical_json())
        return (self.chain, parameters, *self.protocol.kept(), *self.validators)


@dataclass(frozen=True, slots=True)
class StateSlice:
    """The head, and for every key asked for its record, or None where there is none."""

    head: StateHead
    accounts: Mapping[bytes, Account | None]
    triangles: Mapping[int, Triangle | None]
    nonces: Mapping[tuple[bytes, str], NonceRecord | None]
    expired_nonces: tuple[NonceRecord, ...] = ()
    """Those that leave with this batch, sorted by `nonce_age`."""
    in_ranges: tuple[Triangle, ...] = ()
    """The triangles of the ranges asked for that have a record, by rising id."""


class OperationReceipt(NamedTuple):
    """What a finalised operation has left its owner: `balance_ustep` (micro-STEP) is the account's right after it."""

    owner: bytes
    balance_ustep: int


class Receipt(NamedTuple):
    """What became of one finalised proof. Amounts are micro-STEP; `clicks` and `balance_ustep` are those after it.

    A named tuple, since one is made for each proof: a frozen dataclass of ten fields takes four times as long.
    """

    proof_id: bytes
    height: int
    index: int  # type: ignore[assignment]  # hides `tuple.index`, which nobody asks of a receipt
    account: bytes
    triangle: int
    reward_ustep: int
    clicks: int
    triangle_state: TriangleState
    balance_ustep: int
    processed_at_ms: int


@dataclass(frozen=True, slots=True)
class Changes:
    """The records that a batch writes and removes; `head` replaces the stored one."""

    head: StateHead
    accounts: tuple[Account, ...]
    triangles: tuple[Triangle, ...]
    nonces_added: tuple[NonceRecord, ...]
    nonces_removed: tuple[NonceRecord, ...]
