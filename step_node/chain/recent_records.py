"""Records of the state that were read or written lately, kept in memory: most are wanted three times within seconds.

A proof's account, triangles and nonce are read when it comes, when a batch is built or judged that holds it, and when
what else waits is settled; to read them from the store each time took as long as to verify the signature. Everything
here is as of the chain's head: `Chain` puts in what it has loaded while the head stood still, and what it finalises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

from step_node.ledger.records import Account, NonceRecord, Triangle
from step_node.ledger.state import Changes, StateHead, StateKeys, StateSlice

RECORDS_MAX: Final = 16_384
"""Records of one kind in one generation; there are two. Some 35 MB in all, when tens of thousands of proofs wait."""
HEIGHTS_MAX: Final = 16
"""After so many heights a generation is over: what nobody asked for during the next one is let go."""

KeyT = TypeVar("KeyT")
RecordT = TypeVar("RecordT")


class _Recent(Generic[KeyT, RecordT]):
    """One kind of record in two generations; None where the state has no such record."""

    def __init__(self) -> None:
        self._young: dict[KeyT, RecordT | None] = {}
        self._old: dict[KeyT, RecordT | None] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def split(self, keys: Iterable[KeyT]) -> tuple[dict[KeyT, RecordT | None], frozenset[KeyT]]:
        """What is known of `keys`, and those of which nothing is."""
        young, old = self._young, self._old
        known: dict[KeyT, RecordT | None] = {}
        lacking: list[KeyT] = []
        for key in keys:
            if key in young:
                known[key] = young[key]
            elif key in old:
                known[key] = old[key]
                self.put(key, old[key])
            else:
                lacking.append(key)
        return known, frozenset(lacking)

    def put(self, key: KeyT, record: RecordT | None) -> None:
        if len(self._young) >= RECORDS_MAX:
            self.age()
        self._young[key] = record

    def put_all(self, records: Mapping[KeyT, RecordT | None]) -> None:
        for key, record in records.items():
            self.put(key, record)

    def forget(self, key: KeyT) -> None:
        self._young.pop(key, None)
        self._old.pop(key, None)

    def age(self) -> None:
        self._young, self._old = {}, self._young


class RecentRecords:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._accounts = _Recent[bytes, Account]()
        self._triangles = _Recent[int, Triangle]()
        self._nonces = _Recent[tuple[bytes, str], NonceRecord]()
        self._heights = 0

    def __len__(self) -> int:
        """How many are kept, absent ones among them."""
        return len(self._accounts) + len(self._triangles) + len(self._nonces)

    def split(self, keys: StateKeys, head: StateHead) -> tuple[StateSlice, StateKeys]:
        """What is known of `keys` as a slice at `head`, and what must be loaded: what expires, and ranges, always."""
        accounts, no_accounts = self._accounts.split(keys.accounts)
        triangles, no_triangles = self._triangles.split(keys.triangles)
        nonces, no_nonces = self._nonces.split(keys.nonces)
        known = StateSlice(head, accounts, triangles, nonces)
        return known, StateKeys(no_accounts, no_triangles, no_nonces, keys.expiry, keys.ranges)

    def keep(self, loaded: StateSlice) -> None:
        """Put in what was loaded; the head must be the slice's."""
        self._accounts.put_all(loaded.accounts)
        self._triangles.put_all(loaded.triangles)
        self._nonces.put_all(loaded.nonces)

    def move(self, changes: Changes) -> None:
        """The head has moved, by these changes."""
        # Removed before added: a nonce that has just left the window may be used again in the same batch.
        for nonce in changes.nonces_removed:
            self._nonces.forget((nonce.account, nonce.nonce))
        for nonce in changes.nonces_added:
            self._nonces.put((nonce.account, nonce.nonce), nonce)
        for account in changes.accounts:
            self._accounts.put(account.address, account)
        for triangle in changes.triangles:
            self._triangles.put(triangle.id, triangle)
        self._heights += 1
        if self._heights % HEIGHTS_MAX == 0:
            for kind in (self._accounts, self._triangles, self._nonces):
                kind.age()


def merged(known: StateSlice, loaded: StateSlice) -> StateSlice:
    """Both, which are of the same height, as one."""
    return StateSlice(
        loaded.head,
        {**known.accounts, **loaded.accounts},
        {**known.triangles, **loaded.triangles},
        {**known.nonces, **loaded.nonces},
        loaded.expired_nonces,
        loaded.in_ranges,
    )
