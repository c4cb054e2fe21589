"""Somebody who types the blocks of one of our pages into a shell, and sees whether they print what the page says.

A page has blocks of commands (```sh), each followed by the lines that it prints (```text), if it shows them; `…` stands
for what differs.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE
from step_node.testing.devnet.ports import LOOPBACK

BLOCK: Final = re.compile(r"^```(sh|text)\n(.*?)^```|^## (.*?)$", re.DOTALL | re.MULTILINE)
POLL_SECONDS: Final = 0.2
STOP_SECONDS_MAX: Final = 60.0


@dataclass(frozen=True)
class Step:
    """A block of commands, in its section, and the lines that it prints, `…` for what differs."""

    section: str
    commands: str
    printed: tuple[str, ...]


def steps_of(page: Path) -> list[Step]:
    """The page's blocks, in order."""
    found: list[Step] = []
    section = ""
    for language, text, heading in BLOCK.findall(page.read_text(encoding="utf-8")):
        if heading:
            section = heading
        elif language == "sh":
            found.append(Step(section, text, ()))
        else:
            found[-1] = Step(section, found[-1].commands, tuple(text.splitlines()))
    return found


def missing_lines(expected: tuple[str, ...], printed: str) -> list[str]:
    """Those of the expected lines that do not come in `printed`, each after the one before."""
    missing = []
    left = printed.splitlines()
    for line in expected:
        pattern = re.compile(r"\s*" + ".*".join(re.escape(part.strip()) for part in line.split("…")))
        at = next((index for index, one in enumerate(left) if pattern.match(one)), None)
        if at is None:
            missing.append(line)
        else:
            left = left[at + 1 :]
    return missing


class Typist:
    """Somebody with a terminal in a directory. The shell's variables stay from block to block.

    `names` are its first variables, and need P2P_PORT, where the node listens on loopback.
    """

    def __init__(self, directory: Path, names: dict[str, str], *, password: str) -> None:
        self._directory = directory
        self._state = directory.parent / "variables"
        self._state.write_text("")
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("STEP_", "PYTHON"))
        } | {
            PASSWORD_ENVIRONMENT_VARIABLE: password,
            "STEP_SYNC__SNAPSHOT_DISTANCE_BATCHES": "20",
            # A node that others reach from elsewhere dials nobody on loopback, and there the others are.
            "STEP_P2P__LISTEN": f'["/ip4/{LOOPBACK}/tcp/{names["P2P_PORT"]}"]',
            "TERM": "dumb",
            **names,
        }
        self._node: trio.Process | None = None
        self._log_path = directory.parent / "node.log"

    @property
    def log(self) -> str:
        """What the node has printed."""
        return self._log_path.read_text(encoding="utf-8") if self._log_path.exists() else ""

    def variable(self, name: str) -> str:
        """A variable of the shell, as the last block has left it."""
        command = ["bash", "-c", f'. {shlex.quote(str(self._state))}; printf %s "${name}"']
        return subprocess.run(command, capture_output=True, text=True, check=True, env=self._environment).stdout

    async def type(self, commands: str) -> str:
        """What the block prints; it must succeed."""
        state = shlex.quote(str(self._state))
        ended = await trio.run_process(
            ["bash", "-c", f". {state}\nset -aeuo pipefail\n{commands}\nset +aeu\nexport -p > {state}"],
            cwd=self._directory,
            env=self._environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            stdin=b"",
            check=False,
        )
        printed = ended.stdout.decode()
        assert ended.returncode == 0, f"{commands}\n{printed}\n{self.log[-4_000:]}"
        return printed

    async def start_node(self, command: str, *, said: str) -> str:
        """Run the page's command in the background until it has said this; what it has printed."""
        assert self._node is None
        before = len(self.log)
        state = shlex.quote(str(self._state))
        with self._log_path.open("ab") as log:
            self._node = await trio.lowlevel.open_process(
                # That it ends with this test is all that is added.
                ["bash", "-c", f". {state}\nexec {command.strip()} --stop-with-stdin"],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while said not in self.log[before:]:
            assert self._node.poll() is None, self.log[-4_000:]
            await trio.sleep(POLL_SECONDS)
        return self.log[before:]

    async def stop_node(self, number: signal.Signals = signal.SIGTERM) -> None:
        """As an operator does, with SIGTERM; or kill it."""
        node, self._node = self._node, None
        if node is None:
            return
        with trio.CancelScope(shield=True):
            node.send_signal(number)
            with trio.move_on_after(STOP_SECONDS_MAX):
                await node.wait()
            node.kill()
            await node.wait()
