"""Proposals on their way: sent in outline first and whole when said again, and made whole where they arrive.

A full batch takes some 100 ms to decode (the ids of a thousand proofs, and their Merkle roots). What is checked before
it is passed on is what the neighbour has to answer for, which is cheap: form, signature, and that the header is the one
proposed. The rest is done here, off the event loop, once for each batch.

An outline names the proofs of its batch. Where one of them does not wait here, or waits with another signature, the
whole proposal is asked for, as consensus does with any that it lacks; and its proposer says it again, whole, if the
height goes on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from consensus.messages import Message, ProofBatch, encode_message
from consensus.wire import encode
from step_node.batch.batch import Batch, decode_batch, encode_batch
from step_node.batch.outline import Outline, decode_outline, outline_of
from step_node.engine.batches import keep_newest
from step_node.network.protocols import ProposalOutline
from step_node.offload import run_blocking
from step_node.proofs.proof import SignedProof

SMALL_BATCH_BYTES_MAX = 4_096
"""A batch of up to so many bytes, some 20 proofs, is decoded where one stands: that takes a millisecond or two."""

SMALL_BATCH_PROOFS_MAX = 20

OUTLINED_PROOFS_MIN = 32
"""A batch of fewer proofs is sent whole: it is small, and needs nothing that others may lack."""

BATCHES_KEPT_MAX = 4
"""Batches kept as they were decoded last, with their bytes: a proposal is said again, and comes from several peers."""

SAID_MAX = 8
"""Own proposals that are remembered as said."""


class Proposals:
    """See the module's docstring. Lives on the event loop.

    `known(proof_id)` gives a proof that waits here; `batch_of(batch_hash)` a batch that consensus here has built;
    `is_fresh(proof_id)` says of a proof that others may not have it yet. Batches of `outlined_from` proofs and more are
    sent in outline.
    """

    def __init__(
        self,
        *,
        known: Callable[[bytes], SignedProof | None],
        batch_of: Callable[[bytes], Batch | None],
        is_fresh: Callable[[bytes], bool],
        outlined_from: int = OUTLINED_PROOFS_MIN,
    ) -> None:
        self._known = known
        self._batch_of = batch_of
        self._is_fresh = is_fresh
        self._outlined_from = outlined_from
        self._kept: OrderedDict[bytes, tuple[bytes, Batch]] = OrderedDict()
        """By batch hash: the encoded batch, and the batch."""
        self._said: OrderedDict[tuple[int, int, bytes], None] = OrderedDict()
        """(height, round, batch hash) of proposals that were sent in outline."""

    def encoded(self, message: Message) -> bytes:
        """The bytes to send: of a proposal of many proofs, the first time, its outline."""
        if isinstance(message, ProofBatch):
            said = (message.height, message.round, message.batch_hash)
            batch = self._batch_of(message.batch_hash)
            if batch is not None and len(batch.proofs) >= self._outlined_from and said not in self._said:
                keep_newest(self._said, said, None, kept_max=SAID_MAX)
                outline = outline_of(batch, encloses=self._is_fresh)
                return encode(ProposalOutline.of(message, encode(outline)))
        return encode_message(message)

    async def decoded(self, proposal: ProofBatch) -> Batch:
        """The batch that is proposed. Raises `MalformedBatch`: its proposer is at fault, not who sent it."""
        kept = self._kept.get(proposal.batch_hash)
        if kept is not None and kept[0] == proposal.batch:
            return kept[1]
        if len(proposal.batch) <= SMALL_BATCH_BYTES_MAX:
            batch = decode_batch(proposal.batch)
        else:
            batch = await run_blocking(decode_batch, proposal.batch)
        self._keep(proposal.batch, batch)
        return batch

    async def filled(self, message: ProposalOutline) -> tuple[ProofBatch, Batch] | None:
        """The whole proposal and its batch; None if a proof is lacking here.

        Raises `MalformedBatch`, which is the proposer's fault.
        """
        kept = self._kept.get(message.batch_hash)
        if kept is None:
            # Nobody has signed its bytes: whoever has heard the proposal can make others under the same header.
            if len(message.outline) <= SMALL_BATCH_BYTES_MAX:
                outline = decode_outline(message.outline)
            else:
                outline = await run_blocking(decode_outline, message.outline)
            # The mempool is the event loop's: what it knows goes along to the thread.
            known = {proof_id: self._known(proof_id) for proof_id in outline.proof_ids}
            if len(known) <= SMALL_BATCH_PROOFS_MAX:
                kept = _fill(outline, known)
            else:
                kept = await run_blocking(_fill, outline, known)
            if kept is None:
                return None
            self._keep(*kept)
        encoded, batch = kept
        return message.with_batch(encoded), batch

    def _keep(self, encoded: bytes, batch: Batch) -> None:
        keep_newest(self._kept, batch.hash, (encoded, batch), kept_max=BATCHES_KEPT_MAX)


def _fill(outline: Outline, known: dict[bytes, SignedProof | None]) -> tuple[bytes, Batch] | None:
    batch = outline.filled(known.__getitem__)
    return None if batch is None else (encode_batch(batch), batch)
