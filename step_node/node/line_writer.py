"""Lines for a descriptor that may be full, closed or read by nobody: whoever has a line never waits, and never fails.

`put` leaves a line in a bounded queue, and a thread writes it. What the descriptor does to the thread stays there: a
write that blocks fills the queue, and lines beyond it are counted in place of being kept; a write that fails loses its
line, which is counted too. When a line gets through again, `tell_lost` says how many did not.

The descriptor is written to as it is, without Python's stream over it: a stream keeps what it could not write, tries it
again when the process ends, and makes that its exit status.
"""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Final, Self, TypeAlias

STANDARD_OUTPUT: Final = 1
STANDARD_ERROR: Final = 2

LINES_WAITING_MAX: Final = 1_024
"""Lines that wait to be written; one more is dropped, and counted."""
DUE_INTERVAL_SECONDS: Final = 1.0
CLOSE_SECONDS_MAX: Final = 2.0
"""How long the end waits for what still waits to be written; what is not written by then is lost."""

Render: TypeAlias = Callable[[], bytes]
"""Makes a line's bytes, its end included, on the writer's thread; none if the line is not to be written after all."""


class LineLoss(StrEnum):
    """Why a line was not written."""

    QUEUE_FULL = "queue_full"
    """What reads the lines is too slow, or stands still."""
    WRITE_FAILED = "write_failed"
    """A full disk, or nobody at the other end."""
    UNREADABLE = "unreadable"
    """A library has logged what cannot be made a line."""


def _nothing_lost(_count: int) -> bytes:
    return b""


def _nothing_due(_is_last: bool) -> Iterable[bytes]:
    return ()


def _end() -> bytes:
    """The line that ends the thread."""
    return b""


def hold_standard_descriptors() -> None:
    """Have none of them closed: the next file to be opened would be taken for it, and lines written into it."""
    for descriptor in (0, STANDARD_OUTPUT, STANDARD_ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one


class LineWriter:
    """See the module's docstring. A context manager: the thread runs within, and leaving writes what waits.

    `descriptor` may be asked for each line, with its size in bytes, on the thread; an OSError of it loses the line.
    `due` is asked about once a second, on the thread, for what is to be written besides, and a last time at the end.
    """

    def __init__(
        self,
        descriptor: int | Callable[[int], int],
        *,
        name: str,
        tell_lost: Callable[[int], bytes] = _nothing_lost,
        due: Callable[[bool], Iterable[bytes]] = _nothing_due,
        write: Callable[[int, memoryview], int] = os.write,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor_for = descriptor if callable(descriptor) else lambda _size_bytes: descriptor
        self._tell_lost = tell_lost
        self._due = due
        self._write_some = write
        self._monotonic = monotonic
        # Unbounded by itself, for the sake of its `put`, which a signal's handler may call at any moment.
        self._lines: queue.SimpleQueue[Render] = queue.SimpleQueue()
        self._lock = threading.RLock()  # not a plain lock, for the same reason
        self._lost: Counter[LineLoss] = Counter()
        self._untold = 0
        self._is_torn = False
        # A daemon, so that a write that blocks for good does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def put(self, line: Render, *, waiting_max: int = LINES_WAITING_MAX) -> None:
        """Have a line written, unless `waiting_max` wait already. Never blocks; from any thread or signal's handler."""
        if self._lines.qsize() >= waiting_max:
            self.count_lost(LineLoss.QUEUE_FULL)
        else:
            self._lines.put(line)

    def say(self, text: str) -> None:
        """Have a line of this text written."""
        data = f"{text}\n".encode(errors="backslashreplace")
        self.put(lambda: data)

    def count_lost(self, loss: LineLoss) -> None:
        """A line is not written."""
        with self._lock:
            self._lost[loss] += 1
            self._untold += 1

    def lost(self) -> Mapping[LineLoss, int]:
        """How many lines were not written, by why."""
        with self._lock:
            return {loss: self._lost[loss] for loss in LineLoss}

    def close(self) -> None:
        """Write what waits, for `CLOSE_SECONDS_MAX` at most. Again: nothing. Later lines go nowhere."""
        self._lines.put(_end)
        self._thread.join(CLOSE_SECONDS_MAX)

    # --- on the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        due_at = self._monotonic()
        is_open = True
        while is_open:
            try:
                line = self._lines.get(timeout=DUE_INTERVAL_SECONDS)
            except queue.Empty:
                pass
            else:
                is_open = line is not _end
                self._write(line())
            if self._monotonic() >= due_at or not is_open:
                for data in self._due(not is_open):
                    self._write(data)
                due_at = self._monotonic() + DUE_INTERVAL_SECONDS

    def _write(self, data: bytes) -> None:
        if not data:
            return
        if not self._gets_through(data):
            self.count_lost(LineLoss.WRITE_FAILED)
            return
        with self._lock:
            untold, self._untold = self._untold, 0
        if untold and (told := self._tell_lost(untold)) and not self._gets_through(told):
            with self._lock:
                self._untold += untold

    def _gets_through(self, data: bytes) -> bool:
        # What a full disk has cut off does not become the beginning of the next line.
        rest = memoryview(b"\n" + data if self._is_torn else data)
        try:
            descriptor = self._descriptor_for(len(rest))
        except OSError:
            return False
        while rest:
            try:
                written = self._write_some(descriptor, rest)
            except BlockingIOError:  # Another process has made the pipe or terminal, which they share, non-blocking.
                select.select((), (descriptor,), ())
            except OSError:
                self._is_torn = self._is_torn or len(rest) < len(data)
                return False
            else:
                rest = rest[written:]
        self._is_torn = False
        return True
