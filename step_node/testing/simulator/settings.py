"""What may go wrong in a run, by name, and how often it does: rates are drawn for each seed anew.

Each seed takes only some of the faults that are allowed, at its own rates ("swarm testing", Groce and others, ISSTA
2012): a history in which everything always fails never gets anywhere interesting.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from step_node.engine.wal import COMPACTED_AT_BYTES


class FaultKind(StrEnum):
    """A kind of fault that `--faults` names."""

    LOSS = "loss"
    DUPLICATION = "duplication"
    REORDERING = "reordering"
    DELAY = "delay"
    PARTITION = "partition"
    ONE_WAY = "one-way"
    CRASH = "crash"
    CLOCK = "clock"
    SLOW_DISK = "slow-disk"
    FULL_DISK = "full-disk"
    LOST_LOG = "lost-log"
    """Any number of nodes, all of them too, lose their consensus log at a restart."""
    PLOT = "plot"
    """A directed schedule: links cut at the moments at which locks are taken and batches decided."""
    RELAY = "relay"
    """Nodes pass on what they have taken in, as libp2p has them do: no fault, and yet somebody has to answer for it."""
    BYZANTINE = "byzantine"

    # What operators do; see `operators.py`.
    MEMBERSHIP = "membership"
    """Newcomers register; validators leave, and withdraw their stake."""
    ROTATION = "rotation"
    """Hot keys are replaced, early or late."""
    ABSENCE = "absence"
    """A validator is away until it is jailed, and comes back."""
    REBUILD = "rebuild"
    """A store is moved away, and the consensus log with it."""
    JOIN = "join"
    """Observers begin with an empty home, and join from a snapshot where there is one."""
    RESTORE = "restore"
    """A machine is lost; keys, and perhaps the signing history, are put into a new home, or into another's old one."""
    OLD_HISTORY = "old-history"
    """A signing history is put back that is older than what the chain shows."""
    COPY = "copy"
    """A whole home is copied, and started beside the original: no procedure, but a mistake that must be noticed."""
    CLOCK_STEP = "clock-step"
    """One clock, or all of them, is set forward or back by up to a minute."""
    UPGRADE = "upgrade"
    """All nodes begin with an older release; the validators agree on rules that it does not know."""


OPERATORS_ACTS = frozenset(
    {
        FaultKind.MEMBERSHIP,
        FaultKind.ROTATION,
        FaultKind.ABSENCE,
        FaultKind.REBUILD,
        FaultKind.JOIN,
        FaultKind.RESTORE,
        FaultKind.OLD_HISTORY,
        FaultKind.COPY,
        FaultKind.CLOCK_STEP,
        FaultKind.UPGRADE,
    }
)
"""Those in which operators do something with their nodes."""


