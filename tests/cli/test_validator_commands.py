"""`step-node validator`: each command signs what it was told with the owner's key, and sends that to the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from step_node.operations.operation import Operation
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
        return {"ok": True, "validator": "0xabc"}

    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: answers[path])
    monkeypatch.setattr("step_node.cli.http_calls.post_json", post_json)
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
    assert result.stdout.startswith("accepted; ")
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
