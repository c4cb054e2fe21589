"""The state machine of one height: `apply(state, input) -> Transition`.

Theory of operation. The paper (arXiv:1807.04938) gives its algorithm as rules, "upon ... while ...". An input is first
taken in, by the handler of its kind, which stores what it says; then the rules are tried, in one fixed order, until
none of them changes anything. So what comes out depends on the state and the input alone, and the same inputs, applied
again after a restart, lead to the same state: that is what the driver's log relies on. Comments name the paper's lines
(# L22).

An input that changes nothing returns the very same state, no effects, and the reason.
"""

from dataclasses import dataclass

from consensus.describe import Description, describe
from consensus.effects import Effect
from consensus.inputs import (
    BatchBuilt,
    BatchNotBuilt,
    BatchValidated,
    Input,
    LogWritten,
    MessageReceived,
    OwnMessagesRecovered,
    Signed,
    TimerFired,
)
from consensus.messages import Commit, Evidence, Message, PreCommit, PreVote, ProofBatch, TimeoutMessage
from consensus.progress import ConsensusFault, Progress
from consensus.proposals import (
    batch_built,
    batch_not_built,
    batch_validated,
    build_again,
    pre_vote_on_proposal,
    receive_proposal,
    record_own_proposal,
)
from consensus.reasons import Ignored
from consensus.recollection import own_messages_recovered, own_proposal_came_back, recall_locked_batch
from consensus.recovery import own_messages, resume, stored_proposal, wanted_batches
from consensus.rounds import (
    leave_failed_round,
    note_round,
    receive_timeout,
    skip_to_later_round,
    start_round,
    timer_fired,
)
from consensus.state import ConsensusState, Phase
from consensus.votes import (
    decide,
    lock_on_polka,
    pre_commit_nil,
    receive_commit,
    receive_vote,
    wait_for_pre_commits,
    wait_for_pre_votes,
)

__all__ = [
    "ConsensusFault",
    "Description",
    "Ignored",
    "Transition",
    "apply",
    "describe",
    "own_messages",
    "resume",
    "stored_proposal",
    "wanted_batches",
]


@dataclass(frozen=True, slots=True)
class Transition:
    """What an input led to: the state after it, what is to be done, and, if nothing changed, why."""

    state: ConsensusState
    effects: tuple[Effect, ...] = ()
    ignored: Ignored | None = None


def apply(state: ConsensusState, event: Input) -> Transition:
    """The transition that the input `event` makes from `state` (the driver's log holds the inputs in order).

    Raises: ConsensusFault if more than f validators, or this node's own state, must be at fault. Nothing else.
    """
    if state.phase is Phase.DECIDED:
        return Transition(state, ignored=Ignored.DECIDED)
    progress = Progress(state)
    reason = _take_in(progress, event)
    if progress.state is state:
        return Transition(state, ignored=reason or Ignored.NOTHING_TO_DO)
    _follow_rules(progress)
    return Transition(progress.state, tuple(progress.effects))


def _take_in(progress: Progress, event: Input) -> Ignored | None:
    if isinstance(event, MessageReceived):
        return _take_in_message(progress, event.message)
    if isinstance(event, TimerFired):
        return timer_fired(progress, event)
    if isinstance(event, BatchValidated):
        return batch_validated(progress, event)
    if isinstance(event, LogWritten):
        return None if progress.log_written(event.entry) else Ignored.UNEXPECTED
    if isinstance(event, Signed):
        return _take_in_own(progress, event)
    if isinstance(event, BatchBuilt):
        return batch_built(progress, event)
    if isinstance(event, BatchNotBuilt):
        return batch_not_built(progress, event)
    if isinstance(event, OwnMessagesRecovered):
        return own_messages_recovered(progress, event)
    return _wake(progress)


def _take_in_message(progress: Progress, message: Message) -> Ignored | None:
    state = progress.state
    if isinstance(message, Evidence):
        return Ignored.NOT_FOR_CONSENSUS
    if message.height != state.height:
        return Ignored.PAST_HEIGHT if message.height < state.height else Ignored.FUTURE_HEIGHT
    if isinstance(message, Commit):
        return receive_commit(progress, message)
    sender = message.signer
    if sender not in state.validators:
        return Ignored.UNKNOWN_VALIDATOR
    if sender == state.own_address:
        if isinstance(message, PreVote | PreCommit) and message.round < state.round:
            # The own vote of a round that was forgotten, in a quorum that somebody repeats: it must count there (L28).
            return receive_vote(progress, message)
        return own_proposal_came_back(progress, message) if isinstance(message, ProofBatch) else Ignored.OWN_MESSAGE
    if isinstance(message, ProofBatch):
        proposer = state.validators.proposer(state.height, message.round).address
        if sender != proposer:
            return Ignored.NOT_THE_PROPOSER
    # The sender is in that round, whether its message can be stored or not.
    note_round(progress, sender, message.round)
    is_first_proposal = isinstance(message, ProofBatch) and message.round == 0
    if is_first_proposal or len(progress.state.highest_rounds) > state.validators.faults_max:
        _wake(progress)
    if isinstance(message, ProofBatch):
        return receive_proposal(progress, message)
    if isinstance(message, TimeoutMessage):
        return receive_timeout(progress, message)
    return receive_vote(progress, message)


def _take_in_own(progress: Progress, event: Signed) -> Ignored | None:
    message = event.message
    if not progress.signed(message):
        return Ignored.UNEXPECTED
    if isinstance(message, PreVote | PreCommit):
        receive_vote(progress, message)
    elif isinstance(message, TimeoutMessage):
        receive_timeout(progress, message)
    else:
        record_own_proposal(progress, message)
    return None


def _wake(progress: Progress) -> Ignored | None:
    """There is work: leave IDLE, or, as a proposer that had nothing to propose, try again to build.

    What others say is a sign of work when it is the proposal of round 0, or when f + 1 of them say something: one liar
    alone must not be able to send an idle network through empty rounds, each longer than the one before, but at the
    heights where it is its turn to propose first.
    """
    if progress.state.phase is Phase.IDLE:
        start_round(progress, 0)  # L10
        return None
    return build_again(progress)


def _follow_rules(progress: Progress) -> None:
    """Try every rule until none changes anything. Each either does nothing or makes irreversible progress, so it
    ends."""
    before = None
    while before is not progress.state and progress.state.phase is not Phase.DECIDED:
        before = progress.state
        decide(progress)  # L49
        if progress.state.phase in (Phase.IDLE, Phase.DECIDED):
            continue
        recall_locked_batch(progress)  # L42, L43
        skip_to_later_round(progress)  # L55
        pre_vote_on_proposal(progress)  # L22, L28
        wait_for_pre_votes(progress)  # L34
        lock_on_polka(progress)  # L36
        pre_commit_nil(progress)  # L44
        wait_for_pre_commits(progress)  # L47
        leave_failed_round(progress)  # L65
