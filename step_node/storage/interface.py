"""The one interface of the two storage engines (and of the in-memory one that tests and simulations use).

A store holds one chain: its genesis hash and schema version, the head, the records, the finalised batches with their
commits, and one receipt per finalised proof. A batch is finalised in ONE transaction: after a crash at any point the
store holds all of it or nothing of it, and a height that is already there is never applied twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from step_node.errors import StepNodeError
from step_node.ledger.level_counts import CountsByLevel
from step_node.ledger.offences import Slashing
from step_node.ledger.records import Account, NonceRecord, Record, Triangle
from step_node.ledger.state import Changes, Receipt, StateHead, StateKeys, StateSlice
from step_node.ledger.validator_changes import ValidatorChange
from step_node.operations.operation import Operation, recipient_of
from step_node.proofs.proof import SignedProof

SCHEMA_VERSION = 5
MIGRATED_FROM = 4
"""The earliest schema that a store is brought up from; one that is older is fetched anew from the peers."""

PAGE_MAX = 500
"""The largest page any listing returns; a larger `limit` is a caller's error."""

RANK_MAX = 10_000
"""The last place that an account's rank is looked for: counting all who are richer would take as long as there are
accounts."""

Place: TypeAlias = tuple[int, int]
"""The (height, index) of an entry of a history."""

RANGES_MAX = 1_000
"""Ranges of triangles that one `load` may name; more are a caller's error."""

RANGE_RECORDS_MAX = 5_000
"""Records that one `load` may ask for by ranges; more are a caller's error."""

PRUNED_BATCHES_MAX = 16
"""Batches that one `prune` deletes: full ones have 3 MB."""

PRUNED_ENTRIES_MAX = 1_000
"""Entries of histories at which one `prune` ends; it takes whole heights, and one at least."""

STRANGERS_READS_MAX = 4
"""Reads for strangers at the same time; a further one waits for one to end."""


class StorageError(StepNodeError):
    """The store cannot be used. The message says what is wrong and what to do about it."""


class StorageUnavailable(StorageError):
    """The database does not answer just now (the environment's fault): try again. Nothing was written in part.

    When a network fails under a commit, whether all of it was written is unknown; the same call again settles it.
    """


class StorageMismatch(StorageError):
    """The store is not this chain's, or not this program's; trying again does not help.

    Another genesis, a newer schema, a damaged file, a standalone mongod, a store that holds no chain yet.
    """


class EarlierSchema(StorageMismatch):
    """The store has an earlier schema that this program could bring to the present one, if nobody else had it open."""


class NoChain(StorageMismatch):
    """The store holds no chain yet."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A finalised batch: `batch` and `commit` are the encoded bytes, as they went over the wire.

    `operation_balances` tells what each of its operations has left its owner (`step_node.receipts.balances`), which no
    other record does. It is empty where there are none, and for the batch that a snapshot begins at.
    """

    height: int
    batch_hash: bytes
    timestamp_ms: int
    batch: bytes
    commit: bytes
    operation_balances: bytes = b""


@dataclass(frozen=True, slots=True)
class FinalisedProof:
    """A finalised proof as histories show it."""

    proof: SignedProof
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class FinalisedOperation:
    """An applied operation as histories show it. `index` is its place among its batch's operations, `timestamp_ms` the
    batch's."""

    operation: Operation
    operation_id: bytes
    height: int
    index: int
    timestamp_ms: int

    @property
    def accounts(self) -> tuple[bytes, ...]:
        """Whose history it is in: its owner's, and the recipient's, if it has one."""
        recipient = recipient_of(self.operation)
        return (self.operation.owner,) if recipient is None else (self.operation.owner, recipient)


Transaction: TypeAlias = FinalisedProof | FinalisedOperation


@dataclass(frozen=True, slots=True)
class AccountPage:
    """An account as of one moment: its record, its rank (None beyond the last that is told), what it did last."""

    account: Account | None
    rank: int | None
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class FinalisedBatch:
    """Everything that finalising one height writes. `proofs[i]` belongs to `receipts[i]`."""

    stored: StoredBatch
    changes: Changes
    proofs: Sequence[SignedProof]
    receipts: Sequence[Receipt]
    slashings: Sequence[Slashing] = ()
    operations: Sequence[FinalisedOperation] = ()
    validator_changes: Sequence[ValidatorChange] = ()


class Prunable(StrEnum):
    """What of the past a store may be without (docs/retention.md)."""

    BATCHES = "batches"
    """The batches' bytes, with their commits."""
    HISTORIES = "histories"
    """Finalised proofs with their receipts, and applied operations."""


