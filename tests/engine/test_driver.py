"""The driver: log first, then sign, then speak; whatever happens in between, it never contradicts itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from consensus.inputs import MessageReceived
from consensus.machine import ConsensusFault, apply
from consensus.messages import Commit, Evidence, EvidenceKind, PreCommit, PreVote, ProofBatch, TimeoutMessage
from consensus.state import ConsensusState, Step
from consensus.values import Timeouts
from step_node.engine import events as events_module
from step_node.engine.batches import NOTHING_BUILT_PAUSE_MS
from step_node.engine.driver import REPEAT_MS
from step_node.engine.machine_runner import COMMIT_PAUSE_MS
from step_node.engine.wal import WriteAheadLog, as_logged
from tests.engine.seats import (
    NAMES,
    NEXT_PROPOSER,
    OTHER,
    PROPOSER,
    Crash,
    Points,
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
from tests.support.chains import CHAIN_ID, commit_for, make_genesis, open_chain
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address, signed_proof

PROOF = signed_proof("alice")
OTHER_PROOF = signed_proof("bob", lat=10.0)


async def test_a_vote_is_in_the_synced_log_before_it_is_signed_and_signed_before_it_is_sent(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, hears=agreeing)
    async with seat.running(PROOF) as running:
        await running.work()
        await until(lambda: running.chain.next_height == 2)
    order = [name for name in seat.points.passed if not name.startswith("before") and name != "begin"]
    said = ["sync", "sign", "broadcast"]
    assert order == [*said * 3, "finalise", "broadcast"]  # proposal, pre-vote, pre-commit; the commit at last
    assert "before append" in seat.points.passed[: seat.points.passed.index("before sync")]


async def _play(seat: Seat, crash_at: int | None) -> None:
    """One life: until height 1 is final, or the crash. A voter is sent the proposal, as often as it starts."""
    seat.points = Points(crash_at=crash_at)
    try:
        async with seat.running(PROOF) as running:
            if seat.name != PROPOSER and running.chain.next_height == 1:
                elsewhere = await open_chain(seat.genesis, clock=seat.clock)
                proposal, _ = await proposal_of(elsewhere, PROOF)
                running.deliver(proposal)
            await running.work()
            await until(lambda: running.driver.state.height == 2)
            await settle()
    except* Crash:
        assert seat.points.crash_at is not None


@pytest.mark.parametrize("name", [PROPOSER, OTHER])
async def test_killed_between_any_two_effects_it_never_contradicts_itself_and_finishes(
    tmp_path: Path, mock_clock: MockClock, name: str
) -> None:
    seat = Seat(_made(tmp_path / "whole"), mock_clock, name, hears=agreeing)
    await _play(seat, None)
    points = len(seat.points.passed)
    assert points > 20
    for crash_at in range(points):
        seat = Seat(_made(tmp_path / str(crash_at)), mock_clock, name, hears=agreeing)
        await _play(seat, crash_at)
        assert len(seat.points.passed) == crash_at + 1
        # What the clock says, and so what it would build, has changed meanwhile.
        seat.clock.advance(1_000)
        await _play(seat, None)
        assert (await seat.storage.head()).chain.height == 1
        assert await seat.storage.receipts([PROOF.proof_id])
        contradictions = {key: values for key, values in seat.signed_values().items() if len(values) > 1}
        assert not contradictions, f"crash {crash_at} at {seat.points.passed}"


async def test_killed_twice_in_a_row_anywhere_it_still_finishes(tmp_path: Path, mock_clock: MockClock) -> None:
    for crash_at in range(0, 30, 3):
        seat = Seat(_made(tmp_path / str(crash_at)), mock_clock, hears=agreeing)
        for again in (crash_at, 4, None):
            await _play(seat, again)
            seat.clock.advance(1_000)
        assert (await seat.storage.head()).chain.height == 1
        assert all(len(values) == 1 for values in seat.signed_values().values())


async def test_a_timer_of_an_old_height_means_nothing_at_the_next(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, judged = await proposal_of(elsewhere, PROOF)
    await elsewhere.finalise(judged, commit_of_all(judged))
    next_proposal, _ = await proposal_of(elsewhere, OTHER_PROOF)
    seat.storage.hold = trio.Event()
    async with seat.running() as running:
        running.deliver(proposal)
        await until(lambda: seat.storage.is_holding)
        # Height 1's timer for the proposal runs out while its batch is being stored ...
        await running.let_pass(700)
        await settle()
        # ... and of height 2 others speak already, so that its round 0 begins before the timer is looked at.
        running.deliver(*pre_votes(peers_of(OTHER)[:2], None, height=2))
        seat.storage.hold.set()
        await until(lambda: running.driver.state.height == 2)
        await running.reach(Step.PROPOSE)
        await settle()
        assert running.driver.state.step is Step.PROPOSE
        running.deliver(next_proposal)
        await until(lambda: bool(seat.said_of(PreVote, 2)))
        assert {vote.batch_hash for vote in seat.said_of(PreVote, 2)} == {next_proposal.batch_hash}  # type: ignore[union-attr]


async def test_work_that_was_finalised_meanwhile_starts_nothing(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    _, judged = await proposal_of(elsewhere, PROOF)
    async with seat.running(PROOF) as running:
        seat.storage.hold = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.driver.apply_decided, judged.batch, commit_of_all(judged))
            await until(lambda: seat.storage.is_holding)
            await running.work()  # It is noticed that a proof waits; but it is in the batch that is being stored.
            await settle()
            seat.storage.hold.set()
        await settle()
        assert running.chain.next_height == 2
        assert running.driver.state.step is Step.IDLE
    assert not seat.said


async def test_a_full_queue_drops_messages_counts_them_and_goes_on(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "EVENTS_MAX", 4)
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    async with seat.running() as running:
        running.deliver(*pre_votes(NAMES[1:2], None) * 10)
        assert running.counted("consensus_events_dropped") == 6
        await settle()
        running.deliver(proposal)
        await until(lambda: running.chain.next_height == 2)


async def test_the_batches_that_wait_are_bounded_in_bytes(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    monkeypatch.setattr(events_module, "WAITING_BATCH_BYTES_MAX", 2 * len(proposal.batch))
    async with seat.running() as running:
        running.deliver(proposal, proposal, proposal, *pre_votes(NAMES[1:2], None))
        assert running.counted("consensus_events_dropped") == 1
        await until(lambda: running.chain.next_height == 2)
        # The places are free again.
        running.deliver(*[replace(proposal, height=2, round=0)] * 2)
        assert running.counted("consensus_events_dropped") == 1


async def test_while_a_store_is_away_reminders_leave_room_for_messages(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "EVENTS_MAX", 8)
    seat = Seat(tmp_path, mock_clock, hears=agreeing)
    seat.storage.is_away = True
    async with seat.running(PROOF, OTHER_PROOF) as running:
        await running.work()
        await until(lambda: running.watch.trouble is not None)
        for _ in range(50):
            await running.let_pass(REPEAT_MS / 1000)
            await settle()
        assert running.counted("consensus_events_dropped") == 0
        assert running.counted("storage_retries") > 5
        seat.storage.is_away = False
        await running.let_pass(10)
        await until(lambda: running.chain.next_height == 2)
        assert running.watch.trouble is None
    assert len(seat.said_of(PreCommit)) == 1


async def test_proofs_of_which_no_batch_can_be_built_are_not_tried_again_and_again(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock)
    # The other proof's nonce is used: settlement would have dropped it; here nobody does.
    async with seat.running() as running:
        elsewhere = await open_chain(seat.genesis, clock=seat.clock)
        _, judged = await proposal_of(elsewhere, PROOF)
        # By the others: a key whose signature the chain has, and its history has not, signs nothing.
        await running.driver.apply_decided(judged.batch, commit_for(judged.batch, peers_of(NEXT_PROPOSER)))
    seat.name = NEXT_PROPOSER  # of height 2
    seat.storage.points = seat.points = Points()
    async with seat.running() as running:
        await until(lambda: running.driver.takes_part)
        running.mempool.add(PROOF)
        for _ in range(10):
            await running.work()
            await settle()
        assert seat.points.passed.count("before append") == 2  # there is work; nothing was built
        await running.let_pass(NOTHING_BUILT_PAUSE_MS / 1000)
        await settle()
        assert seat.points.passed.count("before append") == 4


@pytest.mark.parametrize("step", [Step.IDLE, Step.PROPOSE, Step.PRE_VOTE, Step.PRE_VOTE_WAIT, Step.PRE_COMMIT_WAIT])
async def test_a_batch_decided_elsewhere_is_taken_in_any_step(
    tmp_path: Path, mock_clock: MockClock, step: Step
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, judged = await proposal_of(elsewhere, PROOF)
    async with seat.running(PROOF) as running:
        await _lead_to(running, step, proposal)
        await running.driver.apply_decided(judged.batch, commit_of_all(judged))
        assert running.chain.head.chain.batch_hash == judged.batch.hash
        assert running.driver.state.step is Step.IDLE
        await running.driver.apply_decided(judged.batch, commit_of_all(judged))  # once more does nothing
    assert len(seat.finalised) == 1


@pytest.mark.parametrize("step", [Step.IDLE, Step.PROPOSE, Step.PRE_VOTE, Step.PRE_VOTE_WAIT, Step.PRE_COMMIT_WAIT])
async def test_after_a_restart_it_stands_where_it_stood(tmp_path: Path, mock_clock: MockClock, step: Step) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    async with seat.running(PROOF) as running:
        await _lead_to(running, step, proposal)
        said = list(seat.said)
    async with seat.running() as running:
        if said:
            # What it had said it says again, word for word; what came after that, peers say again.
            await until(lambda: seat.said[len(said) :] == said)
        running.deliver(proposal, *pre_commits(NAMES[1:], proposal.batch_hash))
        await until(lambda: running.chain.next_height == 2)
    assert all(len(values) == 1 for values in seat.signed_values().values())


async def test_an_offence_that_is_only_in_the_log_when_it_is_killed_is_reported_at_the_restart(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    culprit = next(name for name in NAMES if name != OTHER)
    votes = [by(culprit, PreVote(1, 0, batch_hash, address(culprit))) for batch_hash in (None, bytes(32))]
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    log, _ = WriteAheadLog.open(tmp_path / "consensus.log", chain_id=CHAIN_ID, height=elsewhere.next_height)
    for vote in votes:
        log.append(MessageReceived(vote))
    log.sync()
    log.close()
    async with seat.running():
        await until(lambda: any(isinstance(message, Evidence) for message in seat.said))
    reported = [message for message in seat.said if isinstance(message, Evidence)]
    assert [(piece.kind, piece.first.signer) for piece in reported] == [(EvidenceKind.DOUBLE_SIGN, address(culprit))]


async def test_killed_when_it_had_decided_it_finalises_at_the_restart(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, PROOF)
    state = None
    seat.storage.is_away = True
    async with seat.running() as running:
        running.deliver(proposal)
        await until(lambda: running.watch.trouble is not None)
        state = running.driver.state
        assert state.step is Step.COMMIT
    log, inputs = WriteAheadLog.open(tmp_path / "consensus.log", chain_id=CHAIN_ID, height=1)
    # The votes that decided came after the last signature: a crash of the machine may lose them. This one did not.
    for vote in pre_commits(peers_of(OTHER)[:2], proposal.batch_hash):
        log.append(MessageReceived(vote))
    log.sync()
    log.close()
    assert inputs
    seat.storage.is_away = False
    seat.hears = lambda _running, _message: None
    async with seat.running() as running:
        await until(lambda: running.chain.next_height == 2)
    assert (await seat.storage.head()).chain.batch_hash == proposal.batch_hash


async def test_messages_of_the_next_height_are_kept_and_those_after_it_too_when_it_has_come(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    seat = Seat(tmp_path, mock_clock, None)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    stages = []
    for number in range(3):
        proposal, judged = await proposal_of(elsewhere, signed_proof(f"walker-{number}", lat=5.0 * number))
        await elsewhere.finalise(judged, commit_of_all(judged))
        stages.append((proposal, pre_commits(NAMES[:3], proposal.batch_hash, height=number + 1)))
    seat.storage.hold = trio.Event()
    async with seat.running() as running:
        (first, first_votes), (second, second_votes), (third, third_votes) = stages
        running.deliver(second, *second_votes, third, *third_votes)
        assert running.counted("consensus_inputs_ignored", reason="FUTURE_HEIGHT") == 4
        running.deliver(first, *first_votes)
        await until(lambda: seat.storage.is_holding)
        seat.storage.is_holding = False
        seat.storage.hold.set()
        seat.storage.hold = trio.Event()
        await until(lambda: seat.storage.is_holding)  # Height 2 came out of what was kept, and is being stored.
        running.deliver(third, *third_votes)
        seat.storage.hold.set()
        seat.storage.hold = None
        await until(lambda: running.chain.next_height == 4)
    assert not seat.said_of(PreVote)


async def test_an_observer_finalises_and_says_nothing_but_commits(tmp_path: Path, mock_clock: MockClock) -> None:
    for name in (None, "a stranger's key"):
        seat = Seat(_made(tmp_path / str(name)), mock_clock, name)
        elsewhere = await open_chain(seat.genesis, clock=seat.clock)
        proposal, _ = await proposal_of(elsewhere, PROOF)
        async with seat.running(PROOF) as running:
            await running.work()
            running.deliver(proposal, *pre_commits(NAMES[:3], proposal.batch_hash))
            await until(lambda: running.chain.next_height == 2)
            await settle()
            assert not seat.said, "that is left to the batch's proposer"
            await running.let_pass(COMMIT_PAUSE_MS / 1000)
            await settle()
        assert [message.type for message in seat.said] == ["COMMIT"]


async def test_what_the_next_height_has_told_is_not_said(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, judged = await proposal_of(elsewhere, PROOF)
    async with seat.running(PROOF) as running:
        running.deliver(proposal, *pre_commits(peers_of(OTHER), proposal.batch_hash))
        await until(lambda: running.chain.next_height == 2)
        await elsewhere.finalise(judged, commit_of_all(judged))
        _, following = await proposal_of(elsewhere, OTHER_PROOF)
        await running.driver.apply_decided(following.batch, commit_of_all(following))
        assert running.chain.next_height == 3
        await running.let_pass(COMMIT_PAUSE_MS / 1000)
        await settle()
    assert not seat.said_of(Commit)


async def test_two_commits_of_one_height_stop_the_node(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, None)
    one = await open_chain(seat.genesis, clock=seat.clock)
    other = await open_chain(seat.genesis, clock=SetClock(START_MS + 5))
    (_, judged), (_, contradicting) = await proposal_of(one, PROOF), await proposal_of(other, PROOF)
    with pytest.RaisesGroup(ConsensusFault, flatten_subgroups=True):
        async with seat.running() as running:
            running.deliver(commit_of_all(judged))
            await until(lambda: bool(seat.requested))
            assert seat.requested == [(1, judged.batch.hash)]
            running.deliver(commit_of_all(contradicting))
            await trio.sleep_forever()
    with pytest.RaisesGroup(ConsensusFault, flatten_subgroups=True):
        async with seat.running() as running:
            running.deliver(commit_of_all(judged))
            await until(lambda: len(seat.requested) == 2)
            await running.driver.apply_decided(contradicting.batch, commit_of_all(contradicting))
    assert (await seat.storage.head()).chain.height == 0


async def test_a_validator_that_proposes_for_ever_later_rounds_cannot_fill_the_log(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    # Each of its proposals is a reason for the proposer of round 0, which had nothing to propose, to look again.
    seat = Seat(tmp_path, mock_clock)
    elsewhere = await open_chain(seat.genesis, clock=seat.clock)
    proposal, _ = await proposal_of(elsewhere, *[signed_proof(f"p-{index}", lat=float(index)) for index in range(60)])
    async with seat.running() as running:
        for number in range(1, 401, 4):
            liars = replace(proposal, round=number, proposer=address(NEXT_PROPOSER))
            running.deliver(by(NEXT_PROPOSER, liars))
        await settle()
        running.mempool.add(PROOF)
        await running.work()
        await until(lambda: bool(seat.said_of(PreVote)))
    assert (tmp_path / "consensus.log").stat().st_size < 100 * 1_000 + 2 * len(proposal.batch)


@pytest.mark.parametrize("rounds", [[0, 4, 400], [4, 0, 0, 400, 404], [400, 0, 4, 8, 12]])
async def test_a_log_without_unused_batches_replays_to_the_same_state(rounds: list[int]) -> None:
    genesis = make_genesis(4)
    chain = await open_chain(genesis)
    proposal, _ = await proposal_of(chain, PROOF)
    state = replayed = ConsensusState.begin(CHAIN_ID, 1, chain.validators, address(OTHER), Timeouts())
    for number in rounds:
        item = MessageReceived(by(PROPOSER, replace(proposal, round=number)))
        after = apply(state, item).state
        replayed = apply(replayed, as_logged(item, state, after)).state
        state = after
        assert replayed == state


async def test_own_messages_are_said_again_until_the_height_moves_on(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock)
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PRE_VOTE)
        await until(lambda: len(seat.said) == 2)
        await running.let_pass(REPEAT_MS / 1000)
        await settle()
        assert len(seat.said) == 2, "nobody has had the time to miss them"
        await running.let_pass(REPEAT_MS / 1000)
        await until(lambda: len(seat.said) == 4)
        assert seat.said[2:] == seat.said[:2]


async def test_the_pauses_between_repetitions_grow_up_to_a_limit(tmp_path: Path, mock_clock: MockClock) -> None:
    """So that what is repeated does not crowd out what is new; the round would fail, with more to repeat."""
    seat = Seat(tmp_path, mock_clock)
    seconds_passed = 0
    repeated_after_seconds: list[int] = []
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PRE_VOTE)
        await until(lambda: len(seat.said) == 2)
        while seconds_passed < 25:
            said = len(seat.said)
            await running.let_pass(REPEAT_MS / 1000)
            await settle()
            seconds_passed += 1
            if len(seat.said) > said:
                repeated_after_seconds.append(seconds_passed)
    assert repeated_after_seconds == [2, 4, 7, 11, 16, 21]


async def test_a_round_that_fails_is_left_by_its_timers(tmp_path: Path, mock_clock: MockClock) -> None:
    seat = Seat(tmp_path, mock_clock, OTHER, hears=agreeing)
    async with seat.running(PROOF) as running:
        await running.work()
        await running.reach(Step.PROPOSE)
        await running.let_pass(600)
        await running.reach(Step.PRE_COMMIT_WAIT)
        await running.let_pass(600)
        await until(lambda: running.driver.state.round == 1)
    assert {vote.batch_hash for vote in seat.said_of(PreVote)} == {None}  # type: ignore[union-attr]
    assert {message.kind for message in seat.said_of(TimeoutMessage)} == {"PROPOSER", "PRE_COMMIT"}  # type: ignore[union-attr]


async def _lead_to(running: Running, step: Step, proposal: ProofBatch) -> None:
    """Bring a validator that does not propose, and has proofs waiting, to a step of round 0."""
    if step is Step.IDLE:
        return
    await running.work()
    await running.reach(Step.PROPOSE)
    if step is Step.PROPOSE:
        return
    running.deliver(proposal)
    await until(lambda: bool(running.seat.said))
    if step is Step.PRE_VOTE_WAIT:
        running.deliver(*pre_votes(NAMES[2:], None))
    elif step is Step.PRE_COMMIT_WAIT:
        running.deliver(*pre_votes(NAMES[1:3], proposal.batch_hash), *pre_commits(NAMES[1:3], None))
    await running.reach(step)
    await settle()


def _made(home: Path) -> Path:
    home.mkdir()
    return home
