"""`step-node top` as it is used over ssh: in a terminal of 80 by 24 that is no more than that, on a real node."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from step_node.home.paths import NodeHome
from tests.cli.conftest import Start, read_until

pytestmark = pytest.mark.long

SECONDS_MAX = 60.0


class Terminal:
    """`step-node top` on a terminal of its own, and what it has written there."""

    def __init__(self, *arguments: object) -> None:
        self._own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "step_node.cli.main", "top", *map(str, arguments)],
            stdin=other,
            stdout=other,
            stderr=other,
            env=os.environ | {"TERM": "xterm", "COLORTERM": "", "LANG": "C.UTF-8"},
            start_new_session=True,
        )
        os.close(other)
        self.written = ""

    def wait_for(self, text: str) -> None:
        """Read until `text` has been written since the last look."""
        until, self.written = time.monotonic() + SECONDS_MAX, ""
        while text not in self.written:
            assert time.monotonic() < until, f"{text!r} is not in {self.written[-2_000:]!r}"
            if select.select([self._own], [], [], 0.5)[0]:
                self.written += os.read(self._own, 65_536).decode(errors="replace")

    def press(self, key: str) -> None:
        os.write(self._own, key.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)


def test_a_terminal_shows_a_node_its_log_and_that_it_goes_away(
    home: NodeHome, start: Start, password_file: Path
) -> None:
    node = start("start", "--home", home.root, "--password-file", password_file)
    read_until(node, "Running.")
    terminal = Terminal("--home", home.root, "--every", 0.5)
    try:
        terminal.wait_for("1 of 1 nodes answer")
        terminal.press("l")
        terminal.wait_for("serving")
        node.terminate()
        node.wait(SECONDS_MAX)
        terminal.wait_for("0 of 1 nodes answer")
        terminal.press("r")
        terminal.wait_for("AWAY")
        again = start("start", "--home", home.root, "--password-file", password_file)
        read_until(again, "Running.")
        terminal.wait_for("1 of 1 nodes answer")
        terminal.press("q")
        assert terminal.process.wait(SECONDS_MAX) == 0
    finally:
        terminal.close()
