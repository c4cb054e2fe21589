"""A validator that only follows, and hears of its height what nobody delivers to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from trio.testing import MockClock

from consensus.messages import Commit, Message, PreVote, ProofBatch
from step_node.chain.judging import JudgedBatch
from step_node.engine.driver import REPEAT_MS
from step_node.engine.events import LATER_MESSAGES_MAX, LaterMessages
from tests.engine.seats import NAMES, OTHER, Running, Seat, commit_of_all, pre_votes, proposal_of, settle, until
from tests.support.chains import open_chain
from tests.support.proofs import address, signed_proof

PROOF = signed_proof("alice")


async def decided(seat: Seat) -> tuple[ProofBatch, Commit, JudgedBatch]:
    """What all others have said of height 1."""
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, judged = await proposal_of(elsewhere, PROOF)
    return proposal, commit_of_all(judged), judged


def following(tmp_path: Path, mock_clock: MockClock) -> Seat:
    """A validator that has been shown that height 1 is final, as by the commit that it is given next."""
    seat = Seat(tmp_path, mock_clock, OTHER)
    seat.outlook.shown = 1
    return seat


async def asked_again(running: Running, times: int) -> None:
    while len(running.seat.requested) < times:
        await running.let_pass(REPEAT_MS / 1000)
        await settle()


@pytest.mark.parametrize("first", ["commit", "proposal"])
async def test_a_commit_that_nobody_follows_up_is_asked_after_and_finalised_without_a_signature(
    tmp_path: Path, mock_clock: MockClock, first: str
) -> None:
    seat = following(tmp_path, mock_clock)
    proposal, commit, judged = await decided(seat)
    async with seat.running(PROOF) as running:
        if first == "proposal":
            running.deliver(proposal)  # Of no use before anybody knows that it is final.
        running.deliver(commit)
        await asked_again(running, times=2)
        assert seat.requested[0] == (1, judged.batch.hash)
        assert commit in seat.said, "who has the batch needs only the commit"
        running.deliver(proposal)
        await until(lambda: running.chain.next_height == 2)
        assert running.signer is not None
        assert running.signer.guard.height == 0
    assert {type(message) for message in seat.said} == {Commit}


async def test_another_batch_than_the_one_committed_is_not_taken(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = following(tmp_path, mock_clock)
    proposal, commit, _ = await decided(seat)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    another, _ = await proposal_of(elsewhere, signed_proof("bob", lat=10.0))
    async with seat.running() as running:
        running.deliver(commit, another)
        await running.let_pass(1)
        await settle()
        assert running.chain.next_height == 1
        running.deliver(proposal)
        await until(lambda: running.chain.next_height == 2)


async def test_the_machine_stopped_with_a_commit_and_without_its_batch_goes_on_by_the_proposal(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """A commit that consensus does not come to by itself makes a validator follow."""
    seat = Seat(tmp_path, mock_clock, OTHER)
    proposal, commit, _ = await decided(seat)
    async with seat.running(PROOF) as running:
        running.deliver(commit)
        await until(lambda: running.driver.state.commit is not None)
        seat.outlook.shown, seat.outlook.is_catching_up = 1, True
        await running.work()
        running.deliver(*pre_votes(NAMES[:1], None, height=1))
        await until(lambda: not running.driver.takes_part)
        await asked_again(running, times=2)
        running.deliver(proposal)
        await until(lambda: running.chain.next_height == 2)
    assert not seat.said_of(PreVote)


def test_a_commit_is_kept_whatever_else_is_said() -> None:
    later = LaterMessages()
    commit = Commit(7, 0, bytes(32), ())
    later.keep(commit)
    votes: list[Message] = [PreVote(7, number, None, address(NAMES[0])) for number in range(LATER_MESSAGES_MAX + 1)]
    for vote in votes:
        later.keep(vote)
    assert later.take(6) == (None, [])
    assert later.take(7) == (commit, votes[1:])
    assert later.take(7) == (None, [])
