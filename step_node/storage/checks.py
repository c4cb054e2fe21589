"""What every engine checks before it writes, in one place, so that all engines refuse the same things.

An engine's own constraints (unique indexes, 64-bit columns) stay as the second line: what is said here is said
before the first byte is written, with a message that names the field and the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from step_node import __version__
from step_node.ledger.records import Account, ChainRecord
from step_node.ledger.state import Changes, Receipt, StateHead, TriangleRanges
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import (
    MIGRATED_FROM,
    PAGE_MAX,
    PRUNED_ENTRIES_MAX,
    RANGE_RECORDS_MAX,
    RANGES_MAX,
    SCHEMA_VERSION,
    EarlierSchema,
    FinalisedBatch,
    Kept,
    NoChain,
    Prunable,
    StorageMismatch,
    StorageUnavailable,
    StoredBatch,
)

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
ADDRESS_BYTES = 20
HASH_BYTES = 32
LANES_BYTES = 2_048
_VALIDATOR_INTEGERS = (
    "stake_ustep",
    "active_from_height",
    "active_until_height",
    "slashed_at_height",
    "slashed_ustep",
    "locked_until_ms",
    "absent_since_ms",
    "absent_batches",
)
_RECEIPT_INTEGERS = ("reward_ustep", "clicks", "balance_ustep", "processed_at_ms")


def require_limit(limit: int) -> None:
    """A page holds 1 to PAGE_MAX entries; anything else is a caller's `ValueError`."""
    if not 1 <= limit <= PAGE_MAX:
        raise ValueError(f"limit is {limit}: it must be from 1 to {PAGE_MAX}")


def require_initial_state(genesis_hash: bytes, head: StateHead, accounts: Sequence[Account]) -> None:
    """Raises `ValueError` for a genesis state that no engine can hold."""
    _require_length("genesis_hash", genesis_hash, HASH_BYTES)
    _require_unique("accounts", [account.address for account in accounts])
    _require_storable_head(head)
    _require_storable_accounts(accounts)


def require_same_genesis(stored: bytes, wanted: bytes) -> None:
    """Raises `StorageMismatch` naming both hashes when the store holds another chain."""
    if stored != wanted:
        raise StorageMismatch(
            f"the store holds the chain of genesis 0x{stored.hex()}, not of 0x{wanted.hex()}:"
            " give this chain a store of its own"
        )


def require_same_schema(stored: int, where: str, *, release: str | None = None) -> None:
    """Raises `StorageMismatch` naming both versions when the store was written by another schema than this one, and
    `EarlierSchema` if that is one from which it can be brought to this one.

    `release` is the program's version that wrote it, as far as the store says.
    """
    if stored > SCHEMA_VERSION:
        newer = (
            "the newer program that wrote it" if release is None else f"release {release}, which wrote it, or a later"
        )
        raise StorageMismatch(
            f"{where} has schema version {stored}, and this program, {__version__}, knows versions up to"
            f" {SCHEMA_VERSION}: use {newer}"
        )
    if MIGRATED_FROM <= stored < SCHEMA_VERSION:
        raise EarlierSchema(
            f"{where} has schema version {stored}, and this program needs {SCHEMA_VERSION}: stop the node; the next"
            " start with this program brings the store there, and so does `step-node store migrate`"
        )
    if stored != SCHEMA_VERSION:
        raise StorageMismatch(
            f"{where} has schema version {stored}, and this program needs {SCHEMA_VERSION}:"
            " start with an empty store (`step-node store rebuild`) and let the node catch up from its peers"
        )


def no_chain() -> NoChain:
    """The error for a store that nothing has been written to yet."""
    return NoChain("the store holds no chain yet: it must be initialised with a genesis first")


def already_finalised(chain: ChainRecord, stored_hash: bytes | None, wanted: StoredBatch) -> bool:
    """Whether `wanted` is there already: True means nothing to do, False that it is the head's successor.

    `stored_hash` is the hash of the batch stored at `wanted.height`, or None.
    Raises `ValueError` when the height is neither, or is taken by another batch.
    """
    if stored_hash is not None:
        if stored_hash != wanted.batch_hash:
            raise ValueError(
                f"height {wanted.height} holds batch 0x{stored_hash.hex()}, which conflicts with"
                f" 0x{wanted.batch_hash.hex()}"
            )
        return True
    if wanted.height != chain.height + 1:
        raise ValueError(f"height {wanted.height} is not the successor of the head's height {chain.height}")
    return False


