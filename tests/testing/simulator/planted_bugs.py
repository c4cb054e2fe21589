"""Bugs to plant in the shipped code, one at a time, to see whether the simulator can fail.

`python -m tests.testing.simulator.planted_bugs` looks for each and prints the table of docs/simulator.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from consensus import machine, proposals, rounds, votes
from consensus.checkpoint import LogEntry, checkpoint_entries, replay
from consensus.messages import PreCommit, PreVote
from consensus.progress import Progress
from consensus.reasons import Ignored
from consensus.state import ConsensusState, Phase, VoteSet
from consensus.values import Validator, ValidatorSet
from p2p.network import Fault
from step_node.batch.batch import BatchHeader
from step_node.chain import chain as chain_module
from step_node.chain import judging
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.clock import Clock
from step_node.durable.record_log import RecordLog
from step_node.engine import wal as wal_module
from step_node.engine.accuser import Accuser
from step_node.engine.machine_runner import MachineRunner
from step_node.engine.own_key import OwnKey
from step_node.engine.wal import WriteAheadLog
from step_node.ledger import evidence as evidence_module
from step_node.ledger import execution, state_gates
from step_node.ledger.offences import Offence, Slashing
from step_node.ledger.validators import ValidatorSheet
from step_node.mempool.admission import Admission
from step_node.mempool.journal import DroppedProof
from step_node.mempool.settlement import Settlement
from step_node.network import consensus_judge
from step_node.network import sync as sync_module
from step_node.node.assembly import assemble
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.signing.guard import SigningGuard
from step_node.testing.simulator import host as host_module
from step_node.testing.simulator.campaign import quiet
from step_node.testing.simulator.settings import OPERATORS_ACTS, FaultKind, SimulationSettings
from step_node.testing.simulator.world import History, simulate_seed
from tests.testing.simulator import planted_signing_bugs as signing
from tests.testing.simulator import planted_upgrade_bugs as upgrades

SEEDS_MAX = 1_000
"""A bug that so many seeds do not find counts as not found."""

WITHOUT_OPERATORS = SimulationSettings(
    faults=frozenset(FaultKind) - OPERATORS_ACTS - {FaultKind.RELAY}, acts=frozenset()
)
ONLY_RESTORING = SimulationSettings(faults=frozenset(), acts=frozenset({FaultKind.RESTORE}))
ONLY_COPYING = SimulationSettings(faults=frozenset(), acts=frozenset({FaultKind.COPY}))
ONLY_UPGRADING = SimulationSettings(faults=frozenset(), acts=frozenset({FaultKind.UPGRADE}))
ONLY_ROTATING = SimulationSettings(faults=frozenset(), acts=frozenset({FaultKind.ROTATION}))
ONLY_SETTING_A_CLOCK = SimulationSettings(validators=1, faults=frozenset(), acts=frozenset({FaultKind.CLOCK_STEP}))
LOSING_LOGS = SimulationSettings(faults=frozenset({FaultKind.PLOT, FaultKind.LOST_LOG, FaultKind.BYZANTINE}))
"""Logs are lost, at the worst moments too."""
COMPACTING = SimulationSettings(
    faults=frozenset({FaultKind.PLOT, FaultKind.CRASH, FaultKind.BYZANTINE}),
    acts=frozenset(),
    log_compacted_at_bytes=2_000,
)
"""Each height's log is compacted many times."""
APART = SimulationSettings(
    faults=frozenset(
        {
            FaultKind.PARTITION,
            FaultKind.RELAY,
            FaultKind.DELAY,
            FaultKind.DUPLICATION,
            FaultKind.MEMBERSHIP,
            FaultKind.ROTATION,
        }
    )
)
"""Honest nodes whose heights differ, and nobody else: where one of them is charged."""

Plant = Callable[[], Sequence[AbstractContextManager[Any]]]


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """One bug: `plant` gives the patches that make it."""

    name: str
    plant: Plant = field(repr=False)
    found_by: int
    """How many seeds it took, from seed 0 on, when it was last looked for; moves when simulator or node change."""
    settings: SimulationSettings = field(default=WITHOUT_OPERATORS, repr=False)
    """Where it is looked for: under all faults, with nothing done by operators, or with what it needs."""


