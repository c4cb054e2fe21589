"""The rules at work: a state that is being moved on, the effects that this has so far, and the way of an own message.

A `Progress` lives for one call of `apply`. It is the one mutable thing in the package and never leaves it.
"""

from dataclasses import replace
from typing import Any

from consensus.effects import Broadcast, Effect, RequestBatch, Sign, ValidateBatch, WriteAhead
from consensus.messages import ProofBatch, SignedMessage
from consensus.state import ConsensusState, OwnMessage, OwnStage, own_key


class ConsensusFault(RuntimeError):
    """More than f validators are faulty, or this node is: what must never happen has happened. The node must stop.

    Two different batches are committed at one height, or a quorum has committed a batch that this node finds invalid.
    """


class Progress:
    """A state on its way from an input to a transition."""

    __slots__ = ("effects", "later_round_seen", "state")

    def __init__(self, state: ConsensusState) -> None:
        self.state = state
        self.effects: list[Effect] = []
        self.later_round_seen = False

    def emit(self, effect: Effect) -> None:
        """Hand out `effect`, after those before."""
        self.effects.append(effect)

    def update(self, **changes: Any) -> None:
        """Replace fields of the state."""
        self.state = replace(self.state, **changes)

    def update_round(self, number: int, **changes: Any) -> None:
        """Replace fields of the round `number`."""
        state = self.state
        changed = replace(state.round_state(number), **changes)
        self.state = replace(state, rounds={**state.rounds, number: changed})

    def intend(self, message: SignedMessage) -> None:
        """Start an own message on its way. What was intended once for its round and kind stays: no second one.

        A node that only watches intends nothing.
        """
        state = self.state
        round_state = state.round_state(message.round)
        key = own_key(message)
        if state.own_address is None or key in round_state.own:
            return
        self.update_round(message.round, own={**round_state.own, key: OwnMessage(message)})
        self.emit(WriteAhead(message))

    def log_written(self, entry: SignedMessage) -> bool:
        """The second step: the intention is on disk. False if it was not waiting for that."""
        own = self._own(entry)
        if own is None or own.stage is not OwnStage.WRITING or own.message != entry:
            return False
        self._set_own(replace(own, stage=OwnStage.SIGNING))
        self.emit(Sign(entry))
        return True

    def signed(self, message: SignedMessage) -> bool:
        """The third step: the signature is here. False if it was not waited for."""
        own = self._own(message)
        if own is None or own.stage is not OwnStage.SIGNING or not message.signature:
            return False
        if own.message != replace(message, signature=b""):
            return False
        self._set_own(OwnMessage(message, OwnStage.SIGNED))
        self.emit(Broadcast(self.with_batch(message)))
        return True

    def with_batch(self, message: SignedMessage) -> SignedMessage:
        """`message` as it is sent: a proposal with its batch."""
        if isinstance(message, ProofBatch):
            return replace(message, batch=self.state.batches[message.batch_hash])
        return message

    def verdict(self, round_number: int, batch_hash: bytes, *, judge_clock: bool) -> bool | None:
        """The paper's valid(v) for a batch that a rule of this round needs. None: asked for, and not known yet.

        The clock is judged for a fresh proposal only, and that verdict counts for that round only: a batch refused here
        because of its timestamp can have been accepted by a quorum, and must then be accepted here (L28, L36, L49).
        """
        state = self.state
        known = state.verdicts.get(batch_hash)
        if judge_clock and known is not False:
            known = state.fresh_verdicts.get((round_number, batch_hash))
        if known is not None:
            return known
        batch = state.batches.get(batch_hash)
        if batch is None:
            self.request(round_number, batch_hash)
            return None
        # One question at a time for a round and hash, so that an answer can only be to that question.
        asked = (round_number, batch_hash) in state.validating or (
            not judge_clock and any(key[1] == batch_hash and not clock for key, clock in state.validating.items())
        )
        if not asked:
            self.update(validating={**state.validating, (round_number, batch_hash): judge_clock})
            self.emit(validation(self.state, round_number, batch_hash))
        return None

    def request(self, round_number: int, batch_hash: bytes) -> None:
        """Have peers asked for a batch, once."""
        if batch_hash not in self.state.requested:
            self.update(requested=self.state.requested | {batch_hash})
            self.emit(RequestBatch(batch_hash, round_number))

    def _own(self, message: SignedMessage) -> OwnMessage | None:
        return self.state.round_state(message.round).own.get(own_key(message))

    def _set_own(self, own: OwnMessage) -> None:
        number = own.message.round
        self.update_round(number, own={**self.state.round_state(number).own, own_key(own.message): own})


def validation(state: ConsensusState, round_number: int, batch_hash: bytes) -> ValidateBatch:
    """The question that `state.validating` has under (round_number, batch_hash)."""
    valid_rounds = [
        proposal.valid_round
        for proposal in state.round_state(round_number).proposals
        if proposal.batch_hash == batch_hash
    ]
    return ValidateBatch(
        round=round_number,
        valid_round=max(valid_rounds, default=-1),
        batch_hash=batch_hash,
        batch=state.batches[batch_hash],
        judge_clock=state.validating[round_number, batch_hash],
    )