def already_restored(chain: ChainRecord, wanted: StateHead) -> bool:
    """Whether the store stands where `wanted` does: True means nothing to do, False that it stands at height 0.

    Raises `ValueError` when it stands anywhere else.
    """
    if (chain.height, chain.batch_hash) == (wanted.chain.height, wanted.chain.batch_hash):
        return True
    if chain.height != 0:
        raise ValueError(f"the store stands at height {chain.height}: a snapshot can be restored at height 0 only")
    return False


def require_beginning(chain: ChainRecord) -> None:
    """Raises `ValueError` for a store that has begun: another one's past cannot be added to it."""
    if chain.height != 0:
        raise ValueError(f"the store stands at height {chain.height}: a past can be added at height 0 only")


def require_restorable(head: StateHead, base: StoredBatch) -> None:
    """Raises `ValueError` when the parts of a snapshot contradict each other or do not fit 64 bits."""
    _require_same_batch(head.chain, base, "head.chain", "base")
    if base.height < 1:
        raise ValueError(f"base is of height {base.height}: it must be 1 or more")
    _require_storable_head(head)


def kept_after_restore(base: StoredBatch, copied: Kept | None) -> Kept:
    """What of the past a store has then: what was copied; after a snapshot the batch that led to it, and not what that
    did."""
    return copied or Kept(batches_from=base.height, histories_from=base.height + 1)


def prune_end(chain: ChainRecord, kept: Kept, what: Prunable, below: int) -> int:
    """Up to which height `what` may be pruned: not the head's batch, and no history of a batch that is there.

    Raises `ValueError` for a height that is none.
    """
    if not 1 <= below <= INT64_MAX:
        raise ValueError(f"below is {below}: it must be a height")
    # A snapshot's batch is there without its history, so histories may begin one above the batches.
    end = min(below, chain.height if what is Prunable.BATCHES else kept.batches_from)
    return max(end, kept.start_of(what))


def is_older(timestamp_ms: int, before_ms: int | None) -> bool:
    """Whether something of this time may be pruned."""
    return before_ms is None or timestamp_ms < before_ms


def step_end(heights: Sequence[int], end: int) -> int:
    """Where one step of pruning histories ends, given the heights of the oldest `PRUNED_ENTRIES_MAX + 1` entries, in
    order: in front of the height that it would not get through with, but after one height at least."""
    if len(heights) <= PRUNED_ENTRIES_MAX:
        return end
    return min(end, max(heights[PRUNED_ENTRIES_MAX], heights[0] + 1))


def half_filled() -> StorageUnavailable:
    """The error for exporting what is only a part of a state."""
    return StorageUnavailable(
        "the store is being filled with a state, or that was cut short: wait until the node has caught up; if it does"
        " not run, its next start clears away what is there and goes on"
    )


def require_consistent(finalised: FinalisedBatch) -> None:
    """Raises `ValueError` when the parts of `finalised` contradict each other or do not fit 64 bits."""
    stored, changes = finalised.stored, finalised.changes
    _require_same_batch(changes.head.chain, stored, "changes.head.chain", "stored")
    _require_receipts(stored.height, finalised.proofs, finalised.receipts)
    _require_storable_head(changes.head)
    _require_storable_changes(changes)
    for index, change in enumerate(finalised.validator_changes):
        if (change.height, change.index) != (stored.height, index):
            raise ValueError(f"validator_changes[{index}] is of height {change.height}, index {change.index}")
        _require_int64((("validator_change.stake_ustep", change.stake_ustep),))
    for index, slashing in enumerate(finalised.slashings):
        if (slashing.height, slashing.index) != (stored.height, index):
            raise ValueError(f"slashings[{index}] is of height {slashing.height}, index {slashing.index}")
        _require_int64((("slashing.amount_ustep", slashing.amount_ustep),))
    _require_unique("operations", [operation.operation_id for operation in finalised.operations])
    for index, operation in enumerate(finalised.operations):
        expected = (stored.height, index, stored.timestamp_ms)
        if (operation.height, operation.index, operation.timestamp_ms) != expected:
            raise ValueError(
                f"operations[{index}] is of height {operation.height}, index {operation.index}, time"
                f" {operation.timestamp_ms}"
            )


def _require_same_batch(chain: ChainRecord, stored: StoredBatch, chain_name: str, stored_name: str) -> None:
    if (chain.height, chain.batch_hash, chain.timestamp_ms) != (stored.height, stored.batch_hash, stored.timestamp_ms):
        raise ValueError(
            f"{chain_name} is of height {chain.height}, batch 0x{chain.batch_hash.hex()}, time"
            f" {chain.timestamp_ms}; {stored_name} is of height {stored.height}, batch 0x{stored.batch_hash.hex()},"
            f" time {stored.timestamp_ms}: they must be the same"
        )
    _require_length(f"{stored_name}.batch_hash", stored.batch_hash, HASH_BYTES)