@dataclass(frozen=True, slots=True)
class Kept:
    """From which height on a store has what of the past: 1 unless it has joined from a snapshot, or was pruned."""

    batches_from: int = 1
    histories_from: int = 1

    def start_of(self, what: Prunable) -> int:
        """From which height on it has `what`."""
        return self.batches_from if what is Prunable.BATCHES else self.histories_from


@dataclass(frozen=True, slots=True)
class LedgerTotals:
    """Sums over all stored records, in micro-STEP, for the check of conservation at start."""

    balances_ustep: int
    accounts: int
    triangles: int
    proofs: int


BACKGROUND_SHARE = 0.2
"""Of a core, for reading the whole state beside a running node. A million accounts take some minutes so; at full speed
they kept four validators from finalising more than 90 proofs a second meanwhile."""


class RecordSink(Protocol):
    """Where `Storage.export` puts the records of one height. Called from the engine's thread, so it may block."""

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        """The state's head, and the batch that led to it; none has at height 0.

        Called a second time, it means: again from the start.
        """
        ...

    def add(self, records: Sequence[Record]) -> None:
        """Further records: accounts by address, then triangles by id, then nonces by (account, nonce)."""
        ...


StoredRecord: TypeAlias = Account | Triangle | NonceRecord
"""A record of which there are many. The others are in `StateHead`."""


InitialPages: TypeAlias = Callable[[], Iterable[Sequence[StoredRecord]]]
"""Gives every record of an initial state, each once, in pages, from the first on whenever it is called."""


def no_initial_pages() -> Iterable[Sequence[StoredRecord]]:
    """For a chain that begins with its allocations alone."""
    return ()


@dataclass(frozen=True, slots=True)
class RestoredState:
    """The whole state of one height, as `Storage.restore` takes it. `base` is the batch that led to it.

    `pages()` gives every account, triangle and nonce, each once, in pages; it may be called again, from any thread.
    """

    head: StateHead
    base: StoredBatch
    pages: Callable[[], Iterable[Sequence[StoredRecord]]]
    kept: Kept | None = None
    """What of the past is there already, where it was copied (`History`); a snapshot comes without."""


@dataclass(frozen=True, slots=True)
class History:
    """A part of the past, as one store gives it to another: entries of each kind, oldest first."""

    batches: Sequence[StoredBatch] = ()
    proofs: Sequence[FinalisedProof] = ()
    operations: Sequence[FinalisedOperation] = ()
    slashings: Sequence[Slashing] = ()
    validator_changes: Sequence[ValidatorChange] = ()


@dataclass(frozen=True, slots=True)
class HistoryEnds:
    """How far the past reaches in a store: the last batch's height, the last proof's and operation's ids, and the
    places of the last slashing and validator's change; None where there is none."""

    batch: int | None
    proof_id: bytes | None
    operation_id: bytes | None
    slashing: Place | None
    validator_change: Place | None