class Tactic(StrEnum):
    """What a Byzantine validator does. It has some of these, as the seed says."""

    EQUIVOCATE = "equivocate"
    """Propose different batches to different peers."""
    DOUBLE_VOTE = "double-vote"
    """Vote for everything at once, or for one thing here and another there."""
    COMPLETE = "complete"
    """Wait until one vote is missing for a quorum, and give it, whatever for; to everybody or to some."""
    AMNESIA = "amnesia"
    """Forget the lock."""
    WITHHOLD = "withhold"
    """Show its batches to a few only, and give nobody what he misses."""
    INVALID = "invalid"
    """Propose batches with one thing wrong: a bad proof, a proof twice, a wrong root."""
    FALSE_ROUND = "false-round"
    """Claim a quorum of pre-votes that never was."""
    USURP = "usurp"
    """Propose when it is another's turn."""
    REPLAY = "replay"
    """Say again what anybody said long ago."""
    FLOOD = "flood"
    """Send much, and garbage."""
    FORGE = "forge"
    """Serve altered batches to those who catch up."""
    FRAME = "frame"
    """Accuse honest validators with evidence that it has made up, in gossip and in its batches."""
    SILENT = "silent"
    """Say nothing of its own."""
    AHEAD = "ahead"
    """Stamp its batches as far ahead of all clocks as others may take."""


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What all seeds of a campaign have in common."""

    validators: int = 4
    faults: frozenset[FaultKind] = frozenset(FaultKind)
    proofs: int = 14
    fault_seconds: float = 14.0
    """Virtual time in which faults happen and clients submit."""
    acts: frozenset[FaultKind] | None = None
    """What operators do in every seed; None: each seed draws whether they do anything, and what."""
    log_compacted_at_bytes: int = COMPACTED_AT_BYTES
    """How long the consensus log of a height becomes before it is compacted."""
    liveness_seconds: float = 120.0
    """Virtual time within which, after the faults, every honest node must have finalised everything."""


class RunKind(StrEnum):
    """Safety: anything goes until the end. Liveness: the faults stop, and everything must be finalised in time."""

    SAFETY = "safety"
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """What one seed takes of the settings. Rates are events a second over all nodes, or probabilities."""

    kind: RunKind
    loss: float
    duplication: float
    reordering: float
    delay_spread: float
    partition_rate: float
    one_way_rate: float
    crash_rate: float
    crash_at_write: float
    clock_rate: float
    slow_disk_rate: float
    full_disk_rate: float
    plot_rate: float
    byzantine: int
    tactics: frozenset[Tactic]
    relay_rate: float
    operators: frozenset[FaultKind]
    """What operators do; empty in more than half of the seeds, which run on a chain with long epochs."""
    lost_log_rate: float

    def describe(self) -> str:
        """One line for people."""
        rates = ", ".join(
            f"{field.name} {value:.3f}"
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), float) and value
        )
        liars = f"; {self.byzantine} Byzantine: {', '.join(sorted(self.tactics))}" if self.byzantine else ""
        acts = f"; operators: {', '.join(sorted(self.operators))}" if self.operators else ""
        return f"a {self.kind} run; {rates}{liars}{acts}"


def plan_of(seed: int, settings: SimulationSettings, rng: random.Random, operators_rng: random.Random) -> SeedPlan:
    """Draw what `seed` does. Even seeds are safety runs, odd ones liveness runs."""

    def chosen(kind: FaultKind) -> bool:
        return rng.random() < 0.5 and kind in settings.faults

    operators = _acts_of(settings, operators_rng)
    plots = chosen(FaultKind.PLOT)
    byzantine_max = (settings.validators - 1) // 3
    byzantine = rng.choice((0, rng.randint(0, byzantine_max), byzantine_max))
    if FaultKind.BYZANTINE not in settings.faults:
        byzantine = 0
    tactics = frozenset(tactic for tactic in Tactic if tactic is not Tactic.AHEAD and rng.random() < 0.35) or frozenset(
        {Tactic.COMPLETE}
    )
    if rng.random() < 0.8:
        # Silence hides every other tactic.
        tactics = tactics - {Tactic.SILENT} or tactics
    # A directed schedule needs a network that does what it is told.
    calm = 0.3 if plots else 1.0
    plan = SeedPlan(
        kind=RunKind.LIVENESS if seed % 2 else RunKind.SAFETY,
        loss=rng.uniform(0, 0.3) * calm if chosen(FaultKind.LOSS) else 0.0,
        duplication=rng.uniform(0, 0.3) if chosen(FaultKind.DUPLICATION) else 0.0,
        reordering=rng.uniform(0, 0.3) * calm if chosen(FaultKind.REORDERING) else 0.0,
        delay_spread=rng.uniform(0.05, 0.4) * calm if chosen(FaultKind.DELAY) else 0.02,
        partition_rate=rng.uniform(0.05, 0.3) * calm if chosen(FaultKind.PARTITION) else 0.0,
        one_way_rate=rng.uniform(0.05, 0.3) * calm if chosen(FaultKind.ONE_WAY) else 0.0,
        crash_rate=rng.uniform(0.05, 0.4) * calm if chosen(FaultKind.CRASH) else 0.0,
        crash_at_write=rng.uniform(0.0, 0.01) if chosen(FaultKind.CRASH) else 0.0,
        clock_rate=rng.uniform(0.05, 0.3) if chosen(FaultKind.CLOCK) else 0.0,
        slow_disk_rate=rng.uniform(0.05, 0.3) if chosen(FaultKind.SLOW_DISK) else 0.0,
        full_disk_rate=rng.uniform(0.02, 0.1) if chosen(FaultKind.FULL_DISK) else 0.0,
        # A plot holds the chain up for ten seconds, in which no epoch ends.
        plot_rate=rng.uniform(0.3, 1.0) * (0.1 if operators else 1.0) if plots else 0.0,
        byzantine=byzantine,
        tactics=tactics,
        relay_rate=_relay_rate(settings, operators_rng),
        operators=operators,
        # Drawn last: what was drawn before it stays as it was.
        lost_log_rate=rng.uniform(0.05, 0.3) * calm if chosen(FaultKind.LOST_LOG) else 0.0,
    )
    if settings.acts is None and operators and operators_rng.random() < 0.3 and FaultKind.UPGRADE in settings.faults:
        plan = replace(plan, operators=operators | {FaultKind.UPGRADE})
    return replace(plan, tactics=tactics | {Tactic.AHEAD}) if rng.random() < 0.2 else plan


def _acts_of(settings: SimulationSettings, rng: random.Random) -> frozenset[FaultKind]:
    if settings.acts is not None:
        return settings.acts
    is_lively = rng.random() < 0.4
    chosen = {act for act in sorted(OPERATORS_ACTS - {FaultKind.UPGRADE}) if rng.random() < 0.3}
    return frozenset(chosen & settings.faults) if is_lively else frozenset()


def _relay_rate(settings: SimulationSettings, rng: random.Random) -> float:
    relays, rate = rng.random() < 0.3, rng.uniform(0.05, 0.5)
    return rate if relays and FaultKind.RELAY in settings.faults else 0.0
