"""What the machine wants done. The driver carries the effects out, in order, and the machine does nothing else.

An own message goes this way, and no other: `WriteAhead(entry)` → the driver appends `LogWritten(entry)` to its log, and
gives it as an input → `Sign(message)`, before which the log is synced → the input `Signed(message)` →
`Broadcast(message)`.
"""

from dataclasses import dataclass

from consensus.messages import Commit, Evidence, Message, SignedMessage
from consensus.values import TimeoutKind


@dataclass(frozen=True, slots=True)
class WriteAhead:
    """Answer with `LogWritten(entry)`, which goes to the log.

    `entry` is unsigned; a proposal comes without its batch.
    """

    entry: SignedMessage


@dataclass(frozen=True, slots=True)
class Sign:
    """Sync the log, then sign `message.signing_line(chain_id)`.

    Answer with `Signed(replace(message, signature=...))`.
    """

    message: SignedMessage


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send `message` to every validator. One delivery is not relied on: see `own_messages`."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer with `TimerFired(kind, round)` after `duration_ms`. A timer of an earlier round may be cancelled."""

    kind: TimeoutKind
    round: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class BuildBatch:
    """Answer with `BatchBuilt` or `BatchNotBuilt`: this node proposes in `round`."""

    height: int
    round: int


@dataclass(frozen=True, slots=True)
class ValidateBatch:
    """Answer with `BatchValidated(batch_hash, round, valid)`, exactly once.

    `judge_clock`: whether the batch's timestamp must be near this node's clock. It must be for a batch proposed the
    first time (`valid_round` = -1). It is not asked of a batch that a quorum has pre-voted or pre-committed already: an
    honest validator has judged its time then, when it was fresh, and judging it again, later, could keep a batch that
    somebody is locked on, or that others have finalised, from ever being finalised here.
    """

    round: int
    valid_round: int
    batch_hash: bytes
    batch: bytes
    judge_clock: bool


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """Ask peers for a `ProofBatch` with this hash, of any round: a quorum wants it, and this node has not seen it.

    Given once; `wanted_batches(state)` says what is still missing, for asking again.
    """

    batch_hash: bytes
    round: int


@dataclass(frozen=True, slots=True)
class Finalise:
    """The height is decided: apply `batch` and keep it with `commit`. The machine of this height is done."""

    commit: Commit
    batch: bytes


@dataclass(frozen=True, slots=True)
class ReportEvidence:
    """A validator contradicted itself. Once per validator, round and kind."""

    evidence: Evidence


Effect = (
    WriteAhead | Sign | Broadcast | SetTimer | BuildBatch | ValidateBatch | RequestBatch | Finalise | ReportEvidence
)