class StorageReads(Protocol):
    """What can be asked of a chain's store. Every method may raise `StorageUnavailable`.

    Listings raise `ValueError` for a `limit` outside 1..PAGE_MAX. Those of history hold what is below `before` and
    above `after`, where these are given: newest first, but with `after` alone oldest first.
    """

    async def head(self) -> StateHead: ...

    async def load(self, keys: StateKeys) -> StateSlice:
        """The head and the records asked for, read as one consistent snapshot.

        Raises `ValueError` for ranges out of order, more than `RANGES_MAX`, or of more records than
        `RANGE_RECORDS_MAX`.
        """
        ...

    async def batches(self, from_height: int, limit: int) -> Sequence[StoredBatch]:
        """Up to `limit` consecutive batches from `from_height` upwards; fewer, or none, past the head."""
        ...

    async def receipts(self, proof_ids: Sequence[bytes]) -> Sequence[Receipt]:
        """The receipts of those of these proofs that are finalised, in no particular order."""
        ...

    async def account(self, address: bytes) -> Account | None: ...

    async def account_rank(self, address: bytes) -> int | None:
        """1 for the highest balance; equal balances are ranked by address. None beyond `RANK_MAX`, and for none."""
        ...

    async def account_page(self, address: bytes, *, limit: int) -> AccountPage:
        """The account, its rank, and up to `limit` of its last transactions, read as one consistent snapshot."""
        ...

    async def transactions(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Transaction]:
        """The account's proofs, and the operations that it has signed or that have credited it; a place is that of
        `transactions.place_of`."""
        ...

    async def operations(self, operation_ids: Sequence[bytes]) -> Sequence[FinalisedOperation]:
        """Those of these operations that are applied, in no particular order."""
        ...

    async def account_proofs(
        self, address: bytes, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        """The account's finalised proofs."""
        ...

    async def triangle_proofs(
        self, triangle_id: int, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[FinalisedProof]:
        """The finalised proofs in this triangle, without those in its children."""
        ...

    async def triangle(self, triangle_id: int) -> Triangle | None: ...

    async def active_triangles(self, level: int, *, after: int, limit: int) -> Sequence[Triangle]:
        """Those of `level` that have a record and are active, by rising id, from above the id `after`."""
        ...

    async def level_counts(self) -> CountsByLevel:
        """What has happened at each level; the cost does not grow with the chain."""
        ...

    async def leaderboard(self, *, limit: int) -> Sequence[Account]:
        """Accounts by falling balance, equal balances by address."""
        ...

    async def slashings(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[Slashing]:
        """Who has been slashed."""
        ...

    async def validator_changes(
        self, *, limit: int, before: Place | None = None, after: Place | None = None
    ) -> Sequence[ValidatorChange]:
        """What has become of validators."""
        ...

    async def first_height(self) -> int | None:
        """The lowest height whose batch is here: above 1 in a store that began with a snapshot, or was pruned. None at
        height 0."""
        ...

    async def kept(self) -> Kept:
        """From which heights on the past is here."""
        ...


class Storage(StorageReads, Protocol):
    """One chain's store. Every method may raise `StorageUnavailable`; then nothing has been written in part.

    A call that is cancelled ends whole as well, written or not, before the cancellation goes on.

    Until `initialise` has been called once in the store's life, every other method but `close` raises
    `StorageMismatch`.
    """

    def for_strangers(self) -> StorageReads:
        """The same store for whoever asks from outside: the node's own calls never wait behind theirs."""
        ...

    async def initialise(
        self,
        genesis_hash: bytes,
        head: StateHead,
        accounts: Sequence[Account],
        initial_pages: InitialPages = no_initial_pages,
    ) -> None:
        """Write the genesis state into an empty store: its accounts, and what `initial_pages` gives besides.

        `initial_pages` is asked only where the store needs them, from any thread, perhaps more than once; what it
        raises leaves the store without a chain.

        A store that already holds this genesis is left as it is, at whatever height it stands.
        Raises `StorageMismatch` when it holds another chain (naming both hashes) or a newer schema (naming both).
        """
        ...

    async def finalise(self, finalised: FinalisedBatch) -> None:
        """Write one height, in one transaction.

        A height at or below the head with the same batch hash is already there: nothing is done.
        Raises `ValueError`, with nothing changed, when it is not the head's successor, contradicts itself, holds
        an integer beyond a signed 64-bit one, or conflicts with what is stored: another batch at this height, a
        proof or a nonce that is already there, the removal of a nonce that is not.
        """
        ...

    async def prune(self, what: Prunable, *, below: int, before_ms: int | None = None) -> bool:
        """Delete the oldest of `what` below the height `below`, and older than `before_ms`, where it is given: a little
        of it (`PRUNED_BATCHES_MAX`, `PRUNED_ENTRIES_MAX`), in one transaction. Whether there is more.

        Batches go no further than the last one, and histories no further than the batches: what a batch has brought
        about is here as long as it is. The state is not touched.
        """
        ...

    async def totals(self) -> LedgerTotals: ...

    async def export(self, sink: RecordSink, *, share: float = 1.0) -> None:
        """Hand over all records of the head's state, read as one consistent snapshot while the chain goes on.

        `share` is the greatest part of a core that this may take: beside a running node it must be a small one, since
        all that a node does shares one interpreter (`BACKGROUND_SHARE`).

        Raises `StorageUnavailable` also while `initialise` or `restore` has left but a part of a state, and whatever
        the sink raises.
        """
        ...

    async def restore(self, restored: RestoredState) -> None:
        """Make `restored`, which the caller has verified, the contents of a store that stands at height 0.

        A crash leaves the store at height 0, at the latest after the next `initialise`; so does `StorageUnavailable`,
        after which this may be called again. Does nothing where the store stands at this height with this batch.
        Raises `ValueError`, with nothing changed, when it stands at any other height, or the parts do not fit.
        """
        ...

    async def all_proofs(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedProof]:
        """Every finalised proof, oldest first, from behind the one with the id `after`."""
        ...

    async def all_operations(self, *, limit: int, after: bytes | None) -> Sequence[FinalisedOperation]:
        """Every applied operation, oldest first, from behind the one with the id `after`."""
        ...

    async def history_ends(self) -> HistoryEnds:
        """How far the past reaches."""
        ...

    async def take_history(self, history: History) -> None:
        """Add a part of another store's past, behind what is there, to a store that stands at height 0; its state
        follows by `restore`. Cut short, the part is there up to some entry of each kind (`history_ends`).

        Raises `ValueError` where the store stands at any other height.
        """
        ...

    async def close(self) -> None: ...
