"""Proposals: building one's own, taking in those of others, and the pre-vote that answers them (paper, L11 to L33)."""

from consensus.effects import BuildBatch, ReportEvidence
from consensus.evidence import contradiction
from consensus.inputs import BatchBuilt, BatchNotBuilt, BatchValidated
from consensus.messages import PreVote, ProofBatch
from consensus.progress import Progress
from consensus.reasons import Ignored
from consensus.state import NO_ROUND, PROPOSALS_MAX, ConsensusState, Phase, without_batch


def propose(progress: Progress, batch_hash: bytes, valid_round: int) -> None:
    """L19: propose a batch, whose bytes are in the state, in the current round."""
    state = progress.state
    if state.own_address is not None:
        progress.intend(
            ProofBatch(state.height, state.round, valid_round, batch_hash, batch=b"", proposer=state.own_address)
        )


def batch_built(progress: Progress, built: BatchBuilt) -> Ignored | None:
    """L18: getValue() has returned. The own batch needs no verdict of its own."""
    state = progress.state
    if built.round != state.round or state.phase is not Phase.PROPOSE or not state.is_proposer:
        return Ignored.LATE_BATCH
    if "PROOF_BATCH" in state.current.own:
        return Ignored.DUPLICATE
    progress.update(
        batches={**state.batches, built.batch_hash: built.batch},
        verdicts={**state.verdicts, built.batch_hash: True},
        fresh_verdicts={**state.fresh_verdicts, (built.round, built.batch_hash): True},
    )
    propose(progress, built.batch_hash, NO_ROUND)
    return None


def batch_not_built(progress: Progress, answer: BatchNotBuilt) -> Ignored | None:
    """L18: there was nothing to propose. The propose timer runs; `build_again` when there is work after all."""
    state = progress.state
    if answer.round != state.round or state.phase is not Phase.PROPOSE or "PROOF_BATCH" in state.current.own:
        return Ignored.LATE_BATCH
    progress.update(nothing_built_in=state.round)
    return None


def build_again(progress: Progress) -> Ignored | None:
    """L18, once more: a proposer that had nothing to propose in this round hears of work while it still can."""
    state = progress.state
    if state.phase is not Phase.PROPOSE or state.nothing_built_in != state.round:
        return Ignored.ALREADY_STARTED
    progress.update(nothing_built_in=NO_ROUND)
    progress.emit(BuildBatch(state.height, state.round))
    return None


def batch_validated(progress: Progress, answer: BatchValidated) -> Ignored | None:
    """A verdict that was asked for. Valid with the clock is also valid without it; invalid with it says nothing
    more."""
    state = progress.state
    key = (answer.round, answer.batch_hash)
    if key not in state.validating:
        return Ignored.UNEXPECTED
    judge_clock = state.validating[key]
    progress.update(validating={asked: clock for asked, clock in state.validating.items() if asked != key})
    if judge_clock:
        progress.update(fresh_verdicts={**state.fresh_verdicts, key: answer.valid})
    if answer.valid or not judge_clock:
        progress.update(verdicts={**state.verdicts, answer.batch_hash: answer.valid})
    return None


def receive_proposal(progress: Progress, proposal: ProofBatch) -> Ignored | None:
    """Store a proposal of the validator whose turn it is. A second one that differs is evidence against it."""
    if proposal.valid_round >= proposal.round:
        return Ignored.VALID_ROUND_TOO_LATE
    state = progress.state
    if state.validators.proposer(state.height, proposal.round).address != proposal.proposer:
        return Ignored.NOT_THE_PROPOSER
    batch_hash = proposal.batch_hash
    if proposal.batch and batch_hash not in state.batches and is_wanted(state, batch_hash):
        # Asked for by hash: which round it was proposed in does not matter.
        progress.update(batches={**state.batches, batch_hash: proposal.batch})
        state = progress.state
    if not state.tracks(proposal.round):
        return Ignored.ROUND_NOT_TRACKED
    if not proposal.batch and batch_hash not in state.batches:
        return Ignored.NO_BATCH
    stored = state.round_state(proposal.round).proposals
    stripped = without_batch(proposal)
    if any(_says_the_same(stripped, other) for other in stored):
        return Ignored.DUPLICATE
    if stored:
        _accuse(progress, stored[0], stripped)
    if len(stored) >= PROPOSALS_MAX:
        return Ignored.TOO_MANY_PROPOSALS
    batches = state.batches if batch_hash in state.batches else {**state.batches, batch_hash: proposal.batch}
    progress.update(batches=batches)
    progress.update_round(proposal.round, proposals=(*stored, stripped))
    return None


