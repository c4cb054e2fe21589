"""A state as entries of the log: what stands in the place of the inputs that led to it, when these have become many.

A height has no end that anybody promises, and its log must have one. So the driver may replace the inputs of a height
by a `Checkpoint` of the state that they have led to, followed by a `KeptBatch` for each batch that the state holds
(a record of the log is smaller than all of them together). `replay` gives the machine inputs and these alike.
"""

from dataclasses import field, replace
from typing import Annotated, Any, Literal, cast

from pydantic import Discriminator, Field

from consensus.inputs import INPUT_BYTES_MAX, Input
from consensus.machine import Transition, apply
from consensus.messages import (
    Batch,
    BatchHash,
    Commit,
    PreCommit,
    PreVote,
    ProofBatch,
    Round,
    SignedMessageUnion,
    TimeoutMessage,
    ValidRound,
)
from consensus.state import ConsensusState, OwnMessage, OwnStage, Phase, RoundState, VoteSet, own_key
from consensus.values import Address, TimeoutKind
from consensus.wire import UInt63, decode_union, encode, wire_type

CHECKPOINT_BYTES_MAX = 8_000_000
"""The largest encoded checkpoint. Of 140 validators who send all that is stored of them it has some 5 MB; a longer
entry of the log is refused as damaged."""

WaitKind = Annotated[TimeoutKind, Field(strict=False)]


@wire_type
class KeptOwn:
    """`OwnMessage`."""

    message: SignedMessageUnion
    stage: Annotated[OwnStage, Field(strict=False)]


@wire_type
class KeptRound:
    """`RoundState`; the votes of a kind in the order in which they were counted, contradicting ones last."""

    number: Round
    proposals: tuple[ProofBatch, ...]
    pre_votes: tuple[PreVote, ...]
    pre_commits: tuple[PreCommit, ...]
    timeouts: tuple[TimeoutMessage, ...]
    own: tuple[KeptOwn, ...]
    accused: tuple[tuple[Address, str], ...]
    waiting: tuple[WaitKind, ...]
    fired: tuple[WaitKind, ...]
    polka_used: bool


@wire_type
class Checkpoint:
    """`ConsensusState` without what `ConsensusState.begin` is given, but for the address that has voted, and without
    its batches."""

    height: UInt63
    own_address: Address | None
    round: ValidRound
    phase: Annotated[Phase, Field(strict=False)]
    locked_round: ValidRound
    locked_hash: BatchHash | None
    valid_round: ValidRound
    valid_hash: BatchHash | None
    rounds: tuple[KeptRound, ...]
    highest_rounds: tuple[tuple[Address, Round], ...]
    fresh_verdicts: tuple[tuple[Round, BatchHash, bool], ...]
    verdicts: tuple[tuple[BatchHash, bool], ...]
    validating: tuple[tuple[Round, BatchHash, bool], ...]
    requested: tuple[BatchHash, ...]
    nothing_built_in: ValidRound
    commit: Commit | None
    type: Literal["CHECKPOINT"] = field(default="CHECKPOINT", kw_only=True, repr=False)


@wire_type
class KeptBatch:
    """A batch of the checkpoint before it."""

    batch_hash: BatchHash
    batch: Batch
    type: Literal["KEPT_BATCH"] = field(default="KEPT_BATCH", kw_only=True, repr=False)


LogEntry = Input | Checkpoint | KeptBatch
LogEntryUnion = Annotated[LogEntry, Discriminator("type")]


def checkpoint_entries(state: ConsensusState) -> list[bytes]:
    """`state` as entries of the log. Raises: WireError if it cannot be written."""
    checkpoint = Checkpoint(
        height=state.height,
        own_address=state.own_address,
        round=state.round,
        phase=state.phase,
        locked_round=state.locked_round,
        locked_hash=state.locked_hash,
        valid_round=state.valid_round,
        valid_hash=state.valid_hash,
        rounds=tuple(_kept_round(number, kept) for number, kept in state.rounds.items()),
        highest_rounds=tuple(state.highest_rounds.items()),
        fresh_verdicts=tuple((*key, valid) for key, valid in state.fresh_verdicts.items()),
        verdicts=tuple(state.verdicts.items()),
        validating=tuple((*key, judges_clock) for key, judges_clock in state.validating.items()),
        requested=tuple(sorted(state.requested)),
        nothing_built_in=state.nothing_built_in,
        commit=state.commit,
    )
    return [encode(checkpoint), *(encode(KeptBatch(*item)) for item in state.batches.items())]


def decode_entry(data: bytes) -> LogEntry:
    """An entry of the log. Raises: WireError: the log is damaged or of another version."""
    bytes_max = max(CHECKPOINT_BYTES_MAX, INPUT_BYTES_MAX)
    return cast(LogEntry, decode_union(LogEntryUnion, data, bytes_max=bytes_max, structure_bytes_max=bytes_max))


def replay(state: ConsensusState, entry: LogEntry) -> Transition:
    """The transition that an entry of the log makes from `state`, at a restart."""
    match entry:
        case Checkpoint():
            return Transition(_restored(state, entry))
        case KeptBatch(batch_hash, batch):
            return Transition(replace(state, batches={**state.batches, batch_hash: batch}))
        case _:
            return apply(state, entry)


def _kept_round(number: int, kept: RoundState) -> KeptRound:
    return KeptRound(
        number=number,
        proposals=kept.proposals,
        pre_votes=(*kept.pre_votes.first.values(), *kept.pre_votes.further.values()),
        pre_commits=(*kept.pre_commits.first.values(), *kept.pre_commits.further.values()),
        timeouts=tuple(kept.timeouts.values()),
        own=tuple(KeptOwn(own.message, own.stage) for own in kept.own.values()),
        accused=tuple(sorted(kept.accused)),
        waiting=tuple(sorted(kept.waiting)),
        fired=tuple(sorted(kept.fired)),
        polka_used=kept.polka_used,
    )


def _restored(begun: ConsensusState, kept: Checkpoint) -> ConsensusState:
    return replace(
        begun,
        round=kept.round,
        phase=kept.phase,
        locked_round=kept.locked_round,
        locked_hash=kept.locked_hash,
        valid_round=kept.valid_round,
        valid_hash=kept.valid_hash,
        rounds={one.number: _restored_round(one) for one in kept.rounds},
        highest_rounds=dict(kept.highest_rounds),
        batches={},
        fresh_verdicts={(number, batch_hash): valid for number, batch_hash, valid in kept.fresh_verdicts},
        verdicts=dict(kept.verdicts),
        validating={(number, batch_hash): judges for number, batch_hash, judges in kept.validating},
        requested=frozenset(kept.requested),
        nothing_built_in=kept.nothing_built_in,
        commit=kept.commit,
    )


def _restored_round(kept: KeptRound) -> RoundState:
    return RoundState(
        proposals=kept.proposals,
        pre_votes=_counted(kept.pre_votes),
        pre_commits=_counted(kept.pre_commits),
        timeouts={(message.validator, message.kind): message for message in kept.timeouts},
        own={own_key(one.message): OwnMessage(one.message, one.stage) for one in kept.own},
        accused=frozenset(kept.accused),
        waiting=frozenset(kept.waiting),
        fired=frozenset(kept.fired),
        polka_used=kept.polka_used,
    )


def _counted(votes: tuple[Any, ...]) -> VoteSet[Any]:
    counted: VoteSet[Any] = VoteSet()
    for vote in votes:
        counted = counted.adding(vote)
    return counted
