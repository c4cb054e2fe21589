"""A password file, a key file, a home, and ways to call the command line, in this process and in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from typer.testing import CliRunner, Result

from step_node.cli.main import app
from step_node.home.paths import NodeHome
from step_node.node.logging import Log
from step_node.signing.key_file import create_key_file
from step_node.signing.keyfile_format import create_keyfile_json
from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE, KdfStrength
from step_node.signing.private_file import create_private_file
from step_node.testing.devnet.ports import free_ports

PRIVATE_KEY = bytes(range(1, 33))

Command = Callable[..., Result]

STEP_NODE = (sys.executable, "-m", "step_node.cli.main")
SECONDS_MAX = 120.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True, scope="package")
def quick_keystores() -> Iterator[None]:
    """Keystores that are made in this process open in milliseconds: the strength for a stake takes half a second at
    each making and each start, and is held by the keystore's own tests."""

    def weak(private_key: bytes, password: bytes, *, version: int, kdf: Any, iterations: int) -> Any:
        strength = min(iterations, KdfStrength.DEVNET)
        return create_keyfile_json(private_key, password, version=version, kdf=kdf, iterations=strength)

    with patch("step_node.signing.keystore.create_keyfile_json", weak):
        yield


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Call `step-node` with these arguments, and with `input` on standard input."""
    monkeypatch.delenv(PASSWORD_ENVIRONMENT_VARIABLE, raising=False)
    # Every logger would keep the runner's standard error, which is closed when the call ends.
    monkeypatch.setattr("step_node.node.logging.logging_set_up", lambda settings, **_: nullcontext(Log(settings)))
    runner = CliRunner()

    def call(*arguments: object, stdin: str | bytes | None = None) -> Result:
        result = runner.invoke(app, [str(argument) for argument in arguments], input=stdin)
        # Only what a person can act on is an exit status; anything else is a bug, and would show a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    create_private_file(path, b"correct horse\n")
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key.hex"
    create_key_file(path, PRIVATE_KEY)
    return path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `step-node` with these arguments, in a directory of temporary files of its own; killed in the end."""
    processes: list[subprocess.Popen[str]] = []
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}

    def call(*arguments: object) -> subprocess.Popen[str]:
        command = [*STEP_NODE, *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        processes.append(process)
        return process

    yield call
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def home(command: Command, password_file: Path, tmp_path: Path) -> NodeHome:
    """A node that is a chain by itself, with its password beside its key."""
    (ports,) = free_ports(1)
    options = ("--chain-id", "alone", "--validator", "--api-port", ports.api, "--p2p-port", ports.p2p)
    made = command("init", "--home", tmp_path / "home", *options, "--password-file", password_file)
    assert made.exit_code == 0, made.stderr
    return NodeHome(tmp_path / "home")


def read_until(process: subprocess.Popen[str], beginning: str) -> list[str]:
    """Its lines on standard output, up to the one that begins so."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            return lines
    raise AssertionError(f"it ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}")
