"""Receipts of real chains in memory, as a node makes them: of a chain whose validators stay, and of one where they
change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import trio

from consensus.messages import Commit
from consensus.wire import decode
from step_node.batch.batch import Batch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.chain.genesis import Genesis
from step_node.receipts.document import OperationReceipt, ProofReceipt
from step_node.receipts.links import SetLink
from step_node.receipts.making import BatchReceipts
from tests.snapshot.changing_chain import ChangingChain, changing_genesis
from tests.support.chains import finalise, make_genesis, open_chain, validator_names
from tests.support.operations import set_address, transfer
from tests.support.proofs import signed_proof

LARGE_PROOFS = 1_000

MEMO = 'F\u00fcr "Ada" \\ \u2615'
"""With what JSON escapes, and what takes several bytes."""


@dataclass(frozen=True)
class Sample:
    """One batch of a chain, its receipts being made from what the node's store has."""

    genesis: Genesis
    batch: Batch
    receipts: BatchReceipts

    def proof(self, index: int) -> ProofReceipt:
        return self.receipts.of_proof(self.batch.proofs[index].proof_id)

    def operation(self, index: int) -> OperationReceipt:
        return self.receipts.of_operation(index)


async def sample_of(chain: Chain, height: int, links: tuple[SetLink, ...] = ()) -> Sample:
    """The batch at `height` of `chain`, read back from its store."""
    (stored,) = await chain.storage.batches(height, 1)
    batch = decode_batch(stored.batch)
    receipts = BatchReceipts.of(
        genesis_hash=chain.genesis.hash,
        batch=batch,
        commit=decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX),
        links=links,
        receipts=await chain.storage.receipts([proof.proof_id for proof in batch.proofs]),
        operation_balances=stored.operation_balances,
    )
    assert receipts is not None
    return Sample(chain.genesis, batch, receipts)


@cache
def small() -> Sample:
    """Height 1 of four validators: one proof, and nothing else."""

    async def make() -> Sample:
        chain = await open_chain(make_genesis(4))
        await finalise(chain, [signed_proof("alice", nonce="first")])
        return await sample_of(chain, 1)

    return trio.run(make)


@cache
def large() -> Sample:
    """Height 1 of four validators: as many proofs as fit."""

    async def make() -> Sample:
        chain = await open_chain(make_genesis(4))
        proofs = [
            signed_proof(
                f"walker-{index}",
                lat=round(-60 + index * 0.1234567, 7),
                lon=round(-170 + index * 0.3210987, 7),
                accuracy_m=4.123,
                nonce=f"0b4ce9f6-1f2a-4d0e-9c55-{index:012d}",
            )
            for index in range(LARGE_PROOFS)
        ]
        await finalise(chain, proofs)
        return await sample_of(chain, 1)

    return trio.run(make)


@cache
def changed() -> Sample:
    """A batch with two operations and a proof, two changes of the set after genesis."""

    async def make() -> Sample:
        chain = await ChangingChain.begin(changing_genesis())
        await chain.rotate(chain.members[0])
        await chain.grow()
        await chain.rotate(chain.members[1])
        await chain.grow(2)
        member = next(name for name in chain.members if name in validator_names(4))
        await chain.grow(
            operations=[set_address(member, member, 0), transfer("cold", "ada", 0, amount_ustep=1_500_000, memo=MEMO)]
        )
        height = chain.chain.head.chain.height
        (stored,) = await chain.chain.storage.batches(height, 1)
        links = chain.set_links.links_to(decode_batch(stored.batch).header.validator_set_hash)
        assert links is not None
        assert len(links) == 2
        return await sample_of(chain.chain, height, links)

    return trio.run(make)
