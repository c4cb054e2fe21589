"""`start` and `devnet` as real processes: what they print, how they stop, and what is left of them: nothing."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from step_node.home.config import load_config
from step_node.home.paths import NodeHome
from step_node.testing.devnet.certificate import machine_addresses
from tests.cli.conftest import SECONDS_MAX, Command, Start, read_until
from tests.support.waiting import block_until


def processes_of(directory: Path) -> list[str]:
    """The command lines of running processes that name this directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(directory) in argument for argument in arguments) and str(os.getpid()) != entry.parent.name:
            found.append(" ".join(arguments))
    return found


def assert_nothing_is_left(directory: Path) -> None:
    block_until(lambda: not processes_of(directory))
    assert not list(directory.glob("step-devnet-*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_says_what_it_serves_and_a_signal_stops_it_cleanly(
    start: Start, command: Command, home: NodeHome, password_file: Path, number: signal.Signals
) -> None:
    node = start("start", "--home", home.root, "--password-file", password_file)
    shown = read_until(node, "Running.")
    url = f"http://127.0.0.1:{load_config(home.config).api.port}"
    assert any(url in line for line in shown)
    assert any(line == f"app      {url}/app/\n" for line in shown)

    status = command("status", "--url", url, "--json")
    assert (status.exit_code, json.loads(status.stdout)["health"]["status"]) == (0, "ok")
    told = command("status", "--url", url).stdout
    assert "alone" in told
    assert json.loads(status.stdout)["p2pAddresses"][0] in told, "however long, it is not broken"

    second = start("start", "--home", home.root, "--password-file", password_file)
    _, errors = second.communicate(timeout=SECONDS_MAX)
    assert second.returncode == 1
    assert "in use by process" in errors

    node.send_signal(number)
    output, _ = node.communicate(timeout=SECONDS_MAX)
    assert node.returncode == 0
    assert output.endswith("stopped\n")


@pytest.mark.slow
def test_with_json_logs_every_line_of_either_output_is_json(start: Start, home: NodeHome, password_file: Path) -> None:
    home.config.write_text(home.config.read_text().replace('format = "console"', 'format = "json"'))
    node = start("start", "--home", home.root, "--password-file", password_file)
    assert node.stderr is not None
    lines: list[str] = []
    for line in node.stderr:
        lines.append(line)
        if "Running." in line:
            break
    second = start("start", "--home", home.root, "--password-file", password_file)
    output, errors = second.communicate(timeout=SECONDS_MAX)
    assert (second.returncode, output) == (1, "")
    assert "in use by process" in json.loads(errors.splitlines()[-1])["reason"]

    node.send_signal(signal.SIGTERM)
    output, rest = node.communicate(timeout=SECONDS_MAX)
    assert (node.returncode, output) == (0, "")
    told = [json.loads(line) for line in (*lines, *rest.splitlines(), *errors.splitlines())]
    assert any("API" in one["event"] for one in told)
    assert json.loads(rest.splitlines()[-1])["event"] == "stopped"


@pytest.mark.slow
def test_a_port_in_use_is_an_error_that_names_it(
    start: Start, command: Command, home: NodeHome, password_file: Path, tmp_path: Path
) -> None:
    read_until(start("start", "--home", home.root, "--password-file", password_file), "Running.")
    port = load_config(home.config).api.port
    options = ("--chain-id", "other", "--validator", "--api-port", port, "--p2p-port", 0)
    command("init", "--home", tmp_path / "other", *options, "--password-file", password_file)
    other = start("start", "--home", tmp_path / "other", "--password-file", password_file)
    _, errors = other.communicate(timeout=SECONDS_MAX)
    assert other.returncode == 1
    assert errors.splitlines()[-1].startswith("error: ")
    assert str(port) in errors.splitlines()[-1]


def test_a_node_does_not_start_without_its_home_or_with_a_wrong_password(
    command: Command, home: NodeHome, password_file: Path, tmp_path: Path
) -> None:
    missing = command("start", "--home", tmp_path / "nowhere")
    assert (missing.exit_code, "step-node init" in missing.stderr) == (1, True)
    password_file.write_text("wrong\n")
    wrong = command("start", "--home", home.root, "--password-file", password_file)
    assert wrong.exit_code == 1
    assert "the password is wrong" in wrong.stderr
    home.genesis.write_text("{}")
    bad = command("start", "--home", home.root, "--password-file", password_file)
    assert bad.exit_code == 1
    assert str(home.genesis) in bad.stderr
    assert "chain_id" in bad.stderr


@pytest.mark.slow
def test_a_devnet_finalises_every_proof_and_ends_with_one_json_object(start: Start, tmp_path: Path) -> None:
    network = start("devnet", "--base-port", 0, "--proofs", 30, "--json")
    output, errors = network.communicate(timeout=SECONDS_MAX)
    assert network.returncode == 0, errors
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert (result["submitted"], result["finalised"], result["rejected"]) == (30, 30, {})
    assert (result["state_roots_equal"], result["validators"]) == (True, 4)
    assert result["height"] >= 1
    assert 0 < result["finality_ms"]["p50"] <= result["finality_ms"]["p95"] <= result["finality_ms"]["p99"]
    assert result["proofs_per_second"] > 0
    assert set(result) == {
        *("submitted", "finalised", "rejected", "proofs_per_second", "finality_ms"),
        *("height", "state_roots_equal", "validators"),
    }
    assert "curl" in errors
    banner = errors[errors.index("Open") :]
    assert re.match(r"Open  http://localhost:\d+/app/ ", banner), "the link to the app comes first"
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_a_devnet_over_tls_is_used_by_its_own_walkers_and_shown_as_a_code(start: Start, tmp_path: Path) -> None:
    options = ("--base-port", 0, "--validators", 1, "--tls", "--host", "0.0.0.0")
    network = start("devnet", *options, "--proofs", 5, "--json")
    output, errors = network.communicate(timeout=SECONDS_MAX)
    assert network.returncode == 0, errors
    assert json.loads(output.splitlines()[-1])["finalised"] == 5
    assert re.search(r"Open  https://localhost:\d+/app/", errors)
    assert "curl -s --cacert" in errors
    if machine_addresses():
        assert "For a phone" in errors
        assert "█▀" in errors
    assert_nothing_is_left(tmp_path)


@pytest.mark.long
def test_a_devnet_with_a_double_signer_slashes_it_and_ends_well(start: Start, tmp_path: Path) -> None:
    network = start("devnet", "--base-port", 0, "--byzantine", "double-sign", "--proofs", 60, "--json")
    output, errors = network.communicate(timeout=SECONDS_MAX)
    assert network.returncode == 0, errors
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    assert (result["finalised"], result["state_roots_equal"]) == (60, True)
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_a_devnet_stops_at_a_signal_and_leaves_no_process_or_file(start: Start, tmp_path: Path) -> None:
    network = start("devnet", "--base-port", 0, "--validators", 2, "--json")
    ready = json.loads(read_until(network, "{")[-1])
    assert len(ready["urls"]) == 2
    assert [link.removesuffix("/app/") for link in ready["apps"]] == ready["urls"]
    with httpx.Client(base_url=ready["urls"][0]) as client:
        assert client.get("/app/nodes.json").json() == ready["urls"]
        # Simulated people walk, and are paid.
        block_until(lambda: client.get("/leaderboard").json()["accounts"])
    network.send_signal(signal.SIGTERM)
    network.communicate(timeout=SECONDS_MAX)
    assert network.returncode == 0
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_a_second_signal_ends_a_devnet_at_once_and_its_nodes_with_it(start: Start, tmp_path: Path) -> None:
    network = start("devnet", "--base-port", 0, "--validators", 2, "--home", tmp_path / "kept", "--json")
    home = Path(json.loads(read_until(network, "{")[-1])["home"])
    for index in range(2):
        # A node that has been halted does not stop when it is asked to, so the first signal has to wait for it.
        os.kill(int((home / f"node{index}" / "lock").read_text()), signal.SIGSTOP)
    network.send_signal(signal.SIGINT)
    assert network.stderr is not None
    while "once more" not in network.stderr.readline():
        pass
    network.send_signal(signal.SIGINT)
    network.communicate(timeout=SECONDS_MAX)
    assert network.returncode == -signal.SIGINT
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_a_node_that_dies_ends_the_devnet_which_says_which_one(start: Start, tmp_path: Path) -> None:
    network = start("devnet", "--base-port", 0, "--validators", 2, "--json")
    home = Path(json.loads(read_until(network, "{")[-1])["home"])
    os.kill(int((home / "node1" / "lock").read_text()), signal.SIGKILL)
    _, errors = network.communicate(timeout=SECONDS_MAX)
    assert network.returncode == 1
    assert "error: node 1 ended with SIGKILL; the end of" in errors
    assert "Traceback" not in errors
    assert_nothing_is_left(tmp_path)


@pytest.mark.slow
def test_the_nodes_stop_even_when_the_devnet_is_killed(start: Start, tmp_path: Path) -> None:
    network = start("devnet", "--base-port", 0, "--validators", 2, "--home", tmp_path / "kept", "--json")
    read_until(network, "{")
    network.kill()
    network.communicate(timeout=SECONDS_MAX)
    assert_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        ("--mongodb-uri", "mongodb://x"),
        ("--store", "mongodb", "--home", "kept"),
        ("--rate", "3"),
        ("--walkers", "3", "--proofs", "1"),
        ("--walkers", "201"),
        ("--validators", "0"),
        ("--proofs", "0"),
        ("--store", "paper"),
        ("--byzantine", "rude"),
        ("--byzantine", "silent", "--validators", "3"),
    ],
)
def test_a_devnet_that_cannot_be_is_wrong_usage(command: Command, options: tuple[str, ...]) -> None:
    assert command("devnet", *options).exit_code == 2


def test_a_devnet_goes_on_only_with_homes_that_fit(command: Command, tmp_path: Path) -> None:
    made = command("testnet", "--output", tmp_path / "net", "--validators", 2)
    assert made.exit_code == 0
    for validators in (1, 3):
        result = command("devnet", "--home", tmp_path / "net", "--validators", validators)
        assert result.exit_code == 1
        assert "--validators" in result.stderr
    uri = ("--store", "mongodb", "--mongodb-uri", "mongodb://127.0.0.1:9/?replicaSet=rs0")
    result = command("devnet", "--home", tmp_path / "net", "--validators", 2, *uri)
    assert result.exit_code == 1
    assert "storage.engine is sqlite" in result.stderr
