"""When the log is lost: what this validator has signed comes back from its signing history, and binds it again.

The history outlives the log, and refuses to sign anything else. But a machine that only stays silent then stands for
ever, with a third of the others like it; and one that goes on in the next round without its lock may finalise a second
batch. So what was signed is an input (`OwnMessagesRecovered`): from a lost log the machine comes back

- with the lock of its latest pre-commit for a batch, whether that batch is here or not (no amnesia);
- in the latest round in which it has signed anything, at the step that it signed there;
- saying again what it has said.

What it has lost for good is what others have told it. They repeat what they have signed themselves; but one may be
silent whose vote was the last of a quorum by which this validator, or another, went on. So the wait of the recovered
step begins at once, without the quorum that L34 and L47 ask for: at its end the node goes on as after any wait, which
is safe at any time (no proof of agreement rests on when a wait ends), and needs nobody.

Why this is safe, and live: docs/adr/0019-signing-at-the-head.md.
"""

from consensus.effects import Broadcast, SetTimer
from consensus.inputs import OwnMessagesRecovered
from consensus.lock import ProofOfLock
from consensus.messages import PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.progress import Progress
from consensus.proposals import is_wanted, record_own_proposal
from consensus.reasons import Ignored
from consensus.rounds import await_proposal, enter_round, receive_timeout
from consensus.state import (
    NO_ROUND,
    ROUNDS_BEHIND_MAX,
    ConsensusState,
    OwnMessage,
    OwnStage,
    Phase,
    own_key,
    timeout_key,
    without_batch,
)
from consensus.values import TimeoutKind
from consensus.votes import receive_vote

PHASES = (Phase.IDLE, Phase.PROPOSE, Phase.PRE_VOTE, Phase.PRE_COMMIT)
"""In the order of a round."""


def own_messages_recovered(progress: Progress, event: OwnMessagesRecovered) -> Ignored | None:
    """Take back what was signed. Once: what is known already changes nothing."""
    if progress.state.own_address is None:
        return Ignored.UNEXPECTED
    own = [message for message in event.messages if _is_own(progress.state, message)]
    _lock_again(progress, own, event.lock)
    latest = max((*(message.round for message in own), progress.state.locked_round))
    news = [message for message in own if _is_news(progress.state, message, latest)]
    is_later = progress.state.round < latest
    if is_later:
        _forget_what_was_intended(progress)
    for message in news:
        _remember(progress, message)
    if is_later:
        enter_round(progress, latest)  # as L56
    if event.lock is not None:
        _count_polka(progress, event.lock)
    for message in news:
        _count(progress, message)
    if (news or is_later) and progress.state.round == latest:
        _take_up_step(progress, begins=is_later)
    return Ignored.DUPLICATE


def recall_locked_batch(progress: Progress) -> None:
    """L42, L43: the batch of the lock is also the valid one. Only a lock that was recovered can be here without its
    batch; it comes from a peer."""
    state = progress.state
    if state.locked_round > state.valid_round and state.locked_hash in state.batches:
        progress.update(valid_hash=state.locked_hash, valid_round=state.locked_round)


def own_proposal_came_back(progress: Progress, proposal: ProofBatch) -> Ignored | None:
    """The own proposal, from a peer: of use where its batch was lost with the log, and then like another's."""
    state = progress.state
    if not proposal.batch or proposal.batch_hash in state.batches:
        return Ignored.OWN_MESSAGE
    own = state.round_state(proposal.round).own.get(proposal.type)
    is_the_one = own is not None and own.message == without_batch(proposal)
    if not is_the_one and not is_wanted(state, proposal.batch_hash):
        return Ignored.OWN_MESSAGE
    progress.update(batches={**state.batches, proposal.batch_hash: proposal.batch})
    if is_the_one:
        record_own_proposal(progress, proposal)
    return None


def _is_own(state: ConsensusState, message: SignedMessage) -> bool:
    return message.height == state.height and message.signer == state.own_address and bool(message.signature)


def _is_news(state: ConsensusState, message: SignedMessage, latest: int) -> bool:
    """Whether the message is not remembered, and of a round that is."""
    own = state.round_state(message.round).own.get(own_key(message))
    first_round = max(latest, state.round) - ROUNDS_BEHIND_MAX
    is_tracked = message.round >= first_round or message.round in (state.locked_round, state.valid_round)
    return is_tracked and (own is None or own.stage is not OwnStage.SIGNED)


