"""What happened, in order: every line goes into a hash, and, if somebody wants to read it, into a list."""

from __future__ import annotations

import hashlib
from collections import deque

import trio

TRACE_LINES_MAX = 200_000
"""Lines kept for reading; the oldest go first. The hash covers all."""


class Trace:
    """The history of one seed. Two runs of a seed are the same if and only if their `digest` is."""

    def __init__(self, *, keep_lines: bool) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._keep_lines = keep_lines
        self.lines: deque[str] = deque(maxlen=TRACE_LINES_MAX)
        self.count = 0

    @property
    def digest(self) -> str:
        """The hash of every line so far, 32 hex digits."""
        return self._hash.hexdigest()

    def note(self, who: str, what: str) -> None:
        """Write down that `what` happened to `who`, now."""
        line = f"{trio.current_time():10.4f} {who:4} {what}"
        self.count += 1
        self._hash.update(line.encode() + b"\n")
        if self._keep_lines:
            self.lines.append(line)
