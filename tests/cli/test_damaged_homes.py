"""Every file of a home, damaged in every way: a node starts all the same, or says in a sentence what is wrong.

Nothing that a disk, a backup tool or a hand does to a file may end in a traceback: it tells an operator nothing.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from step_node.cli import start_command
from step_node.clock import SystemClock
from step_node.home.paths import NodeHome
from step_node.node.start import NodeStarted
from tests.api.made_up_node import Walker
from tests.cli.conftest import Command

pytestmark = pytest.mark.long


def missing(path: Path) -> None:
    """Delete it."""
    path.unlink()


def empty(path: Path) -> None:
    """Nothing of it was written."""
    path.write_bytes(b"")


def noise(path: Path) -> None:
    """Another file's content."""
    path.write_bytes(random.Random(path.name).randbytes(max(64, path.stat().st_size)))


def half(path: Path) -> None:
    """The end is missing."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def longer(path: Path) -> None:
    """Something was written behind it."""
    path.write_bytes(path.read_bytes() + b"\x00\x01more" * 5)


def bit(path: Path) -> None:
    """One bit is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def directory(path: Path) -> None:
    """It is no file."""
    path.unlink()
    path.mkdir()


FAULTS: Final[tuple[Callable[[Path], None], ...]] = (missing, empty, noise, half, longer, bit, directory)

FILES: Final = (
    "config.toml",
    "genesis.json",
    "lock",
    "keys/p2p.key",
    "keys/validator.json",
    "data/ledger.sqlite",
    "data/journal.sqlite",
    "data/consensus.log",
    "data/signing_history",
)
"""Of a home that has been in use, but for the side files, which `tests/node/test_start.py` goes through."""

CURES: Final = {
    "config.toml": ": is ",
    "genesis.json": "copy the network's genesis.json into the home again",
    "lock": "lock: Is a directory",
    "keys/p2p.key": "put it back from your backup",
    "keys/validator.json": "ut it",
    "data/ledger.sqlite": "step-node store rebuild",
    "data/journal.sqlite": "it ends no node",
    "data/consensus.log": "Move the file out of the home and start again",
    "data/signing_history": "--lost-signing-history",
}
"""What the error says that an operator does."""

HARMLESS: Final = {"data/journal.sqlite"}
"""No fault of these keeps a node from starting."""


def stop_when_started(monkeypatch: pytest.MonkeyPatch, act: Callable[[NodeStarted], None] = lambda _: None) -> None:
    """Have nodes that are started by `step-node start` stop, once they serve and `act` is done."""

    def tell(started: NodeStarted, *_: Any) -> None:
        def stop() -> None:
            try:
                act(started)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=stop).start()

    monkeypatch.setattr(start_command, "_tell", tell)


def prove(started: NodeStarted) -> None:
    """Have one proof finalised."""
    answer = httpx.post(
        f"{started.api_url}/proof/submit", json=Walker(1).proof(SystemClock().now_ms()), trust_env=False, timeout=30
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture
def grown(home: NodeHome, command: Command, monkeypatch: pytest.MonkeyPatch) -> NodeHome:
    """A home with a chain of one batch, whose node is stopped; nodes that start stop at once."""
    stop_when_started(monkeypatch, prove)
    started = command("start", "--home", home.root, "--password-file", home.root.parent / "password")
    assert started.exit_code == 0, started.stderr
    stop_when_started(monkeypatch)
    return home


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_or_does_not_matter(grown: NodeHome, command: Command, name: str) -> None:
    undamaged = grown.root.with_name("undamaged")
    grown.root.rename(undamaged)
    for fault in FAULTS:
        shutil.copytree(undamaged, grown.root)
        (damaged,) = (path for path in (grown.root / name, *(grown.root / name).glob("*")) if path.is_file())
        fault(damaged)
        started = command("start", "--home", grown.root, "--password-file", grown.root.parent / "password")
        assert started.exit_code == 0 or (started.exit_code == 1 and name not in HARMLESS), fault.__name__
        if started.exit_code:
            says = started.stderr.splitlines()[-1]
            assert says.startswith("error: "), (fault.__name__, says)
            assert str(grown.root / name) in says, (fault.__name__, says)
            if fault is not directory:
                assert CURES[name] in says, (fault.__name__, says)
        shutil.rmtree(grown.root)
