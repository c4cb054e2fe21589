"""`step-node status`: everything in lines and tables that nothing breaks, whatever the node answers."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from step_node.cli import waiting
from step_node.cli.catching_up import what_is_lacking
from tests.cli.conftest import Command

OWN, OTHER, AWAY = ("0x" + digit * 40 for digit in "123")
PEER_ID = "16Uiu2HAm1zXhWsn2hTkGsWUFNFgUEXYvmZCTkFTvh1aHiMSpFMTX"
STRANGER_ID = "16Uiu2HAmPy4LR3FpAGNnGyFv5cDpJ2aYRS8Nng9pHbAkTzSMEU6v"


def answer() -> dict[str, Any]:
    """What a node says that has a validator and a stranger for peers."""
    return {
        "ok": True,
        "version": "0.1.0",
        "p2pAddresses": ["/ip4/127.0.0.1/tcp/26600/p2p/16Uiu2self", "/ip6/::1/tcp/26600/p2p/16Uiu2self"],
        "validatorAddress": OWN,
        "height": 42,
        "syncing": False,
        "switches": {"intake": True, "maps": False},
        "peers": [
            {
                "peerId": PEER_ID,
                "address": "/ip4/192.0.2.1/tcp/26600",
                "direction": "outbound",
                "version": "0.1.0",
                "height": 41,
                "validator": OTHER,
            },
            {
                "peerId": STRANGER_ID,
                "address": "/ip4/192.0.2.2/tcp/40000",
                "direction": "inbound",
                "version": None,
                "height": None,
                "validator": None,
            },
        ],
        "validators": [
            {"address": OWN, "stake": "100000.000000", "isSelf": True, "peerId": "16Uiu2self"},
            {"address": OTHER, "stake": "250000.000000", "isSelf": False, "peerId": PEER_ID},
            {"address": AWAY, "stake": "100000.000000", "isSelf": False, "peerId": None},
        ],
    }


HEALTH: dict[str, Any] = {
    "status": "degraded",
    "ready": False,
    "reasons": [{"code": "NO_QUORUM", "message": "1 of 4 validators", "figures": {}}],
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What the node answers, by path."""
    said: dict[str, dict[str, Any]] = {"/status": answer(), "/health": deepcopy(HEALTH)}
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: said[path])
    return said


@pytest.mark.usefixtures("answers")
def test_people_get_lines_and_two_tables(command: Command) -> None:
    result = command("status")
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "health            degraded",
        "ready             no",
        "reason            NO_QUORUM: 1 of 4 validators",
        "version           0.1.0",
        "p2pAddresses      /ip4/127.0.0.1/tcp/26600/p2p/16Uiu2self",
        "p2pAddresses      /ip6/::1/tcp/26600/p2p/16Uiu2self",
        f"validatorAddress  {OWN}",
        "height            42",
        "syncing           no",
        "switches          intake: on",
        "switches          maps: off",
        "",
        "2 peers",
        f"  {'peer id':<53}  direction  version  height  {'validator':<42}  address",
        f"  {PEER_ID:<53}  outbound   0.1.0        41  {OTHER}  /ip4/192.0.2.1/tcp/26600",
        f"  {STRANGER_ID:<53}  inbound    -             -  {'-':<42}  /ip4/192.0.2.2/tcp/40000",
        "",
        "3 validators, 1 of the others connected",
        f"  {'address':<42}  {'stake':<13}  {'node':<53}  version  height",
        f"  {OWN}  100000.000000  {'this node':<53}  0.1.0        42",
        f"  {OTHER}  250000.000000  {PEER_ID:<53}  0.1.0        41",
        f"  {AWAY}  100000.000000  {'-':<53}  -             -",
    ]


def test_programs_get_one_object(command: Command, answers: dict[str, dict[str, Any]]) -> None:
    result = command("status", "--json")
    assert json.loads(result.stdout) == answers["/status"] | {"health": answers["/health"]}


