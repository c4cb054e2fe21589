"""Decoding the batch of a proposal: off the event loop, and after the proposal has been passed on.

A full batch takes some 100 ms (the ids of a thousand proofs, and their Merkle roots). What is checked before is what
the neighbour has to answer for, which is cheap: form, signature, and that the header is the one proposed.
"""

from __future__ import annotations

from consensus.messages import ProofBatch
from step_node.batch.batch import Batch, decode_batch
from step_node.offload import run_blocking

SMALL_BATCH_BYTES_MAX = 4_096
"""A batch of up to so many bytes, some 20 proofs, is decoded where one stands: that takes a millisecond or two."""


async def batch_of(proposal: ProofBatch) -> Batch:
    """The batch that is proposed. Raises `MalformedBatch`, which is its proposer's fault, not that of who sent it."""
    if len(proposal.batch) <= SMALL_BATCH_BYTES_MAX:
        return decode_batch(proposal.batch)
    return await run_blocking(decode_batch, proposal.batch)