def record_own_proposal(progress: Progress, proposal: ProofBatch) -> None:
    """The own proposal is signed: from here on it is like any other."""
    stored = progress.state.round_state(proposal.round).proposals
    progress.update_round(proposal.round, proposals=(*stored, without_batch(proposal)))


def pre_vote_on_proposal(progress: Progress) -> None:
    """L22 and L28: answer the round's first proposal with a pre-vote."""
    state = progress.state
    if state.phase is not Phase.PROPOSE or not state.current.proposals:
        return
    proposal = state.current.proposals[0]
    batch_hash, valid_round = proposal.batch_hash, proposal.valid_round
    locked_on_it = state.locked_hash == batch_hash
    if valid_round == NO_ROUND:  # L22
        # A lock on this very batch means that its quorum of pre-votes was seen: its time is not judged again.
        may_accept, judge_clock = state.locked_round == NO_ROUND or locked_on_it, not locked_on_it
    elif state.round_state(valid_round).pre_votes.tally(batch_hash) >= state.validators.quorum:  # L28
        may_accept, judge_clock = state.locked_round <= valid_round or locked_on_it, False
    else:
        return
    if not may_accept:
        cast_pre_vote(progress, None)  # L26, L32
        return
    valid = progress.verdict(state.round, batch_hash, judge_clock=judge_clock)
    if valid is not None:
        cast_pre_vote(progress, batch_hash if valid else None)  # L24, L26, L30, L32


def cast_pre_vote(progress: Progress, batch_hash: bytes | None) -> None:
    """L27, L33, L60: the pre-vote of the current round, and step := prevote."""
    state = progress.state
    progress.update(phase=Phase.PRE_VOTE)
    if state.own_address is not None:
        progress.intend(PreVote(state.height, state.round, batch_hash, state.own_address))


def is_wanted(state: ConsensusState, batch_hash: bytes) -> bool:
    """Whether a rule waits for the batch with this hash, which a quorum has voted for."""
    return batch_hash in wanted_hashes(state)


def wanted_hashes(state: ConsensusState) -> dict[bytes, int]:
    """Batches that a quorum has voted for and that are not here, each with the round of that quorum."""
    quorum = state.validators.quorum
    wanted: dict[bytes, int] = {}
    if state.phase is not Phase.DECIDED:
        polka = state.current.pre_votes.hash_with(quorum)
        if polka is not None:
            wanted[polka] = state.round
        if state.locked_hash is not None:
            # Of a lock that was recovered; every other came with its batch.
            wanted[state.locked_hash] = state.locked_round
        if state.commit is not None:
            wanted[state.commit.batch_hash] = state.commit.round
    return {batch_hash: number for batch_hash, number in wanted.items() if batch_hash not in state.batches}


def _says_the_same(one: ProofBatch, other: ProofBatch) -> bool:
    return (one.batch_hash, one.valid_round) == (other.batch_hash, other.valid_round)


def _accuse(progress: Progress, stored: ProofBatch, other: ProofBatch) -> None:
    accused = progress.state.round_state(other.round).accused
    key = (other.proposer, other.type)
    if key not in accused:
        progress.update_round(other.round, accused=accused | {key})
        progress.emit(ReportEvidence(contradiction(stored, other)))
