"""What a node does again: after a restart (`resume`), and every little while because messages get lost
(`own_messages`).

Restart. The driver's log is the list of the inputs of this height: appended before they are applied, and synced before
anything is signed. (An ignored input changes nothing and need not be in it.) At a restart the inputs are applied again,
their effects dropped, and then the effects of `resume(state)` are carried out. Inputs that were not synced may be lost
with the end of the log: no signature was made after them, so nobody has seen a trace of what they led to.

Repetition. The paper asks that what one honest validator has received, the others receive too. Gossip does not promise
that, and a liar can send to one node only, so a node repeats not only its own messages but also those of others that it
has acted on and without which others could be stuck:

- the pre-votes that justify its proposal of an older batch (L28): whoever lacks them cannot pre-vote for it;
- the pre-commits that ended the previous round (L47): whoever is behind needs them to follow. The honest node that came
  first into the latest round came by these, so its repeating them brings everybody else there (L55).

Everything else is either an honest validator's own message, which it repeats itself, or contained in a `Commit`.
"""

from dataclasses import replace

from consensus.effects import (
    Broadcast,
    BuildBatch,
    Effect,
    Finalise,
    RequestBatch,
    SetTimer,
    Sign,
    WriteAhead,
)
from consensus.messages import Message, ProofBatch
from consensus.progress import validation
from consensus.proposals import wanted_hashes
from consensus.state import ROUNDS_BEHIND_MAX, ConsensusState, OwnStage, Phase
from consensus.values import TimeoutKind


def resume(state: ConsensusState) -> tuple[Effect, ...]:
    """Everything that is under way in `state`, as effects: carried out, they bring the node back to where it was."""
    if state.phase is Phase.DECIDED and state.commit is not None:
        return Finalise(state.commit, state.batches[state.commit.batch_hash]), Broadcast(state.commit)
    effects: list[Effect] = []
    for _, round_state in sorted(state.rounds.items()):
        for own in round_state.own.values():
            if own.stage is OwnStage.WRITING:
                effects.append(WriteAhead(own.message))
            elif own.stage is OwnStage.SIGNING:
                effects.append(Sign(own.message))
    effects += [Broadcast(message) for message in own_messages(state)]
    effects += [SetTimer(kind, state.round, state.timeouts.duration_ms(kind, state.round)) for kind in _timers(state)]
    effects += [validation(state, number, batch_hash) for number, batch_hash in sorted(state.validating)]
    effects += [RequestBatch(batch_hash, number) for batch_hash, number in wanted_batches(state)]
    if state.phase is Phase.PROPOSE and state.is_proposer and "PROOF_BATCH" not in state.current.own:
        effects.append(BuildBatch(state.height, state.round))
    return tuple(effects)


def own_messages(state: ConsensusState) -> tuple[Message, ...]:
    """What to send again every little while until the height moves on; see the module's docstring. In a useful order.

    At most a commit; or a proposal with a quorum of pre-votes, two votes for each of ROUNDS_BEHIND_MAX + 3 rounds (the
    current one, those behind it in the window, the locked and the valid one), six timeout messages, and a quorum of
    pre-commits.
    """
    if state.phase is Phase.DECIDED and state.commit is not None:
        return (state.commit,)
    if state.phase is Phase.IDLE or state.own_address is None:
        return ()
    messages: list[Message] = []
    for number in sorted(_rounds_spoken_of(state)):
        for own in state.round_state(number).own.values():
            if own.stage is not OwnStage.SIGNED:
                continue
            if isinstance(own.message, ProofBatch):
                if number == state.round and own.message.batch_hash in state.batches:
                    messages += _with_justification(state, own.message)
            elif own.message.type != "TIMEOUT" or number >= state.round - 1:
                messages.append(own.message)
    return (*messages, *_pre_commits_of_previous_round(state))


def wanted_batches(state: ConsensusState) -> tuple[tuple[bytes, int], ...]:
    """(batch hash, round) of batches that a quorum voted for and that are missing here: ask peers again and again."""
    return tuple(sorted(wanted_hashes(state).items()))


def stored_proposal(state: ConsensusState, batch_hash: bytes) -> ProofBatch | None:
    """The latest stored proposal of a batch, with the batch: the answer to a peer's request for it. None: not here."""
    for _, round_state in sorted(state.rounds.items(), reverse=True):
        for proposal in round_state.proposals:
            if proposal.batch_hash == batch_hash and batch_hash in state.batches:
                return replace(proposal, batch=state.batches[batch_hash])
    return None


def _timers(state: ConsensusState) -> list[TimeoutKind]:
    current = state.current
    timers = [TimeoutKind.PROPOSER] if state.phase is Phase.PROPOSE else []
    if state.phase is Phase.PRE_VOTE and TimeoutKind.PRE_VOTE in current.waiting - current.fired:
        timers.append(TimeoutKind.PRE_VOTE)
    if TimeoutKind.PRE_COMMIT in current.waiting - current.fired:
        timers.append(TimeoutKind.PRE_COMMIT)
    return timers


def _rounds_spoken_of(state: ConsensusState) -> set[int]:
    near = range(max(0, state.round - ROUNDS_BEHIND_MAX), state.round + 1)
    return {number for number in (*near, state.locked_round, state.valid_round) if number >= 0}


def _with_justification(state: ConsensusState, proposal: ProofBatch) -> list[Message]:
    whole = replace(proposal, batch=state.batches[proposal.batch_hash])
    if proposal.valid_round < 0:
        return [whole]
    polka = state.round_state(proposal.valid_round).pre_votes.votes_for(proposal.batch_hash)
    return [whole, *(vote for vote in polka[: state.validators.quorum] if vote.validator != state.own_address)]


def _pre_commits_of_previous_round(state: ConsensusState) -> tuple[Message, ...]:
    pre_commits = state.round_state(state.round - 1).pre_commits
    if pre_commits.voters < state.validators.quorum:
        return ()
    others = [vote for address, vote in sorted(pre_commits.first.items()) if address != state.own_address]
    return tuple(others[: state.validators.quorum])
