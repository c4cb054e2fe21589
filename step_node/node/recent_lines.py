"""The last lines of the log, in memory: what a debug bundle shows of the time before somebody asked."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

RECENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of all lines that are kept; the oldest go first."""


class RecentLines:
    """Up to `lines_max` lines, the latest last. From any thread."""

    def __init__(self, lines_max: int = 0) -> None:
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque(maxlen=lines_max)
        self._bytes = 0

    def keep(self, lines_max: int) -> None:
        """Keep so many from now on."""
        with self._lock:
            self._lines = deque(self._lines, maxlen=lines_max)
            self._bytes = sum(map(len, self._lines))

    def add(self, line: bytes) -> None:
        """Keep this one."""
        if not line:
            return
        with self._lock:
            if len(self._lines) == self._lines.maxlen and self._lines:
                self._bytes -= len(self._lines.popleft())
            self._lines.append(line)
            self._bytes = self._bytes + len(line) if self._lines else 0
            while self._bytes > RECENT_BYTES_MAX:
                self._bytes -= len(self._lines.popleft())

    def text(self) -> str:
        """All that are kept."""
        with self._lock:
            return b"".join(self._lines).decode(errors="backslashreplace")
