"""Offences and what they cost: plain values, proven before they come here (protocol.md §4, "Slashing").

Nothing here looks at a signature: `step_node.ledger.evidence` turns a piece of evidence into an `Offence`, or refuses
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from step_node.parameters import Parameters


class OffenceKind(StrEnum):
    """What a validator is slashed for. The first four names are those of `consensus.messages.EvidenceKind`."""

    DOUBLE_SIGN = "DOUBLE_SIGN"
    CONFLICTING_PROPOSAL = "CONFLICTING_PROPOSAL"
    INVALID_PROPOSAL = "INVALID_PROPOSAL"
    INVALID_VOTE = "INVALID_VOTE"
    OFFLINE = "OFFLINE"


@dataclass(frozen=True, slots=True)
class Offence:
    """`accused` (20 bytes) has done this at `height`; `evidence`, encoded, proves it."""

    kind: OffenceKind
    accused: bytes
    height: int
    evidence: bytes


@dataclass(frozen=True, slots=True)
class Slashing:
    """What became of an offence: history, kept beside the state, and not part of it.

    `accused` is whose key it was, `validator` who bore it: another after a rotation of keys. `amount_ustep` was burnt
    by the batch at `height`, of batch time `timestamp_ms`; `index` counts the slashings of that batch from 0.
    `evidence` is encoded; empty for OFFLINE, which every node sees by itself.
    """

    height: int
    index: int
    kind: OffenceKind
    accused: bytes
    validator: bytes
    offence_height: int
    amount_ustep: int
    timestamp_ms: int
    evidence: bytes


def slash_bps(kind: OffenceKind, parameters: Parameters) -> int:
    """The share of the stake that the offence costs, in basis points."""
    match kind:
        case OffenceKind.DOUBLE_SIGN | OffenceKind.CONFLICTING_PROPOSAL:
            return parameters.slash_double_sign_bps
        case OffenceKind.INVALID_PROPOSAL | OffenceKind.INVALID_VOTE:
            return parameters.slash_invalid_bps
        case OffenceKind.OFFLINE:
            return parameters.slash_offline_bps
