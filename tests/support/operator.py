"""An operator who follows docs/operators.md to the letter: its commands, from the page, run by a shell on a machine."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import trio

from step_node.home.paths import NodeHome
from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE
from step_node.testing.devnet.node_client import NodeClient, Unavailable
from step_node.testing.devnet.node_process import stop_process
from step_node.testing.devnet.ports import LOOPBACK, NodePorts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operators.md"
LIFE_PAGE = ROOT / "docs" / "becoming-a-validator.md"
POLL_SECONDS = 0.5
STOP_SECONDS_MAX = 60.0

Block = list[str]
"""The commands of one block of a page, each as it stands there, its continued lines joined and its comment gone."""


def blocks_under(heading: str, page: Path = PAGE) -> list[Block]:
    """The ```sh blocks of the page's section with this heading, in their order; LookupError if there is none."""
    sections = re.split(r"^## (.*)\n", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(sections[1::2], sections[2::2], strict=True)).get(heading)
    if text is None:
        raise LookupError(f"{page}: has no section {heading!r}")
    return [_commands(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)]


def names_of_the_page() -> list[str]:
    """The shell variables that the page has its reader set."""
    (block,) = blocks_under("What an operator does with a validator")
    return [command.partition("=")[0] for command in block]


def _commands(block: str) -> Block:
    joined = re.sub(r"\\\n\s*", "", block)
    lines = [re.sub(r"\s+#.*", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command has come to. `text` is all that it printed."""

    status: int
    text: str


class Machine:
    """A directory in which commands run, with `step-node` on its path, and the node that it has started.

    The node listens on `ports`, whatever its config.toml says. `names` are the shell variables that the page has set.
    """

    def __init__(self, directory: Path, ports: NodePorts, *, password: str) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.home = NodeHome(directory / "node")
        self.names: dict[str, str] = {}
        self._password = password
        self._process: trio.Process | None = None
        self._log_path = directory / "node.log"
        self.move_to(ports)

    def set_password(self, password: str) -> None:
        """Have the commands to come be given another password for keystores."""
        self._password = password

    def move_to(self, ports: NodePorts) -> None:
        """Have the node listen elsewhere from its next start on."""
        self.ports = ports
        self.url = f"http://{LOOPBACK}:{ports.api}"

    @property
    def log(self) -> str:
        """All that the node has printed here."""
        return self._log_path.read_text(encoding="utf-8") if self._log_path.exists() else ""

    async def follow(self, block: Block, *, replaced: Mapping[str, str] | None = None) -> None:
        """Run the commands one after another; each must succeed. `step-node start` goes on running once it serves.

        `replaced` stands for what cannot be taken from the page literally: each key must be in the block.
        """
        for text in replaced or {}:
            assert any(text in command for command in block), (text, block)
        for command in block:
            for text, instead in (replaced or {}).items():
                command = command.replace(text, instead)
            if command.startswith("step-node start "):
                await self._start(command)
            else:
                ended = await self.run(command)
                assert ended.status == 0, f"{command}\n{ended.text}\n{self.log[-4_000:]}"

    async def look_until(self, block: Block, *words: str) -> None:
        """Run a block of one command again and again, until it succeeds and shows all these words."""
        (command,) = block
        ended = await self.run(command)
        while ended.status or not set(words) <= set(ended.text.split()):
            await trio.sleep(POLL_SECONDS)
            ended = await self.run(command)

    async def until_accepted(self, block: Block, *, refused_with: str) -> int:
        """Run a block of one command until it succeeds; how often it was refused, with this code alone, before."""
        (command,) = block
        refusals = 0
        while (ended := await self.run(command)).status:
            assert refused_with in ended.text, ended.text
            refusals += 1
            await trio.sleep(POLL_SECONDS)
        return refusals

    async def run(self, command: str) -> Ended:
        """Run one command line in the shell, here."""
        done = await trio.run_process(
            ["sh", "-euc", command],
            cwd=self.directory,
            env=self._environment(),
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            stdin=b"",
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode())

    async def background(self, command: str, log: IO[bytes]) -> trio.Process:
        """Start one command that goes on running, and prints into `log`; whoever calls this ends it."""
        return await trio.lowlevel.open_process(
            ["sh", "-euc", f"exec {command}"], cwd=self.directory, env=self._environment(), stdout=log, stderr=log
        )

    async def ended(self) -> int:
        """The node's exit status, once it has ended by itself."""
        process, self._process = self._process, None
        assert process is not None
        status = await process.wait()
        if process.stdin is not None:
            await process.stdin.aclose()
        return status

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the node, if it runs, as an operator does (or kill it), and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        await stop_process(process, number, seconds_max=STOP_SECONDS_MAX)

    async def _start(self, command: str) -> None:
        assert self._process is None, "stop the node first, as the page says"
        with self._log_path.open("ab") as log:
            self._process = await trio.lowlevel.open_process(
                # `exec`, so that signals reach the node and not the shell.
                ["sh", "-euc", f"exec {command}"],
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with httpx.AsyncClient(trust_env=False) as http:
            while self._process.poll() is None:
                try:
                    await NodeClient(http, self.url).status()
                except Unavailable:
                    await trio.sleep(POLL_SECONDS)
                else:
                    return
        raise AssertionError(f"{command}: ended with {self._process.poll()}\n{self.log[-4_000:]}")

    def _environment(self) -> dict[str, str]:
        usual = {name: value for name, value in os.environ.items() if not name.startswith("STEP_")}
        return usual | {
            "PATH": f"{_program_directory(self.directory)}{os.pathsep}{usual['PATH']}",
            "PYTHONUNBUFFERED": "1",
            PASSWORD_ENVIRONMENT_VARIABLE: self._password,
            "STEP_API__PORT": str(self.ports.api),
            "STEP_P2P__LISTEN": json.dumps([f"/ip4/{LOOPBACK}/tcp/{self.ports.p2p}"]),
            **self.names,
        }


def _program_directory(directory: Path) -> Path:
    """Where a `step-node` stands whose nodes end when this process does, however it ends."""
    programs = directory / "bin"
    program = programs / "step-node"
    if not program.exists():
        programs.mkdir(exist_ok=True)
        python = shlex.join([sys.executable, "-m", "step_node.cli.main"])
        program.write_text(
            "#!/bin/sh\n"
            f"PYTHONPATH={shlex.quote(str(ROOT))}; export PYTHONPATH\n"
            f'if [ "$1" = start ]; then exec {python} "$@" --stop-with-stdin; fi\n'
            f'exec {python} "$@"\n'
        )
        program.chmod(0o755)
    return programs
