"""What a validator knows of one height. Everything here is a value: a transition makes a new one and shares the rest.

Mappings are copied when written, one round at a time, so that a vote costs a copy of one dictionary of at most N
entries. Nobody changes a mapping that he was given; the type says `Mapping` so that mypy sees to it.

What is bounded, and how. Messages are stored for the rounds of a window (ROUNDS_BEHIND_MAX, ROUNDS_AHEAD_MAX) around
the current round, and for the few older rounds that a lock, a valid batch or a proposal points to. Of a message
outside, only "this validator has reached that round" is kept: one number for each validator. A round stores at most
PROPOSALS_MAX proposals, and of one validator one vote of a kind, plus, if he contradicts himself, votes for nil and for
stored batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from operator import attrgetter
from typing import Generic, TypeVar

from consensus.messages import Commit, PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.values import TimeoutKind, Timeouts, ValidatorSet

ROUNDS_AHEAD_MAX = 8
"""Messages of rounds further ahead are not stored: their senders repeat them, and f + 1 of them move this node
there."""
ROUNDS_BEHIND_MAX = 4
"""Messages of rounds further behind are not stored; a batch finalised there arrives as a `Commit`."""
PROPOSALS_MAX = 2
"""Proposals stored of one round: the first, and one that contradicts it. Others are ignored."""
NO_ROUND = -1
"""The paper's initial lockedRound and validRound, and the round of an idle height."""


class Step(StrEnum):
    """What `/status` shows (protocol.md §4): the paper's step, and what the node waits for in it.

    IDLE: no work is known; no timer runs. PROPOSE: waiting for the round's proposal, or for its verdict.
    PRE_VOTE: the node has decided its pre-vote and collects those of others. PRE_VOTE_WAIT: a quorum has pre-voted, but
    not for one value (or the value's batch is not here or not validated yet), and the timer for that runs (L34).
    PRE_COMMIT, PRE_COMMIT_WAIT: the same for pre-commits (L47). COMMIT: decided.

    TIMEOUT_PROPOSER: the wait for the proposal is over (L57), and the nil pre-vote that follows, or the timeout
    message, is being logged and signed. TIMEOUT_PRE_VOTE: the same after PRE_VOTE_WAIT (L61). TIMEOUT_PRE_COMMIT: the
    round has failed (L65); the next one starts when the timeout message is signed. A node that does not vote passes
    these three at once.
    """

    IDLE = "IDLE"
    PROPOSE = "PROPOSE"
    PRE_VOTE = "PRE_VOTE"
    PRE_VOTE_WAIT = "PRE_VOTE_WAIT"
    PRE_COMMIT = "PRE_COMMIT"
    PRE_COMMIT_WAIT = "PRE_COMMIT_WAIT"
    COMMIT = "COMMIT"
    TIMEOUT_PROPOSER = "TIMEOUT_PROPOSER"
    TIMEOUT_PRE_VOTE = "TIMEOUT_PRE_VOTE"
    TIMEOUT_PRE_COMMIT = "TIMEOUT_PRE_COMMIT"


class Phase(StrEnum):
    """The paper's step_p, with a name for before the first round and one for after the decision."""

    IDLE = "IDLE"
    PROPOSE = "PROPOSE"
    PRE_VOTE = "PRE_VOTE"
    PRE_COMMIT = "PRE_COMMIT"
    DECIDED = "DECIDED"


class OwnStage(StrEnum):
    """How far an own message is on its one way: on its way to the log, to the key, or done."""

    WRITING = "WRITING"
    SIGNING = "SIGNING"
    SIGNED = "SIGNED"


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """A message that this validator intends to send, fixed from the moment it is intended. Without its batch."""

    message: SignedMessage
    stage: OwnStage = OwnStage.WRITING


V = TypeVar("V", bound=PreVote | PreCommit)


