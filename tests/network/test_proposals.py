"""Proposals on their way: in outline first, whole when said again, and made whole where they arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

import step_node.network.proposals as proposals_module
from consensus.messages import PreVote, ProofBatch, decode_message, encode_message
from consensus.wire import encode
from step_node.batch.batch import Batch, MalformedBatch, decode_batch, encode_batch
from step_node.batch.outline import outline_of
from step_node.crypto.eip191 import sign
from step_node.network.proposals import SAID_MAX, SMALL_BATCH_BYTES_MAX, Proposals
from step_node.network.protocols import ProposalOutline, decode_gossiped
from step_node.offload import offload_of_task
from step_node.proofs.proof import SignedProof
from tests.support.chains import CHAIN_ID, build, make_genesis, open_chain, validator_names
from tests.support.proofs import address, private_key, signed_proof

NAMES = validator_names(4)

SignedMessageT = TypeVar("SignedMessageT", ProofBatch, PreVote)
T = TypeVar("T")


def signed(message: SignedMessageT, name: str) -> SignedMessageT:
    """Signed by whom it names."""
    return replace(message, signature=sign(message.signing_line(CHAIN_ID), private_key(name)))


async def proposed(proofs: int) -> tuple[ProofBatch, Batch]:
    """A signed proposal of so many proofs."""
    chain = await open_chain(make_genesis(4))
    judged = await build(chain, [signed_proof(f"walker-{number}") for number in range(proofs)])
    batch = judged.batch
    proposer = next(name for name in NAMES if address(name) == batch.header.proposer)
    proposal = ProofBatch(1, 0, -1, batch.hash, encode_batch(batch), address(proposer))
    return signed(proposal, proposer), batch


def sender(batch: Batch, *, fresh: frozenset[bytes] = frozenset(), outlined_from: int = 3) -> Proposals:
    """Who has built `batch`."""
    return Proposals(
        known=lambda _: None,
        batch_of={batch.hash: batch}.get,
        is_fresh=fresh.__contains__,
        outlined_from=outlined_from,
    )


def receiver(*waiting: SignedProof) -> Proposals:
    """Who has these proofs waiting."""
    return Proposals(
        known={proof.proof_id: proof for proof in waiting}.get, batch_of=lambda _: None, is_fresh=lambda _: False
    )


async def test_a_proposal_is_sent_in_outline_once_in_each_round_and_whole_after_that() -> None:
    proposal, batch = await proposed(3)
    proposals = sender(batch)
    later = replace(proposal, round=1)
    for each in (proposal, later):
        assert isinstance(decode_gossiped(proposals.encoded(each)), ProposalOutline)
        assert decode_gossiped(proposals.encoded(each)) == each
    for number in range(2, 2 + SAID_MAX):
        proposals.encoded(replace(proposal, round=number))
    assert len(proposals._said) == SAID_MAX


async def test_few_proofs_and_batches_that_are_not_at_hand_are_sent_whole() -> None:
    proposal, batch = await proposed(2)
    assert decode_message(sender(batch).encoded(proposal)) == proposal
    another = (await proposed(3))[1]
    assert decode_message(sender(another, outlined_from=1).encoded(proposal)) == proposal
    vote = signed(PreVote(1, 0, batch.hash, address(NAMES[0])), NAMES[0])
    assert sender(batch).encoded(vote) == encode_message(vote)


async def test_who_has_the_proofs_has_the_whole_proposal_to_the_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    for on_a_thread in (False, True):
        monkeypatch.setattr(proposals_module, "SMALL_BATCH_PROOFS_MAX", 2 if on_a_thread else 3)
        proposal, batch = await proposed(3)
        fresh = frozenset([batch.proofs[1].proof_id])
        message = decode_gossiped(sender(batch, fresh=fresh).encoded(proposal))
        assert isinstance(message, ProposalOutline)
        assert await receiver(batch.proofs[0], batch.proofs[2]).filled(message) == (proposal, batch)
        assert await receiver(*batch.proofs[:2]).filled(message) is None
        # Who has it already needs no proofs.
        elsewhere = receiver()
        await elsewhere.decoded(proposal)
        assert await elsewhere.filled(message) == (proposal, batch)


async def test_a_repetition_is_recognised_and_a_body_that_is_not_the_headers_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> Batch:
        decoded.append(data)
        return decode_batch(data)

    monkeypatch.setattr(proposals_module, "decode_batch", decode)
    proposal, batch = await proposed(3)
    proposals = receiver()
    for _ in range(3):
        assert await proposals.decoded(proposal) == batch
    assert decoded == [proposal.batch]
    spoilt = bytearray(proposal.batch)
    spoilt[proposal.batch.index(b"\xa4body") + 40] ^= 1
    with pytest.raises(MalformedBatch):
        await proposals.decoded(replace(proposal, batch=bytes(spoilt)))


async def test_an_outline_of_any_length_keeps_the_event_loop_from_nothing() -> None:
    """Its bytes are signed by nobody: a megabyte of tiny values under a header that is known takes most of a second."""
    off_the_loop: list[str] = []

    async def offload(work: Callable[[], T], /) -> T:
        off_the_loop.append(str(work))
        return work()

    offload_of_task.set(offload)
    proposal, batch = await proposed(3)
    outline = outline_of(batch, encloses=lambda _: True)
    long = replace(outline, enclosed=(*outline.enclosed, (0,) * SMALL_BATCH_BYTES_MAX))
    with pytest.raises(MalformedBatch):
        await receiver().filled(ProposalOutline.of(proposal, encode(long)))
    assert len(off_the_loop) == 1
    assert await receiver().filled(ProposalOutline.of(proposal, encode(outline))) == (proposal, batch)
    assert len(off_the_loop) == 1
