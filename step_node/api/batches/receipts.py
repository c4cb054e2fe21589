"""What receipts are made from, kept for the batches that were asked for last: a finalised batch never changes.

A receipt is a leaf of its batch's tree, so to make one the whole batch is decoded and hashed, some 20 ms for a thousand
proofs. That is done once for all of its proofs, by one thread that is set aside for it; who asks for the same batch
meanwhile waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import trio

from consensus.messages import SIGNATURE_BYTES, Commit
from consensus.wire import decode
from step_node.batch.batch import Batch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.offload import run_blocking
from step_node.receipts.document import RECEIPT_BYTES_MAX
from step_node.receipts.links import SetLink, needed_links
from step_node.receipts.making import BatchReceipts
from step_node.receipts.verification import Trust
from step_node.storage.interface import StorageReads

KEPT_PROOFS_MAX: Final = 8_000
"""Proofs of the batches that are kept, some 2 KB each; beyond, the batch that was asked for the longest ago goes."""


class LinksUnknown(Exception):
    """This node cannot show how the validators of a batch have come from those of genesis."""


class LinksTooLong(Exception):
    """The links to the validators of a batch alone are longer than any reader takes a receipt to be."""


class ReceiptMaker:
    """Receipts over one store. To be used from the event loop.

    `links_to(validator_set_hash)` gives the links that lead from the set of genesis (in `trust`) to another, or None.
    """

    def __init__(
        self,
        storage: StorageReads,
        *,
        trust: Trust,
        links_to: Callable[[bytes], Sequence[SetLink] | None],
    ) -> None:
        self._storage = storage
        self._trust = trust
        self._links_to = links_to
        self._kept: OrderedDict[int, BatchReceipts] = OrderedDict()
        self._kept_proofs = 0
        self._turn = trio.Lock()

    async def of_batch(self, height: int) -> BatchReceipts | None:
        """All receipts of the batch at `height`; None if this node has not all that they are made from.

        Raises `LinksUnknown`, `LinksTooLong`, `StorageUnavailable`.
        """
        if height not in self._kept:
            async with self._turn:
                if height not in self._kept:
                    return await self._make(height)
        self._kept.move_to_end(height)
        return self._kept[height]

    async def _make(self, height: int) -> BatchReceipts | None:
        stored = await self._storage.batches(height, 1)
        if not stored:
            return None
        batch: Batch = await run_blocking(decode_batch, stored[0].batch)
        links = self._links_to(batch.header.validator_set_hash)
        if links is None:
            raise LinksUnknown
        receipts = await self._storage.receipts([proof.proof_id for proof in batch.proofs])

        def make() -> BatchReceipts | None:
            needed = needed_links(self._trust.validators, links)
            if _bytes_min(needed) > RECEIPT_BYTES_MAX:
                raise LinksTooLong
            return BatchReceipts.of(
                genesis_hash=self._trust.genesis_hash,
                batch=batch,
                commit=decode(Commit, stored[0].commit, bytes_max=COMMIT_BYTES_MAX),
                links=needed,
                receipts=receipts,
                operation_balances=stored[0].operation_balances,
            )

        made = await run_blocking(make)
        if made is not None:
            self._keep(height, made)
        return made

    def _keep(self, height: int, made: BatchReceipts) -> None:
        self._kept[height] = made
        self._kept_proofs += len(made.proofs)
        while self._kept_proofs > KEPT_PROOFS_MAX and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_proofs -= len(dropped.proofs)


def _bytes_min(links: Sequence[SetLink]) -> int:
    """What signatures, addresses and keys take in the shorter form: counted before anything of that length is made."""
    return sum(
        SIGNATURE_BYTES * len(link.commit.signatures)
        + sum(len(one.address) + len(one.public_key) for one in link.validators)
        for link in links
    )
