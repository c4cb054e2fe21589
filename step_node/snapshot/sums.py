"""Records of a state that pass by, added up: how many there are, what they hold, and what they are committed to by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from step_node.ledger.commitment import EMPTY_LANES, commit_encoded
from step_node.ledger.records import Account, NonceRecord, Record, Triangle


@dataclass(slots=True)
class RecordSum:
    """The sum of the records that were added."""

    accounts: int = 0
    balances_ustep: int = 0
    triangles: int = 0
    nonces: int = 0
    lanes: bytes = EMPTY_LANES

    def add(self, records: Iterable[Record], encoded: Iterable[bytes]) -> None:
        """Add records, and the same records in their canonical encodings."""
        self.lanes = commit_encoded(self.lanes, encoded)
        for record in records:
            match record:
                case Account():
                    self.accounts += 1
                    self.balances_ustep += record.balance_ustep
                case Triangle():
                    self.triangles += 1
                case NonceRecord():
                    self.nonces += 1
                case _:
                    pass  # Of the head, which says itself what it holds.
