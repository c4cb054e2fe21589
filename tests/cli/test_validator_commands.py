"""`step-node validator`: each command signs what it was told with the owner's key, and sends that to the node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from step_node.cli import waiting
from step_node.cli.error_lines import CommandError
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json, parse_operation
from step_node.operations.operation import Operation, operation_id
from step_node.parameters import USTEP_PER_STEP
from step_node.signing.key_file import create_key_file
from tests.cli.conftest import PRIVATE_KEY, Command

HOT_KEY = bytes([7]) * 32
VALIDATOR = bytes(range(20))
OWNER = "0x" + client_signing.address_of_key(PRIVATE_KEY).hex()
CHAIN_ID, SEQUENCE = "step-test-1", 3
ADDRESS = "/dns4/node.example/tcp/26600/p2p/16Uiu2HAm1zXhWsn2hTkGsWUFNFgUEXYvmZCTkFTvh1aHiMSpFMTX"

REGISTER = client_signing.register(
    owner_key=PRIVATE_KEY,
    hot_key=HOT_KEY,
    chain_id=CHAIN_ID,
    sequence=SEQUENCE,
    stake_ustep=100_000 * USTEP_PER_STEP,
    p2p_address=ADDRESS,
)
ROTATE_KEY = client_signing.rotate_key(
    owner_key=PRIVATE_KEY, new_hot_key=HOT_KEY, chain_id=CHAIN_ID, sequence=SEQUENCE, validator=VALIDATOR
)
UNBOND = client_signing.unbond(owner_key=PRIVATE_KEY, chain_id=CHAIN_ID, sequence=SEQUENCE, validator=VALIDATOR)
SET_ADDRESS = client_signing.set_address(
    owner_key=PRIVATE_KEY, chain_id=CHAIN_ID, sequence=SEQUENCE, validator=VALIDATOR, p2p_address=ADDRESS
)
WITHDRAW = client_signing.withdraw(owner_key=PRIVATE_KEY, chain_id=CHAIN_ID, sequence=SEQUENCE, validator=VALIDATOR)


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """What was sent to a node that knows the owner."""
    sent: list[tuple[str, object]] = []
    answers: dict[str, dict[str, object]] = {
        "/status": {"chainId": CHAIN_ID},
        f"/account/{OWNER}": {"nextSequence": SEQUENCE},
    }

    def post_json(_url: str, path: str, body: object, *, parameters: dict[str, str]) -> dict[str, object]:
        assert parameters == {}
        sent.append((path, body))
        kind = path.rpartition("/")[2]
        name = f"0x{operation_id(parse_operation(kind, cast(dict[str, Any], body)), CHAIN_ID).hex()}"
        answers[f"/operation/{name}"] = {"ok": True, "operationId": name, "status": "applied", "height": 42}
        return {"ok": True, "operationId": name, "status": "pending"}

    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: answers[path])
    monkeypatch.setattr("step_node.cli.http_calls.post_json", post_json)
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0)
    return sent


@pytest.mark.parametrize(
    ("name", "takes_hot_key", "options", "operation"),
    [
        ("register", True, ["--stake", "100000", "--p2p-address", ADDRESS], REGISTER),
        ("unbond", False, ["--validator", "0x" + VALIDATOR.hex()], UNBOND),
        ("withdraw", False, ["--validator", "0x" + VALIDATOR.hex()], WITHDRAW),
        ("rotate-key", True, ["--validator", "0x" + VALIDATOR.hex()], ROTATE_KEY),
        ("set-address", False, ["--validator", "0x" + VALIDATOR.hex(), "--p2p-address", ADDRESS], SET_ADDRESS),
    ],
)
def test_a_command_sends_the_operation_signed(
    command: Command,
    key_file: Path,
    tmp_path: Path,
    posted: list[tuple[str, object]],
    name: str,
    takes_hot_key: bool,
    options: list[str],
    operation: Operation,
) -> None:
    hot_key_file = tmp_path / "hot.hex"
    create_key_file(hot_key_file, HOT_KEY)
    hot = ["--hot-key-file", hot_key_file] if takes_hot_key else []
    result = command("validator", name, *options, "--owner-key-file", key_file, *hot)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("applied in batch 42\n")
    assert ("says what comes next" in result.stdout) == (name != "withdraw")
    assert posted == [(f"/validator/{name}", operation_json(operation))]


@pytest.mark.parametrize("text", ["0x12", "0x" + "12 " * 13 + "1", "0x" + "1 2 " * 10])
def test_what_is_no_address_is_refused_before_anything_is_sent(
    command: Command, key_file: Path, posted: list[tuple[str, object]], text: str
) -> None:
    result = command("validator", "unbond", "--validator", text, "--owner-key-file", key_file)
    assert result.exit_code == 2
    assert "must be 0x and 40 hex digits" in result.stderr
    assert posted == []


@pytest.mark.parametrize("name", ["register", "set-address"])
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("node.example:26600", "must be a multiaddr"),
        ("/ip4/127.0.0.1/tcp/70000", "must be a multiaddr"),
        ("/dns4/node.example/tcp/26600", "must end in /p2p/<peer id>"),
    ],
)
def test_an_address_at_which_nobody_could_be_dialled_is_refused_before_anything_is_sent(
    command: Command, key_file: Path, posted: list[tuple[str, object]], name: str, text: str, rule: str
) -> None:
    own: dict[str, list[object]] = {
        "register": ["--stake", "100000", "--hot-key-file", key_file],
        "set-address": ["--validator", "0x" + VALIDATOR.hex()],
    }
    result = command("validator", name, *own[name], "--p2p-address", text, "--owner-key-file", key_file)
    assert result.exit_code == 2
    assert rule in " ".join(result.stderr.replace("│", " ").split())
    assert posted == []


def test_whoever_does_not_wait_is_told_where_to_ask(
    command: Command, key_file: Path, posted: list[tuple[str, object]]
) -> None:
    name = f"0x{operation_id(UNBOND, CHAIN_ID).hex()}"
    options = ["--validator", "0x" + VALIDATOR.hex(), "--owner-key-file", key_file, "--url", "http://node/"]
    result = command("validator", "unbond", *options, "--wait-seconds", "0")
    assert result.exit_code == 0
    assert f"in no batch yet: an idle chain makes one when a proof comes; http://node/operation/{name}" in result.stdout
    assert len(posted) == 1


def test_an_operation_that_the_chain_has_moved_past_is_no_success(
    command: Command, key_file: Path, posted: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = {"ok": True, "status": "dropped", "code": "WRONG_SEQUENCE", "message": "sequence: the owner's next is 4"}
    told: dict[str, dict[str, object]] = {"/status": {"chainId": CHAIN_ID}, f"/account/{OWNER}": {"nextSequence": 3}}
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: told.get(path, dropped))
    result = command("validator", "unbond", "--validator", "0x" + VALIDATOR.hex(), "--owner-key-file", key_file)
    assert result.exit_code == 1
    assert "error: WRONG_SEQUENCE: sequence: the owner's next is 4" in result.stderr
    assert len(posted) == 1


PAST, TO_COME = "2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"


def entry(state: str, **fields: object) -> dict[str, object]:
    return {"address": "0x" + VALIDATOR.hex(), "state": state, "owner": OWNER, "lockedUntil": None, **fields}


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (entry("waiting", activeFromHeight=50), "it joins the set with batch 50, after 7 more"),
        (entry("active"), f"what it earns is in its owner's account, {OWNER}"),
        (entry("leaving"), "its node must run until then"),
        (entry("unbonding", lockedUntil=TO_COME), f"its stake is locked until {TO_COME}; from then on `step-node"),
        (entry("unbonding", lockedUntil=PAST), "its stake is free: `step-node validator withdraw` takes"),
        (entry("jailed", lockedUntil=TO_COME), f"locked until {TO_COME}; from then on `step-node validator register`"),
        (entry("jailed", lockedUntil=PAST), "its stake is free: `step-node validator register` with the same key"),
        (entry("rotated"), "another key has taken its place"),
        (entry("promoted"), "this program does not know the state promoted"),
    ],
)
def test_what_comes_next_is_said_for_each_state(
    command: Command, monkeypatch: pytest.MonkeyPatch, record: dict[str, object], sentence: str
) -> None:
    answers: dict[str, dict[str, object]] = {
        "/status": {"height": 42},
        "/validators/0x1": {"ok": True, "validator": record},
    }
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: answers[path])
    result = command("validator", "show", "--validator", "0x1")
    assert result.exit_code == 0
    assert sentence in result.stdout.rpartition("\nnext: ")[2]


NOT_FOUND: dict[str, object] = {"ok": False, "code": "VALIDATOR_NOT_FOUND", "message": "address: is not a validator's"}

Watch = Callable[..., list[str]]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Have a node answer about the validator with these, one after another, the last for ever; the paths asked."""

    def answering(*said: dict[str, object] | CommandError) -> list[str]:
        asked: list[str] = []
        left = list(said)

        def get_json(_url: str, path: str) -> dict[str, object]:
            asked.append(path)
            if path == "/status":
                return {"height": 42}
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, CommandError):
                raise answer
            return answer

        monkeypatch.setattr("step_node.cli.http_calls.get_json", get_json)
        monkeypatch.setattr(waiting, "LOOK_SECONDS", 0)
        return asked

    return answering