def find(bug: PlantedBug, seeds: Sequence[int], settings: SimulationSettings | None = None) -> History | None:
    """The first history of `seeds` that shows the bug, or None."""
    settings = settings or bug.settings
    with ExitStack() as stack:
        stack.enter_context(quiet())
        for one in bug.plant():
            stack.enter_context(one)
        for seed in seeds:
            history = simulate_seed(seed, settings)
            if history.violations or history.stuck:
                return history
    return None


# --- locks --------------------------------------------------------------------------------------------------------


def unlock_on_nil_polka() -> Sequence[AbstractContextManager[Any]]:
    original = votes.pre_commit_nil

    def pre_commit_nil(progress: Progress) -> None:
        state = progress.state
        if state.phase is Phase.PRE_VOTE and state.current.pre_votes.tally(None) >= state.validators.quorum:
            progress.update(locked_hash=None, locked_round=-1)
        original(progress)

    return [patch.object(machine, "pre_commit_nil", pre_commit_nil)]


def no_lock_at_all() -> Sequence[AbstractContextManager[Any]]:
    original = proposals.pre_vote_on_proposal

    def pre_vote_on_proposal(progress: Progress) -> None:
        progress.update(locked_hash=None, locked_round=-1)
        original(progress)

    def only_if_proposing(progress: Progress) -> None:
        if progress.state.phase is Phase.PROPOSE and progress.state.locked_hash is not None:
            pre_vote_on_proposal(progress)
        else:
            original(progress)

    return [patch.object(machine, "pre_vote_on_proposal", only_if_proposing)]


def unlock_on_a_new_round() -> Sequence[AbstractContextManager[Any]]:
    original = rounds.start_round

    def start_round(progress: Progress, number: int) -> None:
        progress.update(locked_hash=None, locked_round=-1)
        original(progress, number)

    return [patch.object(module, "start_round", start_round) for module in (rounds, machine)]


def old_batch_without_its_polka() -> Sequence[AbstractContextManager[Any]]:
    """L28: whoever claims a valid round is believed."""

    def pre_vote_on_proposal(progress: Progress) -> None:
        state = progress.state
        if state.phase is not Phase.PROPOSE or not state.current.proposals:
            return
        proposal = state.current.proposals[0]
        if proposal.valid_round < 0 or state.locked_round > proposal.valid_round:
            proposals.pre_vote_on_proposal(progress)
            return
        valid = progress.verdict(state.round, proposal.batch_hash, judge_clock=False)
        if valid is not None:
            proposals.cast_pre_vote(progress, proposal.batch_hash if valid else None)

    return [patch.object(machine, "pre_vote_on_proposal", pre_vote_on_proposal)]


def lock_not_restored() -> Sequence[AbstractContextManager[Any]]:
    original = MachineRunner.resume

    async def resume(self: MachineRunner) -> None:
        replayed, self._replayed = self._replayed, []
        for item in replayed:
            self.state = replay(self.state, item).state
        self.state = replace(self.state, locked_hash=None, locked_round=-1, valid_hash=None, valid_round=-1)
        await original(self)

    return [patch.object(MachineRunner, "resume", resume)]


# --- counting -----------------------------------------------------------------------------------------------------


def quorum_one_too_small() -> Sequence[AbstractContextManager[Any]]:
    original = ValidatorSet.__post_init__

    def post_init(self: ValidatorSet) -> None:
        original(self)
        object.__setattr__(self, "quorum", self.quorum - 1)

    return [patch.object(ValidatorSet, "__post_init__", post_init)]


def repeated_votes_counted() -> Sequence[AbstractContextManager[Any]]:
    original = votes.receive_vote

    def receive_vote(progress: Progress, vote: PreVote | PreCommit) -> Ignored | None:
        reason = original(progress, vote)
        if reason is Ignored.DUPLICATE and vote.batch_hash is not None:
            state = progress.state
            kept = state.round_state(vote.round)
            name = "pre_votes" if isinstance(vote, PreVote) else "pre_commits"
            counted: VoteSet[Any] = getattr(kept, name)
            tallies = {**counted.tallies, vote.batch_hash: counted.tally(vote.batch_hash) + 1}
            progress.update_round(vote.round, **{name: VoteSet(counted.first, counted.further, tallies)})
            return None
        return reason

    return [patch.object(machine, "receive_vote", receive_vote)]