@dataclass(frozen=True, slots=True)
class VoteSet(Generic[V]):
    """The votes of one kind in one round.

    A validator that contradicts itself is counted once among the voters, and once for each of its values. The second is
    needed for liveness: if another node became locked by a quorum that counted one of the liar's votes, that quorum
    must be countable here too, or this node would refuse the locked batch for ever. It does no harm: two quorums for
    different values still share an honest validator, whose one vote cannot be in both.
    """

    first: Mapping[bytes, V] = field(default_factory=dict)
    """The first vote of each validator."""
    further: Mapping[tuple[bytes, bytes | None], V] = field(default_factory=dict)
    """Contradicting votes, by (validator, batch hash)."""
    tallies: Mapping[bytes | None, int] = field(default_factory=dict)
    """How many validators voted for a batch hash, or for nil."""

    @property
    def voters(self) -> int:
        """How many validators have voted, whatever for."""
        return len(self.first)

    def tally(self, batch_hash: bytes | None) -> int:
        """How many validators voted for `batch_hash`; None is nil."""
        return self.tallies.get(batch_hash, 0)

    def hash_with(self, quorum: int) -> bytes | None:
        """The batch hash (never nil) that at least `quorum` validators voted for, if there is one."""
        for batch_hash, count in self.tallies.items():
            if count >= quorum and batch_hash is not None:
                return batch_hash
        return None

    def votes_for(self, batch_hash: bytes | None) -> tuple[V, ...]:
        """Each validator's vote for `batch_hash`, sorted by validator."""
        votes = [vote for vote in (*self.first.values(), *self.further.values()) if vote.batch_hash == batch_hash]
        votes.sort(key=attrgetter("validator"))
        return tuple(votes)

    def adding(self, vote: V) -> "VoteSet[V]":
        """With `vote`, which is not in the set already."""
        tallies = {**self.tallies, vote.batch_hash: self.tally(vote.batch_hash) + 1}
        if vote.validator in self.first:
            return VoteSet(self.first, {**self.further, (vote.validator, vote.batch_hash): vote}, tallies)
        return VoteSet({**self.first, vote.validator: vote}, self.further, tallies)


@dataclass(frozen=True, slots=True)
class RoundState:
    """What is known of one round."""

    proposals: tuple[ProofBatch, ...] = ()
    """At most PROPOSALS_MAX, in the order they came, without their batches (these are in `ConsensusState.batches`)."""
    pre_votes: VoteSet[PreVote] = field(default_factory=VoteSet)
    pre_commits: VoteSet[PreCommit] = field(default_factory=VoteSet)
    timeouts: Mapping[tuple[bytes, TimeoutKind], TimeoutMessage] = field(default_factory=dict)
    own: Mapping[str, OwnMessage] = field(default_factory=dict)
    """What this validator intends or has sent, by `own_key`."""
    accused: frozenset[tuple[bytes, str]] = frozenset()
    """(validator, message type) of which evidence has been reported."""
    waiting: frozenset[TimeoutKind] = frozenset()
    """Timers that have been set: L34's and L47's "for the first time"."""
    fired: frozenset[TimeoutKind] = frozenset()
    """Timers that have fired and meant something."""
    polka_used: bool = False
    """L36's "for the first time"."""

    def own_is_pending(self, key: str) -> bool:
        """Whether an own message is intended, but not signed yet."""
        own = self.own.get(key)
        return own is not None and own.stage is not OwnStage.SIGNED


EMPTY_ROUND = RoundState()


def own_key(message: SignedMessage) -> str:
    """What a validator may sign once in a round: a proposal, a pre-vote, a pre-commit, a timeout of each kind."""
    return timeout_key(message.kind) if isinstance(message, TimeoutMessage) else message.type


def timeout_key(kind: TimeoutKind) -> str:
    """`own_key` of a timeout message of this kind."""
    return f"TIMEOUT:{kind}"


