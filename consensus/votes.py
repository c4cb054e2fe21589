"""Votes: counting them, and what a quorum of them means (paper, L34 to L54)."""

from consensus.commit import commit_of
from consensus.effects import Broadcast, Finalise, ReportEvidence, SetTimer
from consensus.evidence import contradiction
from consensus.messages import Commit, PreCommit, PreVote
from consensus.progress import ConsensusFault, Progress
from consensus.reasons import Ignored
from consensus.state import EMPTY_ROUND, Phase
from consensus.values import TimeoutKind


def receive_vote(progress: Progress, vote: PreVote | PreCommit) -> Ignored | None:
    """Count a vote, another's or the own one. A second vote that differs is evidence; see `VoteSet` for its
    counting."""
    state = progress.state
    number = vote.round
    if not state.tracks(number):
        return Ignored.ROUND_NOT_TRACKED
    round_state = state.rounds.get(number, EMPTY_ROUND)
    votes = round_state.pre_votes if isinstance(vote, PreVote) else round_state.pre_commits
    first = votes.first.get(vote.validator)
    if first is not None:
        if first.batch_hash == vote.batch_hash or (vote.validator, vote.batch_hash) in votes.further:
            return Ignored.DUPLICATE
        key = (vote.validator, vote.type)
        if key not in round_state.accused:
            progress.update_round(number, accused=round_state.accused | {key})
            progress.emit(ReportEvidence(contradiction(first, vote)))
        if vote.batch_hash is not None and vote.batch_hash not in state.batches:
            # This is what bounds the votes of a liar. If the batch is proposed later, the vote will be repeated.
            return Ignored.CONTRADICTION
    if isinstance(vote, PreVote):
        progress.update_round(number, pre_votes=round_state.pre_votes.adding(vote))
    else:
        progress.update_round(number, pre_commits=round_state.pre_commits.adding(vote))
        batch_hash = vote.batch_hash
        if batch_hash is not None:
            pre_commits = progress.state.rounds[number].pre_commits
            if pre_commits.tally(batch_hash) >= state.validators.quorum:  # L49, of any round
                return receive_commit(progress, commit_of(pre_commits.votes_for(batch_hash)))
    return None


def receive_commit(progress: Progress, commit: Commit) -> Ignored | None:
    """L49: a quorum of pre-commits decides, whether counted here or proven by another's `Commit`.

    Raises: ConsensusFault if another batch is committed already.
    """
    known = progress.state.commit
    if known is None:
        progress.update(commit=commit)
        return None
    if known.batch_hash != commit.batch_hash:
        raise ConsensusFault(
            f"height {commit.height}: a quorum committed 0x{known.batch_hash.hex()} in round {known.round}, "
            f"and a quorum committed 0x{commit.batch_hash.hex()} in round {commit.round}"
        )
    return Ignored.DUPLICATE


def decide(progress: Progress) -> None:
    """L49 to L51: finalise the committed batch when it is here and its verdict is known.

    That q validators committed it means that an honest one has found it valid, in its time; so the clock is not judged.
    Raises: ConsensusFault if it is invalid all the same: then states have diverged, and going on would hide it.
    """
    state = progress.state
    commit = state.commit
    if commit is None or state.phase is Phase.DECIDED:
        return
    valid = progress.verdict(commit.round, commit.batch_hash, judge_clock=False)
    if valid is None:
        return
    if not valid:
        raise ConsensusFault(
            f"height {commit.height}: a quorum committed 0x{commit.batch_hash.hex()} in round {commit.round}, "
            "which this node finds invalid"
        )
    counted = state.round_state(commit.round).pre_commits
    if counted.tally(commit.batch_hash) > len(commit.signatures):
        commit = commit_of(counted.votes_for(commit.batch_hash))  # who came meanwhile deserves its reward too
    progress.update(phase=Phase.DECIDED, commit=commit)
    progress.emit(Finalise(commit, state.batches[commit.batch_hash]))
    progress.emit(Broadcast(commit))


def wait_for_pre_votes(progress: Progress) -> None:
    """L34: a quorum has pre-voted, for whatever, for the first time: give the others a while."""
    state = progress.state
    if state.phase is Phase.PRE_VOTE and state.current.pre_votes.voters >= state.validators.quorum:
        _set_timer_once(progress, TimeoutKind.PRE_VOTE)


def wait_for_pre_commits(progress: Progress) -> None:
    """L47: a quorum has pre-committed, for whatever, for the first time: give the others a while. In any step."""
    state = progress.state
    if state.current.pre_commits.voters >= state.validators.quorum:
        _set_timer_once(progress, TimeoutKind.PRE_COMMIT)


def lock_on_polka(progress: Progress) -> None:
    """L36: a quorum pre-voted for one batch (a polka): lock on it and pre-commit it; remember it as valid in any case.

    The paper asks for the round's proposal as well. Here the batch may also have come with another round's: the quorum
    proves that an honest validator saw this round's proposal, and the proof of agreement rests on the votes alone.
    """
    state = progress.state
    if state.phase not in (Phase.PRE_VOTE, Phase.PRE_COMMIT) or state.current.polka_used:
        return
    batch_hash = state.current.pre_votes.hash_with(state.validators.quorum)
    if batch_hash is None or not progress.verdict(state.round, batch_hash, judge_clock=False):
        return
    progress.update_round(state.round, polka_used=True)
    if state.phase is Phase.PRE_VOTE:  # L37
        progress.update(locked_hash=batch_hash, locked_round=state.round)  # L38, L39
        cast_pre_commit(progress, batch_hash)  # L40, L41
    progress.update(valid_hash=batch_hash, valid_round=state.round)  # L42, L43


def pre_commit_nil(progress: Progress) -> None:
    """L44: a quorum pre-voted nil: pre-commit nil. The lock, if there is one, stays: the paper never unlocks on nil."""
    state = progress.state
    if state.phase is Phase.PRE_VOTE and state.current.pre_votes.tally(None) >= state.validators.quorum:
        cast_pre_commit(progress, None)  # L45, L46


def cast_pre_commit(progress: Progress, batch_hash: bytes | None) -> None:
    """L40, L45, L63: the pre-commit of the current round, and step := precommit."""
    state = progress.state
    progress.update(phase=Phase.PRE_COMMIT)
    if state.own_address is not None:
        progress.intend(PreCommit(state.height, state.round, batch_hash, state.own_address))


def _set_timer_once(progress: Progress, kind: TimeoutKind) -> None:
    state = progress.state
    current = state.current
    if kind not in current.waiting:
        progress.update_round(state.round, waiting=current.waiting | {kind})
        progress.emit(SetTimer(kind, state.round, state.timeouts.duration_ms(kind, state.round)))