def stale_votes_counted() -> Sequence[AbstractContextManager[Any]]:
    """A vote of an earlier round counts in the present one."""
    original = votes.receive_vote

    def receive_vote(progress: Progress, vote: PreVote | PreCommit) -> Ignored | None:
        state = progress.state
        if 0 <= vote.round < state.round and vote.validator != state.own_address:
            vote = replace(vote, round=state.round)
        return original(progress, vote)

    return [patch.object(machine, "receive_vote", receive_vote)]


def proposer_not_checked() -> Sequence[AbstractContextManager[Any]]:
    def check(header: BatchHeader, *, validators: ValidatorSet, **others: Any) -> None:
        expected = validators.proposer(header.height, header.round).address
        check_header(replace(header, proposer=expected), validators=validators, **others)

    check_header = judging.check_header
    anybody = proposals.receive_proposal

    def receive_proposal(progress: Progress, proposal: Any) -> Ignored | None:
        with patch.object(ValidatorSet, "proposer", lambda *_: Validator(proposal.proposer, bytes(33), 0)):
            return anybody(progress, proposal)

    def take_in_message(progress: Progress, message: Any) -> Ignored | None:
        if message.type == "PROOF_BATCH":
            with patch.object(ValidatorSet, "proposer", lambda *_: Validator(message.proposer, bytes(33), 0)):
                return take_in(progress, message)
        return take_in(progress, message)

    take_in = machine._take_in_message
    return [
        patch.object(chain_module, "check_header", check),
        patch.object(machine, "receive_proposal", receive_proposal),
        patch.object(machine, "_take_in_message", take_in_message),
    ]


# --- disks --------------------------------------------------------------------------------------------------------


def signed_before_the_log_is_synced() -> Sequence[AbstractContextManager[Any]]:
    return [patch.object(WriteAheadLog, "sync", lambda _self: None)]


def compaction_forgets_the_lock() -> Sequence[AbstractContextManager[Any]]:
    """With the second memory of it away, the proof of lock, which would make up for it at the restart."""

    def forgetful(state: ConsensusState) -> list[bytes]:
        return checkpoint_entries(replace(state, locked_hash=None, locked_round=-1, valid_hash=None, valid_round=-1))

    async def nothing_recovered(_self: OwnKey, _state: ConsensusState) -> None:
        return None

    return [
        patch.object(wal_module, "checkpoint_entries", forgetful),
        patch.object(OwnKey, "recovered", nothing_recovered),
    ]


def fsync_forgotten() -> Sequence[AbstractContextManager[Any]]:
    """Records are written, and not synced: of both logs."""
    original = RecordLog.sync

    def sync(self: RecordLog) -> None:
        file = self._file
        assert file is not None
        with patch.object(type(file), "sync", lambda _self: None):
            original(self)

    return [patch.object(RecordLog, "sync", sync)]


def guard_off_and_log_lost() -> Sequence[AbstractContextManager[Any]]:
    original = WriteAheadLog.open

    def lose(*args: Any, **kwargs: Any) -> tuple[WriteAheadLog, list[LogEntry]]:
        log, _ = original(*args, **kwargs)
        log.begin(log._height)
        return log, []

    return [
        patch.object(SigningGuard, "authorise", lambda *_: None),
        patch.object(WriteAheadLog, "open", lose),
        # Without a history every own message looks like somebody else's.
        patch("step_node.engine.doppelganger.DoppelgangerWatch.hear", lambda *_: None),
    ]


def answered_before_the_journal() -> Sequence[AbstractContextManager[Any]]:
    async def promise(_self: Admission, _proofs: object) -> None:
        return

    return [patch.object(Admission, "_promise", promise)]


# --- batches and the ledger -----------------------------------------------------------------------------------------


def nonce_not_checked() -> Sequence[AbstractContextManager[Any]]:
    return [patch.object(state_gates, "_check_nonce", lambda *_: None)]


def proofs_of_a_batch_not_verified() -> Sequence[AbstractContextManager[Any]]:
    def all_are_good(proofs: Sequence[object], _parameters: object) -> list[None]:
        return [None] * len(proofs)

    async def verify(proofs: Sequence[object], parameters: object) -> list[None]:
        return all_are_good(proofs, parameters)

    # Many at once go to threads, a few do not.
    return [
        patch.object(chain_module, "verify_on_threads", verify),
        patch.object(chain_module, "check_stateless_many", all_are_good),
    ]


def synced_commit_not_checked() -> Sequence[AbstractContextManager[Any]]:
    original = sync_module.Sync._apply

    async def apply(self: sync_module.Sync, *args: Any) -> None:
        with patch.object(Chain, "check_commit", lambda *_, **__: None):
            await original(self, *args)

    return [patch.object(sync_module.Sync, "_apply", apply)]


