"""What a validator signs, and when: at the head, from its own history, and nothing that contradicts it.

As in `test_driver.py`: four validators with real keys, logs and guards; time stands still.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from trio.testing import MockClock

from consensus.messages import PreCommit, PreVote, ProofBatch, TimeoutMessage
from consensus.state import Step
from consensus.values import TimeoutKind
from step_node.batch.batch import encode_batch
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.engine.participant import PROMISES_HOLD_MS_MAX
from step_node.signing.history import SigningKind
from step_node.signing.signed_value import signed_value
from tests.engine.seats import (
    NAMES,
    NEXT_PROPOSER,
    OTHER,
    PROPOSER,
    Running,
    Seat,
    agreeing,
    by,
    commit_of_all,
    peers_of,
    pre_commits,
    pre_votes,
    proposal_of,
    settle,
    until,
)
from tests.support.chains import CHAIN_ID, build, commit_for, open_chain
from tests.support.clock import SetClock
from tests.support.outlook import SetOutlook
from tests.support.proofs import START_MS, address, signed_proof

PROOF = signed_proof("alice")
OTHER_PROOF = signed_proof("bob", lat=10.0)


def lose_log(seat: Seat, *, with_proof_of_lock: bool = False) -> None:
    (seat.home / "consensus.log").unlink()
    if with_proof_of_lock:
        (seat.home / "proof_of_lock").unlink()


def contradictions(seat: Seat) -> dict[tuple[str, int, int, str], set[object]]:
    return {key: values for key, values in seat.signed_values().items() if len(values) > 1}


async def batches_of(chain: Chain, count: int, *, signed_by: list[str] = NAMES) -> list[JudgedBatch]:
    """So many batches on the chain, finalised there by these validators."""
    made = []
    for number in range(count):
        judged = await build(chain, [signed_proof(f"walker {chain.next_height}-{number}", lat=float(number % 60))])
        await chain.finalise(judged, commit_for(judged.batch, signed_by))
        made.append(judged)
    return made


async def apply_all(running: Running, batches: list[JudgedBatch], *, signed_by: list[str] = NAMES) -> None:
    for judged in batches:
        await running.driver.apply_decided(judged.batch, commit_for(judged.batch, signed_by))


async def until_noticed(running: Running, *, takes_part: bool) -> None:
    """Until the validator has looked around."""
    await running.work()
    await until(lambda: running.driver.takes_part is takes_part)
    await settle()


async def until_told(running: Running, reason: str) -> None:
    """Until the operator is told why it does not take part."""
    await running.work()
    await until(lambda: reason in str(running.driver.absence))
    assert not running.driver.takes_part


# --- what was signed comes back ---------------------------------------------------------------------------------------


async def test_a_validator_whose_log_is_lost_says_again_what_it_has_signed_and_signs_nothing_else(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock)
    async with seat.running(PROOF) as running:
        await running.work()
        await until(lambda: bool(seat.said_of(PreVote)))
    (vote,) = seat.said_of(PreVote)
    lose_log(seat)
    seat.said.clear()
    seat.clock.advance(5_000)
    async with seat.running(PROOF) as running:
        # It would build another batch now, for the round that it has proposed in already.
        await running.reach(Step.PRE_VOTE_WAIT)
        await running.work()
        await settle()
        assert seat.said == [vote]
        assert running.counted("double_signs_refused") == 0
        elsewhere = await open_chain(seat.genesis, clock=SetClock(START_MS))
        proposal, judged = await proposal_of(elsewhere, PROOF)
        assert proposal.batch_hash == vote.batch_hash  # type: ignore[union-attr]
        # What it lacks of its own proposal a peer has.
        running.deliver(*pre_votes(peers_of(PROPOSER)[:2], proposal.batch_hash))
        await until(lambda: bool(seat.requested))
        running.driver.deliver(proposal, judged.batch)
        running.deliver(*pre_commits(peers_of(PROPOSER)[:2], proposal.batch_hash))
        await until(lambda: running.chain.next_height == 2)
    assert not contradictions(seat)


async def test_what_was_signed_is_not_signed_again_where_the_height_turns_out_to_be_final(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock)
    async with seat.running(PROOF) as running:
        await running.work()
        await until(lambda: bool(seat.said_of(PreVote)))
        (vote,) = seat.said_of(PreVote)
        running.deliver(*pre_votes(peers_of(PROPOSER)[:2], vote.batch_hash))  # type: ignore[union-attr]
        await until(lambda: bool(seat.said_of(PreCommit)))
    lose_log(seat)
    seat.said.clear()
    asked: list[str] = []

    def final_meanwhile(kind: str) -> None:
        asked.append(kind)
        seat.outlook.shown = 1

    async with seat.running(PROOF) as running:
        assert running.signer is not None
        running.signer.before_signing = final_meanwhile
        await until(lambda: bool(asked))
        await running.work()
        await settle()
        assert len(asked) == 1, "two messages had been signed"
        assert seat.said == []


async def test_a_round_that_was_left_is_not_voted_in_again(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PROPOSE)
        await running.let_pass(600)
        await running.reach(Step.PRE_COMMIT_WAIT)
        await running.let_pass(600)
        await until(lambda: running.driver.state.round == 1)
    lose_log(seat)
    seat.hears = lambda _running, _message: None
    async with seat.running(PROOF) as running:
        await running.reach(Step.PROPOSE, round_number=1)
        await running.work()
        await settle()
    assert not contradictions(seat)
    assert seat.signed_values().keys() >= {("PRE_VOTE", 1, 0, ""), ("PRE_COMMIT", 1, 0, "")}


@pytest.mark.parametrize("proof_is_lost_too", [False, True])
async def test_a_lock_outlives_the_log(tmp_path: Path, mock_clock: MockClock, proof_is_lost_too: bool) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    async with seat.running() as running:
        running.deliver(proposal, *pre_votes(NAMES[1:3], proposal.batch_hash))
        await until(lambda: bool(seat.said_of(PreCommit)))
    lose_log(seat, with_proof_of_lock=proof_is_lost_too)
    seat.clock.advance(1_000)
    later = (await build(elsewhere, [OTHER_PROOF], round_number=1)).batch
    rival = ProofBatch(1, 1, -1, later.hash, encode_batch(later), address(NEXT_PROPOSER))
    async with seat.running() as running:
        await running.reach(Step.PRE_COMMIT_WAIT)
        assert (running.driver.state.locked_round, running.driver.state.locked_hash) == (0, proposal.batch_hash)
        assert (proposal.batch_hash in running.driver.state.batches) is not proof_is_lost_too
        assert seat.requested == ([(1, proposal.batch_hash)] if proof_is_lost_too else [])
        # The wait of the recovered step ends by itself; then another batch is proposed, and refused: no amnesia.
        await running.let_pass(600)
        await running.reach(Step.PROPOSE, round_number=1)
        running.driver.deliver(by(NEXT_PROPOSER, rival), later)
        await until(lambda: any(vote.round == 1 for vote in seat.said_of(PreVote)))
    assert {vote.batch_hash for vote in seat.said_of(PreVote) if vote.round == 1} == {None}  # type: ignore[union-attr]
    assert not contradictions(seat)


async def test_a_jump_of_rounds_does_not_sign_past_a_lock_that_the_log_has_lost(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """The others are far ahead: a validator that learnt of its lock by a refusal only would sign there without it."""
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    async with seat.running() as running:
        running.deliver(proposal, *pre_votes(NAMES[1:3], proposal.batch_hash))
        await until(lambda: bool(seat.said_of(PreCommit)))
    lose_log(seat)
    async with seat.running() as running:
        running.deliver(*pre_votes(NAMES[1:3], None, round_number=6))
        await running.reach(Step.PROPOSE, round_number=6)
        assert running.driver.state.locked_hash == proposal.batch_hash


async def test_a_refusal_brings_back_what_was_signed_and_is_told(tmp_path: Path, mock_clock: MockClock) -> None:
    """The history has what the machine learns of only when it wants to sign something else."""
    seat = Seat(tmp_path, mock_clock, OTHER)
    signed = PreVote(1, 2, bytes(32), address(OTHER))
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PROPOSE)
        signer = running.signer
        assert signer is not None
        kind, value = signed_value(signed)
        signer.sign(kind, 1, 2, value, signed.signing_line(CHAIN_ID))
        await running.let_pass(600)  # It would pre-vote nil in round 0.
        await until(lambda: running.counted("double_signs_refused") == 1)
        await running.reach(Step.PRE_VOTE_WAIT, round_number=2)
        assert by(OTHER, signed) in seat.said
        assert "what was signed is sent again" in str(running.driver.refusal)
    assert {vote.round for vote in seat.said_of(PreVote)} == {2}


async def test_the_batch_of_a_lock_is_on_disk_before_its_pre_commit_is_signed(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    kept: list[bool] = []
    async with seat.running() as running:
        assert running.signer is not None
        running.signer.before_signing = lambda _kind: kept.append((tmp_path / "proof_of_lock").exists())
        running.deliver(proposal)
        await until(lambda: bool(seat.said_of(PreVote)))
        running.deliver(*pre_votes(NAMES[1:3], proposal.batch_hash))
        await until(lambda: bool(seat.said_of(PreCommit)))
    assert kept == [False, True]


async def test_nil_votes_cost_no_proof_of_lock(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PROPOSE)
        await running.let_pass(600)
        await running.reach(Step.PRE_COMMIT_WAIT)
    assert seat.said_of(PreCommit)
    assert not (tmp_path / "proof_of_lock").exists()


# --- only at the head -------------------------------------------------------------------------------------------------


async def test_while_it_follows_it_signs_nothing_and_takes_up_what_it_has_heard(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, outlook=SetOutlook(promised=7))
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    async with seat.running(PROOF) as running:
        running.deliver(proposal, *pre_votes(NAMES[1:3], proposal.batch_hash))
        await until_told(running, "a peer tells of height 7")
        assert running.driver.state.step is Step.IDLE
        assert seat.said == []
        seat.outlook.promised = 0  # The promise was not kept.
        await until_noticed(running, takes_part=True)
        await until(lambda: bool(seat.said_of(PreCommit)))
        assert (running.driver.absence, running.driver.refusal) == (None, None)


async def test_a_promise_that_nobody_ever_keeps_or_breaks_stops_a_validator_for_a_while_only(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, outlook=SetOutlook(promised=2**60))
    async with seat.running(PROOF) as running:
        await until_noticed(running, takes_part=False)
        await running.let_pass(PROMISES_HOLD_MS_MAX / 1000)
        await until_noticed(running, takes_part=True)


async def test_without_a_word_of_any_peer_it_signs_nothing(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, PROPOSER, outlook=SetOutlook(peers=0, members=0))
    async with seat.running(PROOF) as running:
        await until_noticed(running, takes_part=False)
        assert seat.said == []
        seat.outlook.peers = 1
        await until_noticed(running, takes_part=True)
        await running.work()
        await until(lambda: bool(seat.said_of(PreVote)))


async def test_who_falls_behind_follows_and_takes_part_again_at_the_head(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal_of_1, _ = await proposal_of(elsewhere, PROOF)
    first = await batches_of(elsewhere, 2)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    async with seat.running() as running:
        await until_noticed(running, takes_part=True)
        seat.outlook.shown = 2
        running.deliver(proposal_of_1)
        await until_noticed(running, takes_part=False)
        assert seat.said == []
        await apply_all(running, first)
        assert running.chain.next_height == 3
        await until_noticed(running, takes_part=True)
        running.deliver(proposal)
        await until(lambda: bool(seat.said_of(PreVote, 3)))
    assert {message.height for message in seat.said} == {3}  # type: ignore[union-attr]


async def test_nothing_is_signed_at_a_height_that_is_shown_to_be_final(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, judged = await proposal_of(elsewhere, PROOF)
    async with seat.running() as running:
        await until_noticed(running, takes_part=True)
        seat.outlook.shown = 1
        running.deliver(proposal)
        await running.reach(Step.PRE_VOTE)
        await settle()
        assert seat.said == []
        await running.driver.apply_decided(judged.batch, commit_of_all(judged))
        assert running.chain.next_height == 2
    with seat.open_guard() as guard:
        assert guard.height == 0


async def test_an_observer_needs_no_head(tmp_path: Path, mock_clock: MockClock) -> None:
    for name in (None, "a stranger's key"):
        home = tmp_path / str(name)
        home.mkdir()
        seat = Seat(home, mock_clock, name, outlook=SetOutlook(peers=0, members=0, promised=50))
        elsewhere = await open_chain(seat.genesis, clock=seat.clock)
        proposal, _ = await proposal_of(elsewhere, PROOF)
        async with seat.running() as running:
            running.deliver(proposal, *pre_commits(NAMES[:3], proposal.batch_hash))
            await until(lambda: running.chain.next_height == 2)


# --- the history and the chain ----------------------------------------------------------------------------------------


async def test_at_the_head_the_floor_rises_to_it_before_anything_is_signed(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    others = peers_of(OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    batches = await batches_of(elsewhere, 3, signed_by=others)
    seat.outlook.shown = 3
    async with seat.running() as running:
        await apply_all(running, batches, signed_by=others)
        await until_noticed(running, takes_part=True)
        assert running.signer is not None
        assert running.signer.guard.floor == 3


async def test_an_old_history_that_was_put_back_is_found_by_the_chain_s_signatures(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, judged = await proposal_of(elsewhere, PROOF)
    async with seat.running() as running:
        await until_noticed(running, takes_part=True)
        shutil.copy(seat.history, tmp_path / "old")
        running.deliver(proposal)
        await until(lambda: running.chain.next_height == 2)
    shutil.copy(tmp_path / "old", seat.history)
    await elsewhere.finalise(judged, commit_of_all(judged))
    next_proposal, _ = await proposal_of(elsewhere, OTHER_PROOF)
    seat.said.clear()
    async with seat.running() as running:
        running.deliver(next_proposal)
        assert running.signer is not None
        guard = running.signer.guard
        await running.work()
        await until(lambda: guard.is_doubtful)
        await until_told(running, "doubtful")
        assert seat.said == []


@pytest.mark.parametrize("place", ["a commit inside", "a header", "long ago"])
async def test_a_signature_of_the_key_is_found_wherever_the_chain_has_it(
    tmp_path: Path, mock_clock: MockClock, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a key that has no history: somebody has signed with it."""
    monkeypatch.setattr("step_node.engine.own_key.SEARCHED_BATCHES_MAX", 4 if place == "long ago" else 256)
    name = NEXT_PROPOSER if place == "a header" else OTHER  # who proposes height 2, and who none of the first two
    seat = Seat(tmp_path, mock_clock, name, outlook=SetOutlook(shown=9))
    others = peers_of(name)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    signed = others if place == "a header" else NAMES
    first = await batches_of(elsewhere, 2, signed_by=signed)
    rest = await batches_of(elsewhere, 1, signed_by=others)
    if place == "long ago":
        rest = [*rest, *await _proposed_by_others(elsewhere, 6, others)]
    async with seat.running() as running:
        await apply_all(running, first, signed_by=signed)
        await apply_all(running, rest, signed_by=others)
        seat.outlook.shown = 0
        assert running.signer is not None
        guard = running.signer.guard
        await running.work()
        await until(lambda: guard.is_doubtful)
        await until_noticed(running, takes_part=False)
        assert "at height 2" in (running.signer.guard.doubt_reason or "")


