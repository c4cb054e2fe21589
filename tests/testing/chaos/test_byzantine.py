"""A devnet's misbehaving validators do misbehave: what they send is what honest nodes can convict or refuse."""

from __future__ import annotations

import pytest

from consensus.evidence import contradiction, verify_contradiction
from consensus.messages import PreCommit, PreVote
from step_node.chain.judging import InvalidBatch
from step_node.crypto.eip191 import sign
from step_node.crypto.lines import recover_signer
from step_node.testing.devnet.byzantine import InvalidBatchChain, contrary_vote
from tests.support.chains import CHAIN_ID, build, make_genesis, open_chain, validator_names
from tests.support.proofs import address, private_key, signed_proof

GENESIS = make_genesis(4)
NAME = validator_names(4)[0]


@pytest.mark.parametrize("kind", [PreVote, PreCommit])
@pytest.mark.parametrize("batch_hash", [None, bytes(32)])
def test_a_vote_and_its_contrary_convict_their_validator(
    kind: type[PreVote | PreCommit], batch_hash: bytes | None
) -> None:
    unsigned = kind(1, 0, batch_hash, address(NAME))
    vote = kind(1, 0, batch_hash, address(NAME), sign(unsigned.signing_line(CHAIN_ID), private_key(NAME)))
    contrary = contrary_vote(vote, CHAIN_ID, private_key(NAME))
    convicted = verify_contradiction(contradiction(vote, contrary), chain_id=CHAIN_ID, recover=recover_signer)
    assert convicted == address(NAME)
    assert contrary_vote(vote, CHAIN_ID, private_key(NAME)) == contrary


async def test_an_invalid_batch_breaks_a_stateless_gate_and_nothing_before_it() -> None:
    liar = InvalidBatchChain(await open_chain(GENESIS))
    judged = await build(liar, [signed_proof("alice"), signed_proof("bob")])
    honest = await open_chain(GENESIS)
    with pytest.raises(InvalidBatch, match="BAD_SIGNATURE") as refused:
        await honest.judge(judged.batch, proposed_in_round=0, judge_clock=True)
    assert refused.value.bad_proof is not None