def test_who_is_known_by_nobody_is_told_what_to_do(command: Command, answers: dict[str, dict[str, Any]]) -> None:
    assert "set-address" not in command("status").stdout
    answers["/status"]["validators"][0]["peerId"] = None
    assert "step-node validator set-address" in command("status").stdout


def test_nobody_s_answer_reaches_the_terminal_as_a_command(
    command: Command, answers: dict[str, dict[str, Any]]
) -> None:
    answers["/status"]["peers"][0]["version"] = "\x1b[2J\u202e\ud800\r\n"
    answers["/status"]["peers"].append("no peer")
    answers["/status"]["chainId"] = "\x07bell"
    answers["/health"]["reasons"] = [{"code": "NO_QUORUM", "message": "\x9b31m"}, "no reason"]
    shown = command("status").stdout
    assert all(one.isprintable() for line in shown.split("\n") for one in line)
    assert r"\x1b[2J\u202e\ud800\r\n" in shown
    assert r"\x07bell" in shown
    assert r"\x9b31m" in shown
    assert "no peer" not in shown
    assert "no reason" not in shown


def test_a_node_without_peers_and_validators_is_shown(command: Command, answers: dict[str, dict[str, Any]]) -> None:
    answers["/status"] |= {"peers": [], "validators": []}
    assert command("status").stdout.splitlines()[-3:] == ["0 peers", "", "0 validators, 0 of the others connected"]


def test_a_node_that_is_down_is_exit_status_1(command: Command, answers: dict[str, dict[str, Any]]) -> None:
    answers["/health"]["status"] = "down"
    assert command("status").exit_code == 1


def peer(height: int | None) -> dict[str, Any]:
    return {"peerId": PEER_ID, "height": height}


READY: dict[str, Any] = {"status": "ok", "ready": True, "reasons": []}


@pytest.mark.parametrize(
    ("status", "health", "lacking"),
    [
        ({"height": 42, "syncing": False, "peers": [peer(43), peer(42), peer(None)]}, READY, None),
        ({"height": 42, "syncing": False, "peers": []}, READY, None),
        ({"height": 42, "syncing": False, "peers": [peer(9_000), peer(42), peer(41)]}, READY, None),  # One lies.
        ({"height": 0, "syncing": False, "peers": [peer(1_204)]}, READY, "catching up: height 0 of 1204, with 1 peers"),
        ({"height": 42, "syncing": True, "peers": [peer(41)]}, READY, "catching up: height 42 of 42, with 1 peers"),
        ({"height": 42, "syncing": False, "peers": [peer(42)]}, HEALTH, "not ready: NO_QUORUM: 1 of 4 validators"),
        ({"code": "NOT_READY", "message": "it starts"}, READY, "NOT_READY: it starts"),
    ],
)
def test_a_node_is_waited_for_until_it_is_ready_where_most_of_its_peers_are(
    status: dict[str, Any], health: dict[str, Any], lacking: str | None
) -> None:
    assert what_is_lacking(status, health) == lacking


def test_whoever_waits_is_told_how_far_the_node_has_come(
    command: Command, answers: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0)
    heights = iter([0, 0, 41])
    answers["/health"] = deepcopy(READY)

    def get_json(_url: str, path: str) -> dict[str, Any]:
        if path == "/status" and (height := next(heights, None)) is not None:
            answers["/status"]["height"] = height
        return answers[path]

    monkeypatch.setattr("step_node.cli.http_calls.get_json", get_json)
    result = command("status", "--wait-seconds", "600")
    assert result.exit_code == 0
    assert result.stderr == "catching up: height 0 of 41, with 2 peers\n"
    assert "height            41" in result.stdout


@pytest.mark.usefixtures("answers")
def test_a_wait_that_is_over_says_what_is_lacking(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0)
    result = command("status", "--wait-seconds", "0.001")
    assert result.exit_code == 1
    assert "error: not ready after 0.001 s; not ready: NO_QUORUM: 1 of 4 validators" in result.stderr
    assert result.stdout == ""
