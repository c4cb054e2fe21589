"""The write-ahead log of consensus: every input of one height, in the order in which the machine was given it.

The machine is a pure function, so its inputs are its state: after a crash they are given to it again, and it stands
where it stood. Inputs are appended before their effects are carried out; before anything is *signed* the log is synced,
which makes everything appended earlier durable too. Whatever a crash cuts off the end was therefore never visible to
anybody else.

A height that lasts does not fill the disk: from `COMPACTED_AT_BYTES` on the inputs so far are replaced by the state
that they have led to (`consensus.checkpoint`), in one atomic step. What the machine keeps of a height is bounded, and
so then is the log.

The log holds one height at a time, and begins anew when the next height has its first input. Its header names the chain
and the height, so that a log left over from a height that the store has finalised meanwhile is recognised, and
discarded.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgpack

from consensus import inputs as event
from consensus.checkpoint import Checkpoint, KeptBatch, LogEntry, checkpoint_entries, decode_entry
from consensus.inputs import Input, encode_input
from consensus.messages import ProofBatch
from consensus.state import ConsensusState
from consensus.wire import WireError
from step_node.durable.file_system import DISK, FileSystem
from step_node.durable.record_log import DamagedLog, ForeignLog, RecordLog
from step_node.errors import StepNodeError

COMPACTED_AT_BYTES = 64 * 1024 * 1024
"""Of inputs since the state that the log begins with, if it does."""

CURE = (
    "Move the file out of the home and start again: a validator without its consensus log goes on from its signing"
    " history and its proof of lock, and its peers tell it the rest."
)
"""What an operator does about a damaged log."""


class LogAhead(StepNodeError):
    """The log is of a later height than the store: the store has lost finalised batches."""


class WriteAheadLog:
    """See the module's docstring. One owner; every method that reaches the disk blocks and belongs on a thread."""

    def __init__(
        self, log: RecordLog, chain_id: str, height: int, *, checkpoint_bytes: int, compacted_at_bytes: int
    ) -> None:
        self._log = log
        self._chain_id = chain_id
        self._height = height
        self._checkpoint_bytes = checkpoint_bytes
        """How much of the log is the state that it begins with."""
        self._compacted_at_bytes = compacted_at_bytes

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        chain_id: str,
        height: int,
        files: FileSystem = DISK,
        compacted_at_bytes: int = COMPACTED_AT_BYTES,
    ) -> tuple[WriteAheadLog, list[LogEntry]]:
        """Open the log for `height`, the one after the store's head, with the entries that it holds.

        Raises `LogAhead`, `ForeignLog` for another chain's log, `DamagedLog`, OSError.
        """
        header = _header(chain_id, height)
        try:
            log, records = RecordLog.open(path, header, files=files)
        except DamagedLog as error:
            raise error.with_cure(CURE) from error
        except ForeignLog as error:
            found_chain_id, found_height = _read_header(error.found)
            if found_chain_id != chain_id or found_height is None:
                raise
            if found_height > height:
                raise LogAhead(
                    f"{path}: is of height {found_height}, but the store's head is {height - 1}: the store has lost"
                    " finalised batches. Put the store back. If it is gone for good: `step-node store rebuild` takes"
                    " this file away too, on fewer than a third of the validators at once, and the node then fetches"
                    " every batch from its peers. Never move the signing history."
                ) from error
            log, _ = RecordLog.open(path, error.found, files=files)
            log.reset(header)
            records = []
        try:
            entries = [decode_entry(record) for record in records]
        except WireError as error:
            log.close()
            raise DamagedLog(path, 0, f"an entry cannot be read: {error}", cure=CURE) from error
        checkpoint_bytes = sum(
            len(record)
            for record, entry in zip(records, entries, strict=True)
            if isinstance(entry, Checkpoint | KeptBatch)
        )
        log_of_height = cls(
            log, chain_id, height, checkpoint_bytes=checkpoint_bytes, compacted_at_bytes=compacted_at_bytes
        )
        return log_of_height, entries

    @property
    def height(self) -> int:
        """The height whose inputs it holds."""
        return self._height

    @property
    def size_bytes(self) -> int:
        """What is on disk of this height."""
        return self._log.size_bytes - self._log.forgotten_bytes

    @property
    def torn_bytes(self) -> int:
        """How much a crash had left half written at the end, and opening cut off."""
        return self._log.torn_bytes

    def append(self, event: Input) -> None:
        """Add an input; the next `sync` makes it durable."""
        self._log.append(encode_input(event))

    def sync(self) -> None:
        """Make every appended input durable. Raises OSError: the node must stop."""
        self._log.sync()

    def begin(self, height: int) -> None:
        """Forget the old height's inputs: it is in the store. On disk that is with the next `sync`: until then a crash
        leaves a log of the old height, which is recognised as such. Raises OSError: the node must stop."""
        self._log.begin(_header(self._chain_id, height))
        self._height = height
        self._checkpoint_bytes = 0

    @property
    def is_long(self) -> bool:
        """Whether it is time to `compact`."""
        return self.size_bytes - self._checkpoint_bytes >= self._compacted_at_bytes

    def compact(self, state: ConsensusState) -> None:
        """Put `state`, to which all appended inputs have led, in their place, durably; their effects must have been
        carried out. After a crash meanwhile the log is the old one or the new one. Raises OSError: the node must stop.
        """
        entries = checkpoint_entries(state)
        self._log.reset(_header(self._chain_id, self._height), entries)
        self._checkpoint_bytes = sum(map(len, entries))

    def close(self) -> None:
        """Close the file."""
        self._log.close()


def _header(chain_id: str, height: int) -> bytes:
    packed: bytes = msgpack.packb(["STEP consensus log 1", chain_id, height], use_bin_type=True)
    return packed


def _read_header(header: bytes) -> tuple[str | None, int | None]:
    try:
        fields = msgpack.unpackb(header, raw=False)
    except (ValueError, msgpack.exceptions.UnpackException):
        return None, None
    match fields:
        case ["STEP consensus log 1", str(chain_id), int(height)] if header == _header(chain_id, height):
            return chain_id, height
        case _:
            return None, None


def as_logged(item: event.Input, before: ConsensusState, after: ConsensusState) -> event.Input:
    """What the log needs of an input: a proposal without its batch, if the machine did not take the batch in.

    Replayed, it leads to the same state. A validator that proposes for ever later rounds cannot fill the disk so.
    """
    if isinstance(item, event.MessageReceived) and isinstance(item.message, ProofBatch):
        batch_hash = item.message.batch_hash
        if batch_hash in before.batches or batch_hash not in after.batches:
            return event.MessageReceived(replace(item.message, batch=b""))
    return item