def until_active(command: Command, *more: object) -> tuple[int, str, str]:
    result = command("validator", "show", "--validator", "0x" + VALIDATOR.hex(), "--until", "active", *more)
    return result.exit_code, result.stdout, result.stderr


def test_a_state_is_waited_for_and_what_it_waits_for_is_told_once(command: Command, watched: Watch) -> None:
    waiting = {"ok": True, "validator": entry("waiting", activeFromHeight=50)}
    active = {"ok": True, "validator": entry("active")}
    watched(NOT_FOUND, {"ok": False, "code": "RATE_LIMITED"}, waiting, waiting, active)
    status, shown, meanwhile = until_active(command)
    assert status == 0
    assert "active" in shown
    assert meanwhile.count("waiting: it joins the set with batch 50, after 7 more") == 1


def test_a_node_that_is_away_for_a_while_does_not_end_the_wait_and_one_that_never_answers_does(
    command: Command, watched: Watch
) -> None:
    away = CommandError("http://node: cannot be reached")
    watched(NOT_FOUND, away, {"ok": True, "validator": entry("active")})
    assert until_active(command)[0] == 0
    asked = watched(away)
    status, _, error = until_active(command)
    assert (status, len(asked)) == (1, 1)
    assert "error: http://node: cannot be reached" in error


def test_a_wait_ends_with_what_is_still_waited_for(command: Command, watched: Watch) -> None:
    watched({"ok": True, "validator": entry("jailed", lockedUntil=TO_COME)})
    status, shown, error = until_active(command, "--wait-seconds", "0")
    assert (status, shown) == (1, "")
    assert f"error: not active after 0 s; jailed: its stake is locked until {TO_COME}" in error


def test_a_refusal_that_does_not_pass_ends_the_wait(command: Command, watched: Watch) -> None:
    asked = watched({"ok": False, "code": "INVALID_PAYLOAD", "message": "address: no"})
    assert until_active(command)[0] == 1
    assert len(asked) == 1


def test_a_state_is_waited_for_of_one_validator(command: Command) -> None:
    result = command("validator", "show", "--until", "active")
    assert result.exit_code == 2
    assert "needs --validator" in result.stderr
