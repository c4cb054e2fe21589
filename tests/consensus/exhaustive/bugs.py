"""Bugs to plant in the shipped machine, to show that the search finds them. Each is the rule with one thing wrong."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from consensus import machine, recollection
from consensus.lock import ProofOfLock
from consensus.messages import SignedMessage
from consensus.progress import Progress
from consensus.proposals import cast_pre_vote
from consensus.state import NO_ROUND, Phase
from consensus.values import ValidatorSet
from consensus.votes import lock_on_polka, pre_commit_nil


def _without_lock(progress: Progress) -> None:
    """L36 without L38 and L39."""
    lock_on_polka(progress)
    if progress.state.locked_round != NO_ROUND:
        progress.update(locked_round=NO_ROUND, locked_hash=None)


def _unlocking_on_nil(progress: Progress) -> None:
    """L44 as some have it: a quorum for nil takes the lock away."""
    state = progress.state
    if (
        state.locked_round != NO_ROUND
        and state.phase is Phase.PRE_VOTE
        and state.current.pre_votes.tally(None) >= state.validators.quorum
    ):
        progress.update(locked_round=NO_ROUND, locked_hash=None)
    pre_commit_nil(progress)


def _pre_vote(progress: Progress, *, ignore_lock: bool, ignore_polka: bool) -> None:
    """L22 and L28, with the lock or the polka left out."""
    state = progress.state
    if state.phase is not Phase.PROPOSE or not state.current.proposals:
        return
    proposal = state.current.proposals[0]
    batch_hash, valid_round = proposal.batch_hash, proposal.valid_round
    locked_on_it = state.locked_hash == batch_hash
    if valid_round == NO_ROUND:
        may_accept = ignore_lock or state.locked_round == NO_ROUND or locked_on_it
    elif ignore_polka or state.round_state(valid_round).pre_votes.tally(batch_hash) >= state.validators.quorum:
        may_accept = state.locked_round <= valid_round or locked_on_it
    else:
        return
    if not may_accept:
        cast_pre_vote(progress, None)
        return
    valid = progress.verdict(state.round, batch_hash, judge_clock=valid_round == NO_ROUND and not locked_on_it)
    if valid is not None:
        cast_pre_vote(progress, batch_hash if valid else None)


def _ignoring_lock(progress: Progress) -> None:
    _pre_vote(progress, ignore_lock=True, ignore_polka=False)


def _ignoring_polka(progress: Progress) -> None:
    _pre_vote(progress, ignore_lock=False, ignore_polka=True)


def _forgetting(_progress: Progress, _own: list[SignedMessage], _proof: ProofOfLock | None) -> None:
    """What was signed comes back without the lock that it shows."""


_set_up = ValidatorSet.__post_init__


def _small_quorum(validators: ValidatorSet) -> None:
    _set_up(validators)
    object.__setattr__(validators, "quorum", validators.quorum - 1)


@dataclass(frozen=True)
class Bug:
    """A wrong rule, and the smallest search that finds it: how many rounds, and which validator is Byzantine."""

    name: str
    rounds: int
    byzantine: int
    owner: object
    attribute: str
    wrong: Callable[..., None]
    watch_locks: bool = False
    """False: found by two batches that can be decided. True: found before, by a lock that goes away."""
    loses_logs: bool = False
    """Whether it needs validators that lose their logs."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The shipped machine has the bug inside of this."""
        with patch.object(self.owner, self.attribute, self.wrong):
            yield


BUGS = (
    Bug("a quorum one too small", 1, 0, ValidatorSet, "__post_init__", _small_quorum),
    Bug("no lock (L38, L39)", 2, 1, machine, "lock_on_polka", _without_lock),
    Bug("L22 ignores the lock", 2, 1, machine, "pre_vote_on_proposal", _ignoring_lock),
    Bug("L28 does not ask for the polka", 2, 1, machine, "pre_vote_on_proposal", _ignoring_polka),
    Bug("unlocking on a nil polka (L44)", 2, 1, machine, "pre_commit_nil", _unlocking_on_nil, watch_locks=True),
    Bug("a lost log is a lost lock", 2, 1, recollection, "_lock_again", _forgetting, loses_logs=True),
)