def accepted_proofs_dropped() -> Sequence[AbstractContextManager[Any]]:
    original = Settlement.after_batch

    async def after_batch(self: Settlement, judged: JudgedBatch) -> None:
        await original(self, judged)
        refusal = Refusal(RefusalCode.RATE_LIMITED, "for no reason")
        ids = [proof.proof_id for proof in self._mempool.older_than(2**60)][1:]
        await self._drop([DroppedProof(proof_id, refusal) for proof_id in ids], [])

    return [patch.object(Settlement, "after_batch", after_batch)]


def rewards_from_nowhere() -> Sequence[AbstractContextManager[Any]]:
    """The check in the ledger is off as well, or it would stop the node at once."""
    original = execution.LedgerExecution.mint

    def mint(self: execution.LedgerExecution, address: bytes, amount_ustep: int) -> None:
        original(self, address, amount_ustep)
        self._minted_ustep -= amount_ustep

    return [
        patch.object(execution.LedgerExecution, "mint", mint),
        patch.object(execution, "check_conservation", lambda _chain: None),
    ]


def pre_commit_without_a_polka() -> Sequence[AbstractContextManager[Any]]:
    """One vote less than a quorum is enough to lock and pre-commit."""

    def lock_on_polka(progress: Progress) -> None:
        validators = progress.state.validators
        quorum = validators.quorum
        object.__setattr__(validators, "quorum", validators.faults_max + 1)
        try:
            votes.lock_on_polka(progress)
        finally:
            object.__setattr__(validators, "quorum", quorum)

    return [patch.object(machine, "lock_on_polka", lock_on_polka)]


# --- evidence -----------------------------------------------------------------------------------------------------


def evidence_not_verified() -> Sequence[AbstractContextManager[Any]]:
    """Whoever is named in a contradiction is guilty; the signatures are not looked at."""
    return [patch.object(evidence_module, "verify_contradiction", lambda evidence, **_: evidence.first.signer)]


def slashed_twice() -> Sequence[AbstractContextManager[Any]]:
    """That an offence is punished already is not looked at."""
    original = ValidatorSheet.try_offence

    def try_offence(self: ValidatorSheet, offence: Offence) -> Slashing | str:
        record = self._records.get(offence.accused)
        if record is None:
            return original(self, offence)
        self._records[offence.accused] = replace(record, slashed_at_height=0)
        slashing = original(self, offence)
        if isinstance(slashing, str):
            self._records[offence.accused] = record
        return slashing

    return [patch.object(ValidatorSheet, "try_offence", try_offence)]


def offence_never_reported() -> Sequence[AbstractContextManager[Any]]:
    async def accuse(_self: Accuser, _evidence: object) -> None:
        return

    return [
        patch.object(Accuser, "accuse", accuse),
        patch.object(Chain, "late_contradiction", lambda *_: None),
    ]


# --- operators and clocks -----------------------------------------------------------------------------------------


def duration_by_wall_clock() -> Sequence[AbstractContextManager[Any]]:
    """H13: how long a proof has waited is measured by a clock that is set now and then."""
    original = assemble

    async def assemble_wrongly(*args: Any, clock: Clock, **kwargs: Any) -> Any:
        parts = await original(*args, clock=clock, **kwargs)
        parts.mempool._monotonic_ms = clock.now_ms
        return parts

    return [patch.object(host_module, "assemble", assemble_wrongly)]


def batch_time_checked_loosely() -> Sequence[AbstractContextManager[Any]]:
    """M2: a fresh batch may lie as far ahead of a voter's clock as a client's proof may."""
    original = judging.check_freshness

    def check_freshness(*args: Any, parameters: Any, **kwargs: Any) -> None:
        looser = parameters.model_copy(update={"batch_ahead_ms": parameters.clock_drift_ms})
        original(*args, parameters=looser, **kwargs)

    return [patch.object(chain_module, "check_freshness", check_freshness)]


def ban_by_height() -> Sequence[AbstractContextManager[Any]]:
    """P1: what is over here costs whoever says it points; but an honest node says it that stands elsewhere."""
    original = consensus_judge.ConsensusJudge._judge_signed

    def judge_signed(self: consensus_judge.ConsensusJudge, message: Any) -> Any:
        try:
            return original(self, message)
        except consensus_judge.Refused as error:
            if error.fault is Fault.STALE:
                raise consensus_judge.Refused(Fault.INVALID_DATA, str(error)) from error
            raise

    return [patch.object(consensus_judge.ConsensusJudge, "_judge_signed", judge_signed)]


