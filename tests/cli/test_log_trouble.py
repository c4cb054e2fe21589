"""`start` as a real process whose log nobody reads, or which has no room for it: it goes on making its chain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

import httpx
import pytest

from step_node.home.config import load_config
from step_node.home.paths import NodeHome
from step_node.signing.key_file import create_key_file
from tests.cli.conftest import STEP_NODE, Command
from tests.support.waiting import block_until

Started: TypeAlias = subprocess.Popen[bytes]
StartWith: TypeAlias = Callable[..., Started]

pytestmark = [pytest.mark.slow, pytest.mark.long]
SECONDS_MAX = 600.0
"""A start and a stop take seconds, and minutes on a machine with much else to do."""


@pytest.fixture
def start_with(home: NodeHome, password_file: Path, tmp_path: Path) -> Iterator[StartWith]:
    """Start the node of `home` with these descriptors, logging at debug; killed in the end."""
    processes: list[Started] = []

    def call(*, stdout: int | IO[bytes], stderr: int | IO[bytes], shell: str = "") -> Started:
        command = [*STEP_NODE, "start", "--home", str(home.root), "--password-file", str(password_file)]
        if shell:
            command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
        environment = os.environ | {"TMPDIR": str(tmp_path), "STEP_LOG__LEVEL": "debug"}
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment)
        processes.append(process)
        return process

    yield call
    for process in processes:
        process.kill()
        process.communicate()


def figures_after_a_proof(process: Started, home: NodeHome, command: Command, key_file: Path) -> str:
    """Have the node finalise a proof, and give its metrics."""
    url = f"http://127.0.0.1:{load_config(home.config).api.port}"

    def answers() -> bool:
        assert process.poll() is None, process.returncode
        with suppress(httpx.TransportError):
            httpx.get(f"{url}/health")
            return True
        return False

    block_until(answers, seconds_max=SECONDS_MAX)
    signed = command("proof", "sign", "--lat", 1, "--lon", 1, "--key-file", key_file).stdout
    submitted = command("proof", "submit", "--url", url, "--wait-ms", 30_000, stdin=signed)
    assert submitted.exit_code == 0, submitted.output
    assert json.loads(submitted.stdout)["height"] >= 1, "it is final"
    return httpx.get(f"{url}/metrics", timeout=SECONDS_MAX).text


def assert_stops_cleanly(process: Started) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 0


def test_a_full_disk_under_the_log_costs_lines_and_nothing_else(
    start_with: StartWith, home: NodeHome, command: Command, key_file: Path
) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start_with(stdout=full, stderr=full)
    figures = figures_after_a_proof(process, home, command, key_file)
    assert 'step_log_lines_dropped_total{reason="write_failed"} 0.0' not in figures
    assert "step_log_lines_summed_up_total" in figures
    assert_stops_cleanly(process)


def test_a_pipe_that_was_closed_costs_lines_and_nothing_else(
    start_with: StartWith, home: NodeHome, command: Command, key_file: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start_with(stdout=writing, stderr=writing)
    os.close(writing)
    figures_after_a_proof(process, home, command, key_file)
    assert_stops_cleanly(process)


def test_a_pipe_that_nobody_reads_keeps_nobody_waiting(
    start_with: StartWith, home: NodeHome, command: Command, key_file: Path
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, bytes(512))
        except BlockingIOError:
            break
    os.set_blocking(writing, True)  # full now: the first line blocks, and each after it
    process = start_with(stdout=writing, stderr=writing)
    os.close(writing)
    figures_after_a_proof(process, home, command, key_file)
    assert_stops_cleanly(process)
    os.close(reading)


def test_a_node_without_a_standard_error_writes_its_lines_into_no_other_file(
    start_with: StartWith, home: NodeHome, command: Command, key_file: Path
) -> None:
    process = start_with(stdout=subprocess.PIPE, stderr=subprocess.PIPE, shell="2>&- >&-")
    figures_after_a_proof(process, home, command, key_file)
    for descriptor in (1, 2):
        assert Path(f"/proc/{process.pid}/fd/{descriptor}").readlink() == Path(os.devnull)
    assert_stops_cleanly(process)


def test_a_hang_up_is_a_line_of_the_log_and_stops_nothing(
    start_with: StartWith, home: NodeHome, command: Command, key_file: Path, tmp_path: Path
) -> None:
    log = tmp_path / "node.log"
    # The process inherits it, and whoever runs the tests may ignore the signal.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with log.open("wb") as file:
        process = start_with(stdout=file, stderr=file)
    signal.signal(signal.SIGHUP, inherited)
    figures_after_a_proof(process, home, command, key_file)
    process.send_signal(signal.SIGHUP)
    block_until(lambda: "the settings have been read again" in log.read_text(), seconds_max=SECONDS_MAX)
    other_key = tmp_path / "other.hex"
    create_key_file(other_key, bytes(range(2, 34)))
    figures_after_a_proof(process, home, command, other_key)
    assert_stops_cleanly(process)
    text = log.read_text()
    assert text.endswith("stopped\n"), "the last line is there"
    assert "[multiaddr" not in text, "each address that is parsed would be several lines"


@pytest.mark.parametrize("is_closed", [False, True])
def test_an_error_that_cannot_be_told_still_has_its_exit_status(
    start_with: StartWith, home: NodeHome, is_closed: bool
) -> None:
    home.genesis.write_text("{}")
    if is_closed:
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open("/dev/full", os.O_WRONLY)
    process = start_with(stdout=writing, stderr=writing)
    os.close(writing)
    assert process.wait(SECONDS_MAX) == 1