def _require_receipts(height: int, proofs: Sequence[SignedProof], receipts: Sequence[Receipt]) -> None:
    if len(proofs) != len(receipts):
        raise ValueError(f"{len(proofs)} proofs have {len(receipts)} receipts: there must be one for each")
    _require_unique("proofs", [proof.proof_id for proof in proofs])
    for index, (proof, receipt) in enumerate(zip(proofs, receipts, strict=True)):
        expected = (proof.proof_id, height, index, proof.account, proof.triangle.integer)
        found = (receipt.proof_id, receipt.height, receipt.index, receipt.account, receipt.triangle)
        if found != expected:
            raise ValueError(
                f"receipts[{index}] is not of proofs[{index}]: its proof_id, height, index, account or triangle differs"
            )
    _require_int64s(receipts, _RECEIPT_INTEGERS, "receipt")
    _require_int64s(proofs, ("timestamp_ms",), "proof")


def require_ranges(wanted: TriangleRanges) -> None:
    """Raises `ValueError` for ranges as `StorageReads.load` does not take them."""
    if len(wanted.ranges) > RANGES_MAX:
        raise ValueError(f"ranges: {len(wanted.ranges)}, at most {RANGES_MAX} may be asked for at once")
    if not 1 <= wanted.records_max <= RANGE_RECORDS_MAX:
        raise ValueError(f"records_max: must be 1 to {RANGE_RECORDS_MAX}")
    above = -1
    for first, last in wanted.ranges:
        if not above < first <= last:
            raise ValueError("ranges: must be in rising order, and apart")
        above = last


def _require_storable_head(head: StateHead) -> None:
    _require_length("head.lanes", head.lanes, LANES_BYTES)
    addresses = [validator.address for validator in head.validators]
    if sorted(set(addresses)) != addresses:
        raise ValueError("head.validators must be sorted by address, each once")
    chain = head.chain
    names = (
        "height",
        "timestamp_ms",
        "paid_ustep",
        "minted_ustep",
        "balances_ustep",
        "stakes_ustep",
        "burnt_ustep",
        "evidence_floor_height",
        "evidence_mark_height",
        "evidence_mark_ms",
    )
    _require_int64((f"head.chain.{name}", getattr(chain, name)) for name in names)
    for validator in head.validators:
        _require_length("validator.owner", validator.owner, ADDRESS_BYTES)
        _require_int64((f"validator.{name}", getattr(validator, name)) for name in _VALIDATOR_INTEGERS)


def _require_storable_changes(changes: Changes) -> None:
    _require_unique("accounts", [account.address for account in changes.accounts])
    _require_unique("triangles", [triangle.id for triangle in changes.triangles])
    _require_unique("nonces_added", [(nonce.account, nonce.nonce) for nonce in changes.nonces_added])
    _require_unique("nonces_removed", [(nonce.account, nonce.nonce) for nonce in changes.nonces_removed])
    _require_storable_accounts(changes.accounts)
    _require_int64s(changes.triangles, ("id", "clicks"), "triangle")
    _require_int64s(changes.nonces_added, ("timestamp_ms",), "nonce")


def _require_storable_accounts(accounts: Sequence[Account]) -> None:
    for account in accounts:
        _require_length("account.address", account.address, ADDRESS_BYTES)
    last_proofs = [account.last_proof for account in accounts if account.last_proof is not None]
    _require_int64s(accounts, ("balance_ustep", "proofs", "operations"), "account")
    _require_int64s(last_proofs, ("timestamp_ms",), "account.last_proof")


def _require_int64s(records: Sequence[object], names: Sequence[str], kind: str) -> None:
    """Of each record these fields: a column at a time, since a batch has thousands of them, and all are nearly always
    right."""
    for name in names:
        column = list(map(attrgetter(name), records))
        if column and not (min(column) >= INT64_MIN and max(column) <= INT64_MAX):
            _require_int64((f"{kind}.{name}", value) for value in column)


def _require_int64(named: Iterable[tuple[str, int]]) -> None:
    for name, value in named:
        if not INT64_MIN <= value <= INT64_MAX:
            raise ValueError(f"{name} is {value}: it must fit a signed 64-bit integer")


def _require_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise ValueError(f"{name} has {len(value)} bytes: it must have {length}")


def _require_unique(name: str, keys: Sequence[object]) -> None:
    if len(set(keys)) != len(keys):
        raise ValueError(f"{name} names one record twice")