BUGS = (
    PlantedBug("unlock on a nil polka", unlock_on_nil_polka, 1),
    PlantedBug("no lock at all", no_lock_at_all, 1),
    PlantedBug("the lock ends with its round", unlock_on_a_new_round, 1),
    PlantedBug("an older batch is accepted without its polka (L28)", old_batch_without_its_polka, 2),
    PlantedBug("the lock is not restored at a restart", lock_not_restored, 11),
    PlantedBug("f + 1 pre-votes are taken for a polka", pre_commit_without_a_polka, 18),
    PlantedBug("the quorum is one too small", quorum_one_too_small, 1),
    PlantedBug("a repeated vote is counted again", repeated_votes_counted, 2),
    PlantedBug("votes of an earlier round are counted", stale_votes_counted, 1),
    PlantedBug("the proposer is not checked", proposer_not_checked, 7),
    PlantedBug("votes are sent before the log is synced", signed_before_the_log_is_synced, 1),
    PlantedBug("fsync is forgotten", fsync_forgotten, 1),
    PlantedBug("the double-sign guard is off, and the log is lost", guard_off_and_log_lost, 1),
    PlantedBug("clients are answered before the journal is written", answered_before_the_journal, 1),
    PlantedBug("nonces are not checked in a batch", nonce_not_checked, 2),
    PlantedBug("proofs of a batch are not verified", proofs_of_a_batch_not_verified, 72),
    PlantedBug("the commit of a synced batch is not checked", synced_commit_not_checked, 20),
    PlantedBug("settling drops accepted proofs", accepted_proofs_dropped, 1),
    PlantedBug("validators' rewards are minted from nowhere", rewards_from_nowhere, 1),
    PlantedBug("evidence is not verified", evidence_not_verified, 2),
    PlantedBug("a slash is applied twice", slashed_twice, 2),
    PlantedBug("an offence is never reported", offence_never_reported, 20),
    PlantedBug("a liar may stamp its batches far ahead (M2)", batch_time_checked_loosely, 21),
    PlantedBug("a validator signs while it is behind", signing.signs_while_behind, 10),
    PlantedBug("a refusal of the guard waits for ever", signing.refusal_that_waits_for_ever, 8),
    PlantedBug("the lock is lost with the log", signing.lock_forgotten_with_the_log, 14, LOSING_LOGS),
    PlantedBug("the proof of lock is not kept", signing.proof_of_lock_not_kept, 34, LOSING_LOGS),
    PlantedBug("compaction of the log forgets the lock (H11)", compaction_forgets_the_lock, 4, COMPACTING),
    PlantedBug("a home takes another key's history", signing.takes_another_keys_history, 1, ONLY_RESTORING),
    PlantedBug("the watch for a second process is deaf", signing.deaf_watch, 2, ONLY_COPYING),
    PlantedBug("a duration is measured by the wall clock (H13)", duration_by_wall_clock, 2, ONLY_SETTING_A_CLOCK),
    PlantedBug("a ban depends on the height (P1)", ban_by_height, 6, APART),
    PlantedBug("a node changes its rules a height early", upgrades.a_node_changes_rules_early, 1, ONLY_UPGRADING),
    PlantedBug("a node changes its rules a height late", upgrades.a_node_changes_rules_late, 1, ONLY_UPGRADING),
    PlantedBug("all nodes change their rules a height late", upgrades.all_change_rules_late, 1, ONLY_UPGRADING),
    PlantedBug(
        "a node goes on under rules that it does not know", upgrades.goes_on_under_unknown_rules, 1, ONLY_UPGRADING
    ),
    PlantedBug("the next key is not taken by a node that runs", upgrades.next_key_not_taken, 2, ONLY_ROTATING),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    for bug in BUGS:
        if arguments.only not in bug.name:
            continue
        started = time.monotonic()
        history = find(bug, range(arguments.seeds))
        found = "not found" if history is None else f"{history.seed + 1}"
        why = "" if history is None else str(history.violations[0].promise if history.violations else history.stuck)
        sys.stdout.write(f"| {bug.name} | {found} | {why} | {time.monotonic() - started:.0f} s |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