@dataclass(frozen=True, slots=True)
class ConsensusState:
    """All that one node knows of one height. Begin with `ConsensusState.begin`."""

    chain_id: str
    height: int
    validators: ValidatorSet
    own_address: bytes | None
    """This validator's address; None for a node that only watches."""
    timeouts: Timeouts
    round: int = NO_ROUND
    phase: Phase = Phase.IDLE
    locked_round: int = NO_ROUND
    locked_hash: bytes | None = None
    valid_round: int = NO_ROUND
    valid_hash: bytes | None = None
    rounds: Mapping[int, RoundState] = field(default_factory=dict)
    highest_rounds: Mapping[bytes, int] = field(default_factory=dict)
    """The latest round that each other validator has sent a message of (for L55)."""
    batches: Mapping[bytes, bytes] = field(default_factory=dict)
    """Encoded batches by hash: those of the stored proposals, and the locked, the valid and the committed one."""
    fresh_verdicts: Mapping[tuple[int, bytes], bool] = field(default_factory=dict)
    """By (round, hash): is it valid, its timestamp judged by this node's clock in that round?"""
    verdicts: Mapping[bytes, bool] = field(default_factory=dict)
    """By hash: is it valid, whatever the time?"""
    validating: Mapping[tuple[int, bytes], bool] = field(default_factory=dict)
    """Verdicts that have been asked for, by (round, hash): is the clock judged?"""
    requested: frozenset[bytes] = frozenset()
    """Hashes of batches that peers have been asked for."""
    nothing_built_in: int = NO_ROUND
    """The round in which this proposer was told that there is nothing to build a batch of."""
    commit: Commit | None = None
    """The pre-commits that decide this height. The height is finished (DECIDED) when the batch is here and
    validated."""

    @classmethod
    def begin(
        cls,
        chain_id: str,
        height: int,
        validators: ValidatorSet,
        own_address: bytes | None,
        timeouts: Timeouts,
    ) -> "ConsensusState":
        """The state at the start of `height`: IDLE. An address outside of `validators` only watches, like None.

        Raises: ValueError if `chain_id` could be confused with the rest of a signing line, or `height` is negative.
        """
        if not chain_id or not chain_id.isprintable() or "|" in chain_id:
            raise ValueError(f"chain_id: must be printable text without '|', not {chain_id!r}")
        if height < 0:
            raise ValueError(f"height: must not be negative, but is {height}")
        voter = own_address if own_address is not None and own_address in validators else None
        return cls(chain_id, height, validators, voter, timeouts)

    @property
    def current(self) -> RoundState:
        """The current round."""
        return self.rounds.get(self.round, EMPTY_ROUND)

    def round_state(self, number: int) -> RoundState:
        """The round `number`, empty if nothing is known of it."""
        return self.rounds.get(number, EMPTY_ROUND)

    def tracks(self, number: int) -> bool:
        """Whether messages of the round `number` are stored."""
        here = max(self.round, 0)
        return (
            here - ROUNDS_BEHIND_MAX <= number <= here + ROUNDS_AHEAD_MAX
            or number in (self.locked_round, self.valid_round)
            or any(proposal.valid_round == number for proposal in self.current.proposals)
        )

    @property
    def is_proposer(self) -> bool:
        """Whether this node proposes in the current round."""
        return self.validators.proposer(self.height, self.round).address == self.own_address

    @property
    def step(self) -> Step:
        """Where the node is, in the ten words of the protocol. See `Step`."""
        current = self.current
        if self.phase is Phase.IDLE:
            return Step.IDLE
        if self.phase is Phase.DECIDED:
            return Step.COMMIT
        if TimeoutKind.PRE_COMMIT in current.fired:
            return Step.TIMEOUT_PRE_COMMIT
        if self.phase is Phase.PROPOSE:
            return Step.PROPOSE
        if self.phase is Phase.PRE_VOTE:
            if self._answering(TimeoutKind.PROPOSER, "PRE_VOTE"):
                return Step.TIMEOUT_PROPOSER
            return Step.PRE_VOTE_WAIT if TimeoutKind.PRE_VOTE in current.waiting else Step.PRE_VOTE
        if self._answering(TimeoutKind.PRE_VOTE, "PRE_COMMIT"):
            return Step.TIMEOUT_PRE_VOTE
        return Step.PRE_COMMIT_WAIT if TimeoutKind.PRE_COMMIT in current.waiting else Step.PRE_COMMIT

    def _answering(self, kind: TimeoutKind, vote_key: str) -> bool:
        current = self.current
        return kind in current.fired and (current.own_is_pending(vote_key) or current.own_is_pending(timeout_key(kind)))


def without_batch(proposal: ProofBatch) -> ProofBatch:
    """`proposal` as it is stored, logged and signed: the batch itself is kept once, by its hash."""
    return replace(proposal, batch=b"") if proposal.batch else proposal
