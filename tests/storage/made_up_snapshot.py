"""The whole state of a made-up chain, as a store gives it and takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from step_node.ledger.records import Record
from step_node.ledger.state import StateHead
from step_node.storage.interface import RestoredState, StoredBatch, StoredRecord
from tests.storage.made_up_chain import MadeUpChain


class Exported:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.head: StateHead | None = None
        self.base: StoredBatch | None = None
        self.records: list[Record] = []

    def begin(self, head: StateHead, base: StoredBatch | None) -> None:
        self.head, self.base, self.records = head, base, []

    def add(self, records: Sequence[Record]) -> None:
        self.records += records


def records_of(chain: MadeUpChain) -> list[StoredRecord]:
    """In the order of an export."""
    return [
        *(chain.accounts[key] for key in sorted(chain.accounts)),
        *(chain.triangles[key] for key in sorted(chain.triangles)),
        *(chain.nonces[key] for key in sorted(chain.nonces)),
    ]


def restored_of(chain: MadeUpChain, page_records: int = 7) -> RestoredState:
    records = records_of(chain)

    def pages() -> Iterator[list[StoredRecord]]:
        for start in range(0, len(records), page_records):
            yield records[start : start + page_records]

    return RestoredState(chain.head, chain.batches[-1].stored, pages)
