"""One node as a process of its own, its output in a log file in its home.

The child's standard input is a pipe that only this process holds open, and the child stops when it ends: so no node
is left behind even if this process is killed. It runs in a session of its own, because a Ctrl-C at the terminal is for
the devnet, which then stops the nodes in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import trio

import step_node
from step_node.errors import StepNodeError
from step_node.home.paths import NodeHome
from step_node.testing.devnet.misbehaviour import Misbehaviour

STOP_SECONDS_MAX = 15.0
"""A node that has not stopped by then is killed."""

LOG_TAIL_BYTES = 4_000
LOG_TAIL_LINES = 20


SHIPPED_MODULE = "step_node.cli.main"
OLDER_MODULE = "step_node.testing.older_release"
"""The release before, as far as the rules of the protocol go."""


class NodeDied(StepNodeError):
    """A node's process ended, or never came up; the message has the end of its log."""


class NodeProcess:
    """Starts, stops and kills one node. `returncode` is None while it runs."""

    def __init__(self, index: int, home: NodeHome, *, misbehaviour: Misbehaviour | None = None) -> None:
        self.index = index
        self.home = home
        self.misbehaviour = misbehaviour
        """None is an honest validator, the shipped program."""
        self.environment: dict[str, str] = {}
        """Variables for this node on top of the usual ones, from its next start on."""
        self.arguments: tuple[str, ...] = ()
        """What `start` is told on top of the usual, from the next start on."""
        self.module = SHIPPED_MODULE
        """What is run with `start`, from the next start on."""
        self._process: trio.Process | None = None
        self._is_wanted = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"node {self.index}"

    @property
    def log_path(self) -> Path:
        """Where its output goes, appended at each start."""
        return self.home.root / "node.log"

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """With what the process ended by itself; negative for a signal. None if it runs, or was stopped from here."""
        return None if self._process is None else self._process.poll()

    @property
    def has_died(self) -> bool:
        """Whether it was started, and has ended without having been asked to."""
        return self._is_wanted and not self.is_running

    @property
    def pid(self) -> int:
        """The process's id. RuntimeError if there is none."""
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        return self._process.pid

    async def spawn(self) -> None:
        """Start the process, and do not wait for it to serve. RuntimeError if it runs already."""
        if self.is_running:
            raise RuntimeError(f"{self.name} runs already")
        with self.log_path.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                [
                    *(sys.executable, "-m", *self._program(), "--home", str(self.home.root)),
                    *("--password-file", str(self.home.password), "--stop-with-stdin"),
                    *self.arguments,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment() | self.environment,
                start_new_session=True,
            )
        self._is_wanted = True

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not do within `STOP_SECONDS_MAX`. Waits for the end; never raises."""
        await self.kill(signal.SIGTERM)

    async def kill(self, number: signal.Signals) -> None:
        """Send a signal that ends the process, and wait for the end, at most `STOP_SECONDS_MAX` before SIGKILL."""
        self._is_wanted = False
        process = self._process
        if process is None:
            return
        await stop_process(process, number, seconds_max=STOP_SECONDS_MAX)
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: the process stands still, and its connections stay open. Nothing if there is no process."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT, after `pause`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def kill_at_once(self) -> None:
        """SIGKILL, without waiting."""
        if self._process is not None:
            self._process.kill()

    async def raise_when_it_dies(self) -> None:
        """Wait until the process ends without having been asked to; then raise NodeDied."""
        process = self._process
        if process is None:
            return
        await process.wait()
        if self._is_wanted and process is self._process:
            raise self.death()

    def death(self) -> NodeDied:
        """How and why it ended, with the end of its log."""
        returncode = None if self._process is None else self._process.poll()
        if returncode is None:
            return NodeDied(f"{self.name} does not answer; the end of {self.log_path}:\n{self.log_tail()}")
        how = f"exit status {returncode}" if returncode >= 0 else signal.Signals(-returncode).name
        return NodeDied(f"{self.name} ended with {how}; the end of {self.log_path}:\n{self.log_tail()}")

    def _program(self) -> tuple[str, ...]:
        if self.misbehaviour is None:
            return (self.module, "start")
        return ("step_node.cli.byzantine_command", self.misbehaviour)

    def log_tail(self) -> str:
        """The last lines of its log."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError as error:
            return f"({error.strerror})"
        return "\n".join(text.splitlines()[-LOG_TAIL_LINES:]) or "(empty)"


def _environment() -> dict[str, str]:
    # A setting or password of this process's own would override each node's, so none is passed on.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEP_")}
    root = str(Path(step_node.__file__).parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


async def stop_process(process: trio.Process, number: signal.Signals, *, seconds_max: float) -> None:
    """Send a signal that ends the process, SIGKILL after `seconds_max`, and wait for the end, whoever is cancelled."""
    with trio.CancelScope(shield=True):
        process.send_signal(number)
        with trio.move_on_after(seconds_max):
            await process.wait()
        process.kill()
        await process.wait()
        if process.stdin is not None:
            await process.stdin.aclose()