async def _proposed_by_others(chain: Chain, count: int, names: list[str]) -> list[JudgedBatch]:
    made: list[JudgedBatch] = []
    for _ in range(count):
        height = chain.next_height
        turns = [NAMES[(height + number) % 4] for number in range(4)]
        number = next(number for number, turn in enumerate(turns) if turn in names)
        proof = signed_proof(f"runner {height}", lat=20.0)
        judged = await build(chain, [proof], round_number=number)
        await chain.finalise(judged, commit_for(judged.batch, names))
        made.append(judged)
    return made


async def test_a_doubtful_history_is_waited_out(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, outlook=SetOutlook(members=2))
    others = peers_of(OTHER)
    with seat.open_guard() as guard:
        guard.doubt("it was lost")
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    batches = await batches_of(elsewhere, 4, signed_by=others)
    async with seat.running(PROOF) as running:
        assert running.signer is not None
        history = running.signer.guard
        await until_told(running, "hears of 2")
        seat.outlook.members = 3
        await until_told(running, "until height 2 is final")
        await apply_all(running, batches[:1], signed_by=others)
        await until_told(running, "until height 2 is final")
        assert history.is_doubtful
        await apply_all(running, batches[1:2], signed_by=others)
        await until_noticed(running, takes_part=True)
        assert (history.is_doubtful, history.floor) == (False, 2)
    assert all(message.height > 2 for message in seat.said)  # type: ignore[union-attr]