def _lock_again(progress: Progress, own: list[SignedMessage], proof: ProofOfLock | None) -> None:
    """L38, L39: lock on what the latest pre-commit for a batch says; or on what a later proof says, of a pre-commit
    that was about to be signed, or that the history has forgotten."""
    state = progress.state
    locks = [(one.round, one.batch_hash) for one in own if isinstance(one, PreCommit) and one.batch_hash is not None]
    if proof is not None and _is_proven(state, proof):
        locks.append((proof.round, proof.batch_hash))
    locked_round, locked_hash = max(locks, default=(NO_ROUND, b""))
    if locked_round > state.locked_round:
        progress.update(locked_round=locked_round, locked_hash=locked_hash)
    if proof is not None and _is_of_lock(progress.state, proof) and proof.batch_hash not in state.batches:
        progress.update(batches={**state.batches, proof.batch_hash: proof.batch})
    recall_locked_batch(progress)


def _is_proven(state: ConsensusState, proof: ProofOfLock) -> bool:
    voters = {entry.validator for entry in proof.pre_votes if entry.validator in state.validators}
    return proof.height == state.height and len(voters) >= state.validators.quorum


def _is_of_lock(state: ConsensusState, proof: ProofOfLock) -> bool:
    return (proof.height, proof.round, proof.batch_hash) == (state.height, state.locked_round, state.locked_hash)


def _count_polka(progress: Progress, proof: ProofOfLock) -> None:
    """The pre-votes by which this validator locked: with them it can propose the batch again (L28)."""
    if _is_of_lock(progress.state, proof):
        for vote in proof.votes():
            if vote.validator in progress.state.validators:
                receive_vote(progress, vote)


def _forget_what_was_intended(progress: Progress) -> None:
    """In rounds that are left now. The history would refuse it, or it is of no use any more."""
    for number, round_state in progress.state.rounds.items():
        signed = {key: own for key, own in round_state.own.items() if own.stage is OwnStage.SIGNED}
        if len(signed) < len(round_state.own):
            progress.update_round(number, own=signed)


def _remember(progress: Progress, message: SignedMessage) -> None:
    """As signed, in the place of what may be intended there; and say it again."""
    stored = without_batch(message) if isinstance(message, ProofBatch) else message
    own = {**progress.state.round_state(message.round).own, own_key(message): OwnMessage(stored, OwnStage.SIGNED)}
    progress.update_round(message.round, own=own)
    if not isinstance(message, ProofBatch) or message.batch_hash in progress.state.batches:
        progress.emit(Broadcast(progress.with_batch(stored)))


def _count(progress: Progress, message: SignedMessage) -> None:
    if isinstance(message, PreVote | PreCommit):
        receive_vote(progress, message)
    elif isinstance(message, TimeoutMessage):
        receive_timeout(progress, message)
    elif message.batch_hash in progress.state.batches:
        record_own_proposal(progress, message)


def _take_up_step(progress: Progress, *, begins: bool) -> None:
    """The step that was signed in the current round, or the present one if that is later; and begin its wait."""
    state = progress.state
    current = state.current
    signed = [
        phase
        for phase, key in ((Phase.PRE_VOTE, "PRE_VOTE"), (Phase.PRE_COMMIT, "PRE_COMMIT"))
        if key in current.own and not current.own_is_pending(key)
    ]
    phase = max((state.phase, *signed), key=PHASES.index)
    progress.update(phase=phase)
    left = timeout_key(TimeoutKind.PRE_COMMIT)
    if left in current.own and not current.own_is_pending(left):
        # It had left this round already: L67 does it again.
        progress.update_round(state.round, fired=current.fired | {TimeoutKind.PRE_COMMIT})
    elif phase is not Phase.PROPOSE:
        kind = TimeoutKind.PRE_VOTE if phase is Phase.PRE_VOTE else TimeoutKind.PRE_COMMIT
        if kind not in current.waiting:
            progress.update_round(state.round, waiting=current.waiting | {kind})
            progress.emit(SetTimer(kind, state.round, state.timeouts.duration_ms(kind, state.round)))
    elif begins:
        await_proposal(progress)
