"""What the machine is told. The driver's log of one height is the list of these, in the order they were applied.

Whoever gives the machine a `MessageReceived` has checked, before: the signature of a signed message (it recovers to
`message.signer`); that the bytes of a proposed batch have the identity `batch_hash` (the proposer's signature covers
the hash alone, so anybody can attach other bytes to it); the quorum of a `Commit` (`verify_commit`). The machine itself
checks height, round, membership and who may propose.
"""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from consensus.lock import PROOF_OF_LOCK_BYTES_MAX, ProofOfLock
from consensus.messages import (
    Batch,
    BatchHash,
    MessageUnion,
    Round,
    SignedMessageUnion,
)
from consensus.values import TimeoutKind
from consensus.wire import encode, wire_type

RECOVERED_MESSAGES_MAX = 64
"""Own messages that are recovered at once: six kinds, in the rounds of the window and the lock's."""
INPUT_BYTES_MAX = PROOF_OF_LOCK_BYTES_MAX + 20_000
"""The largest encoded input: a proof of lock, and the own messages that are recovered with it. A longer entry of the
log is refused as damaged."""


@wire_type
class WorkAvailable:
    """A batch can be built: proofs have waited long enough. It starts round 0; until then no timer runs."""

    type: Literal["WORK_AVAILABLE"] = field(default="WORK_AVAILABLE", kw_only=True, repr=False)


@wire_type
class MessageReceived:
    """A message arrived, checked as the module's docstring says."""

    message: MessageUnion
    type: Literal["MESSAGE_RECEIVED"] = field(default="MESSAGE_RECEIVED", kw_only=True, repr=False)


@wire_type
class TimerFired:
    """The time of a `SetTimer` is over."""

    kind: Annotated[TimeoutKind, Field(strict=False)]
    round: Round
    type: Literal["TIMER_FIRED"] = field(default="TIMER_FIRED", kw_only=True, repr=False)


@wire_type
class BatchBuilt:
    """The answer to `BuildBatch`: the batch to propose, and its identity. It is taken to be valid."""

    round: Round
    batch_hash: BatchHash
    batch: Batch
    type: Literal["BATCH_BUILT"] = field(default="BATCH_BUILT", kw_only=True, repr=False)


@wire_type
class BatchNotBuilt:
    """The other answer to `BuildBatch`: there is nothing to propose. The proposer then waits like everybody else."""

    round: Round
    type: Literal["BATCH_NOT_BUILT"] = field(default="BATCH_NOT_BUILT", kw_only=True, repr=False)


@wire_type
class BatchValidated:
    """The answer to `ValidateBatch`, one for each, with its hash and round."""

    batch_hash: BatchHash
    round: Round
    valid: bool
    type: Literal["BATCH_VALIDATED"] = field(default="BATCH_VALIDATED", kw_only=True, repr=False)


@wire_type
class LogWritten:
    """The entry of a `WriteAhead` is on disk, synced: it may be signed now."""

    entry: SignedMessageUnion
    type: Literal["LOG_WRITTEN"] = field(default="LOG_WRITTEN", kw_only=True, repr=False)


@wire_type
class Signed:
    """The message of a `Sign`, with its signature."""

    message: SignedMessageUnion
    type: Literal["SIGNED"] = field(default="SIGNED", kw_only=True, repr=False)


@wire_type
class OwnMessagesRecovered:
    """What this validator has signed at this height, and the log does not have, because it was lost: see
    `recollection.py`.

    `messages` are those of the signing history, signed again, a proposal without its batch: of the latest round, of the
    `ROUNDS_BEHIND_MAX` before it, and at least the latest pre-commit for a batch. `lock` is the proof of lock that was
    kept beside the history, if it is of this height; its signatures have been checked.
    """

    messages: Annotated[tuple[SignedMessageUnion, ...], Field(max_length=RECOVERED_MESSAGES_MAX)]
    lock: ProofOfLock | None = None
    type: Literal["OWN_MESSAGES_RECOVERED"] = field(default="OWN_MESSAGES_RECOVERED", kw_only=True, repr=False)


Input = (
    WorkAvailable
    | MessageReceived
    | TimerFired
    | BatchBuilt
    | BatchNotBuilt
    | BatchValidated
    | LogWritten
    | Signed
    | OwnMessagesRecovered
)


def encode_input(event: Input) -> bytes:
    """`event` as an entry of the log. Raises: WireError if it cannot be written."""
    return encode(event)
