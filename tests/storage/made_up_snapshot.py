"""The whole state of a made-up chain, as a store takes it from a snapshot."""

from __future__ import annotations

from collections.abc import Iterator

from step_node.storage.interface import RestoredState, StoredRecord
from tests.storage.made_up_chain import MadeUpChain


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