async def test_a_history_ahead_of_the_chain_beyond_reason_is_never_silent(
    tmp_path: Path, mock_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    with seat.open_guard() as guard:
        guard.authorise(2**62, 0, SigningKind.PRE_VOTE, b"")
    async with seat.running(PROOF) as running:
        await until_told(running, "--lost-signing-history")
        reason = str(running.driver.absence)
        assert reason.count("this validator") == 1
        assert str(2**62) in reason
        assert "--lost-signing-history" in reason
    assert "does not take part in consensus" in capsys.readouterr().out


async def test_following_a_rebuilt_store_raises_no_alarm_of_a_second_signer(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """The operator has removed the store, as documented: the history is ahead of it until it is there again."""
    seat = Seat(tmp_path, mock_clock, OTHER)
    others = peers_of(OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    batches = await batches_of(elsewhere, 5, signed_by=others)
    with seat.open_guard() as guard:
        guard.authorise(5, 0, SigningKind.TIMEOUT_PROPOSER, b"")
    proposal, _ = await proposal_of(await open_chain(seat.genesis, clock=seat.clock), PROOF)
    async with seat.running(PROOF) as running:
        running.deliver(proposal, *pre_votes(NAMES[1:3], proposal.batch_hash))
        await running.work()
        await settle()
        await apply_all(running, batches, signed_by=others)
        await until_noticed(running, takes_part=True)
        assert running.counted("double_signs_refused") == 0
    assert seat.said == []


async def test_timers_that_ran_out_while_it_followed_are_set_again(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PROPOSE)
        seat.outlook.is_catching_up = True
        running.deliver(*pre_votes(NAMES[1:2], None))
        await until_noticed(running, takes_part=False)
        await running.let_pass(600)
        await settle()
        assert seat.said == []
        seat.outlook.is_catching_up = False
        await until_noticed(running, takes_part=True)
        await running.let_pass(600)
        await until(lambda: bool(seat.said_of(PreVote)))
    assert {message.kind for message in seat.said_of(TimeoutMessage)} == {TimeoutKind.PROPOSER}  # type: ignore[union-attr]
