"""What can be wrong with a node, as an operator and the programs that watch it are told: a closed list.

A reason has a code, for programs; a sentence, which says what is wrong and what to do; and the figures in it. Two
questions are answered from the codes alone: whether the node is *down* (it serves nothing that can be relied on), and
whether it is *ready* (clients' traffic may be sent to it). What makes a reason come and go is in
`step_node.node.health`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class HealthLevel(StrEnum):
    """`ok`: finalising or idle as it should. `degraded`: serving, but an operator should look. `down`: not serving."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


class HealthCode(StrEnum):
    """What is wrong; the label of `step_health_reason`, too."""

    FINALITY_BROKEN = "FINALITY_BROKEN"
    """A quorum has contradicted what is final here."""
    LEDGER_UNSOUND = "LEDGER_UNSOUND"
    """A guardrail has found that the ledger did something else than its rules say."""
    STORE_READS_FAIL = "STORE_READS_FAIL"
    """The store does not answer questions."""
    STORE_WRITES_FAIL = "STORE_WRITES_FAIL"
    """The store does not take a finalised batch."""
    JOURNAL_FAILS = "JOURNAL_FAILS"
    """No proofs are accepted from clients."""
    INTAKE_PAUSED = "INTAKE_PAUSED"
    """The operator has turned the intake off."""
    GENESIS_AHEAD = "GENESIS_AHEAD"
    """The chain has not begun, by this node's clock."""
    BEHIND = "BEHIND"
    """Others have finalised what this node has not."""
    NO_PEERS = "NO_PEERS"
    """Nobody is connected."""
    NO_QUORUM = "NO_QUORUM"
    """Too few validators are connected for anything to become final."""
    HEIGHT_UNDECIDED = "HEIGHT_UNDECIDED"
    """Something waits, and for long no batch has become final."""
    INTAKE_SHED = "INTAKE_SHED"
    """Far more is submitted than usual, and some or all of it is shed."""
    INTAKE_LIMITED = "INTAKE_LIMITED"
    """Anything is taken from a share of the accounts alone."""
    ECONOMY_DRIFTS = "ECONOMY_DRIFTS"
    """The rate of minting, how few hold how much, or stakes that answer for nothing are outside their bounds."""
    ROUNDS_FAIL = "ROUNDS_FAIL"
    """The present height has taken several rounds."""
    UPGRADE_NEEDED = "UPGRADE_NEEDED"
    """The validators have agreed on rules that this release does not know: it stops before they come into force."""
    VOTES_MISSING = "VOTES_MISSING"
    """The last commits have no vote of this validator."""
    NOT_SIGNING = "NOT_SIGNING"
    """This validator is in the set and does not take part."""
    SIGNER_AWAY = "SIGNER_AWAY"
    """The key is in a process of its own, which gives this node no signatures."""
    SIGNATURE_REFUSED = "SIGNATURE_REFUSED"
    """The guard against double signing has refused a signature at the present height."""
    CLOCK_FAST = "CLOCK_FAST"
    """This node's clock is ahead of other validators' by more than a batch may be."""
    CLOCK_SLOW = "CLOCK_SLOW"
    """This node's clock is behind other validators' by more than a batch may be ahead."""
    P2P_KEY_SHARED = "P2P_KEY_SHARED"
    """Another process uses this node's identity in the network."""
    KEY_NOT_A_VALIDATORS = "KEY_NOT_A_VALIDATORS"
    KEY_NOT_YET_ACTIVE = "KEY_NOT_YET_ACTIVE"
    KEY_LEAVING = "KEY_LEAVING"
    """It leaves the set, or hands over to another key, at the epoch's end."""
    KEY_LEFT = "KEY_LEFT"
    KEY_JAILED = "KEY_JAILED"
    KEY_REPLACED = "KEY_REPLACED"
    KEY_NOT_HERE = "KEY_NOT_HERE"
    """A validator of the set belongs to this node, and its key is not used."""


DOWN = frozenset({HealthCode.FINALITY_BROKEN, HealthCode.STORE_READS_FAIL, HealthCode.STORE_WRITES_FAIL})
"""With one of these the node is down."""

NOT_READY = DOWN | {
    HealthCode.JOURNAL_FAILS,
    HealthCode.INTAKE_PAUSED,
    HealthCode.GENESIS_AHEAD,
    HealthCode.BEHIND,
    HealthCode.NO_PEERS,
    HealthCode.NO_QUORUM,
    HealthCode.HEIGHT_UNDECIDED,
}
"""With one of these clients are better off with another node: it would answer with what is old, or accept what nobody
finalises."""


@dataclass(frozen=True, slots=True)
class HealthReason:
    """One thing that is wrong. `figures` are what the sentence counts, by name, with the unit last."""

    code: HealthCode
    message: str
    figures: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """All that is wrong with a node, the gravest first; nothing, if it is as it should be."""

    reasons: tuple[HealthReason, ...] = ()

    @property
    def level(self) -> HealthLevel:
        """The gravest reason's."""
        if any(reason.code in DOWN for reason in self.reasons):
            return HealthLevel.DOWN
        return HealthLevel.DEGRADED if self.reasons else HealthLevel.OK

    @property
    def not_ready(self) -> tuple[HealthReason, ...]:
        """Those for which clients' traffic should go elsewhere."""
        return tuple(reason for reason in self.reasons if reason.code in NOT_READY)
