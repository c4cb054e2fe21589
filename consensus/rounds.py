"""Rounds: starting one, the timers that end its waits, and moving on (paper, L11 to L21 and L55 to L67).

Timeout messages. When a timer fires, the validator also tells the others. A quorum of `TimeoutMessage`s of kind
PRE_COMMIT for a round moves a node to the next one. The other two kinds move nobody: their waits end in a vote (L57,
L61), and it is the votes that decide how the round ends; they are counted and shown. That this is harmless: a validator
sends PRE_COMMIT for round r at the moment it leaves r, so behind a quorum of them are f + 1 honest validators that are
in round r + 1 already, and their messages from there would move this node by L55 just the same. So it is an earlier
L55, with more proof than L55 asks for. It touches neither lock nor valid batch.
"""

import heapq

from consensus.effects import BuildBatch, SetTimer
from consensus.inputs import TimerFired
from consensus.messages import TimeoutMessage
from consensus.progress import Progress
from consensus.proposals import cast_pre_vote, propose
from consensus.reasons import Ignored
from consensus.state import NO_ROUND, ROUNDS_AHEAD_MAX, ROUNDS_BEHIND_MAX, ConsensusState, Phase, timeout_key
from consensus.values import TimeoutKind
from consensus.votes import cast_pre_commit


def start_round(progress: Progress, number: int) -> None:
    """L11 to L21: begin the round `number`."""
    enter_round(progress, number)
    await_proposal(progress)


def enter_round(progress: Progress, number: int) -> None:
    """L12, L13: be in the round `number`, and forget the rounds that are far from it."""
    progress.update(round=number, phase=Phase.PROPOSE, requested=frozenset())
    _forget_far_rounds(progress)


def await_proposal(progress: Progress) -> None:
    """L14 to L21: wait for the round's proposal, or make it.

    The paper's proposer sets no timer, because its getValue() returns at once. Here building may fail or take long, so
    the proposer waits for its own proposal like everybody else.
    """
    state = progress.state
    kind = TimeoutKind.PROPOSER
    progress.emit(SetTimer(kind, state.round, state.timeouts.duration_ms(kind, state.round)))  # L21
    if not state.is_proposer or "PROOF_BATCH" in state.current.own:  # L14; a proposal that is there was recovered
        return
    if state.valid_hash is not None:
        propose(progress, state.valid_hash, state.valid_round)  # L16, L19
    else:
        progress.emit(BuildBatch(state.height, state.round))  # L18


def timer_fired(progress: Progress, timer: TimerFired) -> Ignored | None:
    """L57, L61, L65: the end of a wait, if it is one that the node is still in."""
    state = progress.state
    current = state.current
    kind = timer.kind
    is_waiting = {
        TimeoutKind.PROPOSER: state.phase is Phase.PROPOSE,  # L58
        TimeoutKind.PRE_VOTE: state.phase is Phase.PRE_VOTE and kind in current.waiting,  # L62
        TimeoutKind.PRE_COMMIT: state.phase is not Phase.IDLE and kind in current.waiting,  # L66
    }[kind]
    if timer.round != state.round or not is_waiting or kind in current.fired:
        return Ignored.STALE_TIMER
    progress.update_round(state.round, fired=current.fired | {kind})
    if kind is TimeoutKind.PROPOSER:
        cast_pre_vote(progress, None)  # L59, L60
    elif kind is TimeoutKind.PRE_VOTE:
        cast_pre_commit(progress, None)  # L63, L64
    if state.own_address is not None:
        progress.intend(TimeoutMessage(state.height, state.round, kind, state.own_address))
    return None


def leave_failed_round(progress: Progress) -> None:
    """L67: after the last wait of a round, go to the next, as soon as the timeout message is signed."""
    state = progress.state
    current = state.current
    if TimeoutKind.PRE_COMMIT in current.fired and not current.own_is_pending(timeout_key(TimeoutKind.PRE_COMMIT)):
        start_round(progress, state.round + 1)


def receive_timeout(progress: Progress, message: TimeoutMessage) -> Ignored | None:
    """Count a timeout message, another's or the own one; a quorum of kind PRE_COMMIT ends its round."""
    state = progress.state
    if not state.tracks(message.round):
        return Ignored.ROUND_NOT_TRACKED
    timeouts = state.round_state(message.round).timeouts
    key = (message.validator, message.kind)
    if key in timeouts:
        return Ignored.DUPLICATE
    progress.update_round(message.round, timeouts={**timeouts, key: message})
    if message.kind is TimeoutKind.PRE_COMMIT and message.round >= state.round:
        count = 1 + sum(kind is TimeoutKind.PRE_COMMIT for _, kind in timeouts)
        if count >= state.validators.quorum:
            start_round(progress, message.round + 1)
    return None


def note_round(progress: Progress, validator: bytes, number: int) -> None:
    """Remember the latest round that `validator` was seen in.

    Of one that was seen beyond the window already, no later round is noted before this node has come nearer: it counts
    for L55 as it is, and a liar who names ever later rounds changes nothing, so that nothing of him has to be logged.
    """
    highest = progress.state.highest_rounds
    noted = highest.get(validator, NO_ROUND)
    if number > noted and noted <= max(progress.state.round, 0) + ROUNDS_AHEAD_MAX:
        progress.update(highest_rounds={**highest, validator: number})
        progress.later_round_seen = progress.later_round_seen or number > progress.state.round


def skip_to_later_round(progress: Progress) -> None:
    """L55: f + 1 validators, so an honest one, are in a later round: go there.

    A validator seen in a still later one counts as well, because it was, or could have been, in this one.
    """
    state = progress.state
    needed = state.validators.faults_max + 1
    if not progress.later_round_seen or len(state.highest_rounds) < needed:
        return
    progress.later_round_seen = False
    reached = heapq.nlargest(needed, state.highest_rounds.values())[-1]
    if reached > state.round:
        start_round(progress, reached)  # L56


def _forget_far_rounds(progress: Progress) -> None:
    """Keep what can still matter: the window, the rounds of the lock and the valid batch, the committed batch."""
    state = progress.state
    kept_numbers = {state.locked_round, state.valid_round}
    kept_numbers.update(proposal.valid_round for proposal in state.current.proposals)
    if state.commit is not None:
        kept_numbers.add(state.commit.round)
    window = range(state.round - ROUNDS_BEHIND_MAX, state.round + ROUNDS_AHEAD_MAX + 1)
    rounds = {number: kept for number, kept in state.rounds.items() if number in window or number in kept_numbers}
    progress.update(rounds=rounds)
    hashes = _hashes_in_use(progress.state)
    progress.update(
        batches={key: batch for key, batch in state.batches.items() if key in hashes},
        verdicts={key: verdict for key, verdict in state.verdicts.items() if key in hashes},
        fresh_verdicts={key: verdict for key, verdict in state.fresh_verdicts.items() if key[0] in rounds},
        validating={key: clock for key, clock in state.validating.items() if key[1] in hashes},
    )


def _hashes_in_use(state: ConsensusState) -> set[bytes | None]:
    hashes = {state.locked_hash, state.valid_hash}
    if state.commit is not None:
        hashes.add(state.commit.batch_hash)
    for round_state in state.rounds.values():
        hashes.update(proposal.batch_hash for proposal in round_state.proposals)
        own = round_state.own.get("PROOF_BATCH")
        if own is not None and own.message.type == "PROOF_BATCH":
            hashes.add(own.message.batch_hash)
    return hashes
