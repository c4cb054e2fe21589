"""`step-node upgrade`: what is proposed, approved and taken back is signed for the validator, and sent to the node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from tests.cli.conftest import PRIVATE_KEY, Command

OWN = client_signing.address_of_key(PRIVATE_KEY)
OTHER = bytes(range(20))
CHAIN_ID, SEQUENCE = "step-test-1", 3
PROPOSED = {"protocolVersion": 2, "activationHeight": 3_001, "release": "0.2.0", "isKnown": True}


@pytest.fixture
def answers() -> dict[str, Any]:
    """Of a node that knows a validator which owns itself, and one that this key owns."""
    return {
        "/status": {"chainId": CHAIN_ID, "validators": [], "peers": []},
        f"/account/0x{OWN.hex()}": {"nextSequence": SEQUENCE},
        f"/validators/0x{OWN.hex()}": {"ok": True, "validator": {"owner": f"0x{OWN.hex()}"}},
        f"/validators/0x{OTHER.hex()}": {"ok": True, "validator": {"owner": f"0x{OWN.hex()}"}},
        "/upgrade": {
            "height": 9,
            "inForce": {"protocolVersion": 1, "activationHeight": 1, "release": "", "isKnown": True},
            "agreed": None,
            "approvals": [{"validator": f"0x{OTHER.hex()}", "upgrade": PROPOSED}],
            "firstPossibleHeight": 2_001,
            "epochBatches": 1_000,
            "known": [{"protocolVersion": 1}, {"protocolVersion": 2}],
        },
    }


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[tuple[str, object]]:
    sent: list[tuple[str, object]] = []

    def post_json(_url: str, path: str, body: object, *, parameters: dict[str, str]) -> dict[str, object]:
        assert parameters == {}
        sent.append((path, body))
        return {"ok": True}

    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: answers[path])
    monkeypatch.setattr("step_node.cli.http_calls.post_json", post_json)
    return sent


def approval(validator: bytes) -> dict[str, object]:
    return operation_json(
        client_signing.approve_upgrade(
            key=PRIVATE_KEY,
            owner=OWN,
            chain_id=CHAIN_ID,
            sequence=SEQUENCE,
            validator=validator,
            protocol_version=2,
            activation_height=3_001,
            release="0.2.0",
        )
    )


def test_who_proposes_names_version_height_and_release(
    command: Command, key_file: Path, posted: list[tuple[str, object]]
) -> None:
    asked = ["--protocol-version", "2", "--height", "3001", "--release", "0.2.0", "--key-file", key_file]
    result = command("upgrade", "propose", *asked)
    assert result.exit_code == 0, result.stderr
    assert posted == [("/validator/approve-upgrade", approval(OWN))]


def test_who_approves_names_the_version_and_takes_the_rest_from_what_was_proposed(
    command: Command, key_file: Path, posted: list[tuple[str, object]]
) -> None:
    validator = ["--validator", "0x" + OTHER.hex()]
    result = command("upgrade", "approve", "--protocol-version", "2", *validator, "--key-file", key_file)
    assert result.exit_code == 0, result.stderr
    assert posted == [("/validator/approve-upgrade", approval(OTHER))]


def test_nothing_is_approved_that_nobody_has_proposed_or_that_several_things_could_mean(
    command: Command, key_file: Path, posted: list[tuple[str, object]], answers: dict[str, Any]
) -> None:
    result = command("upgrade", "approve", "--protocol-version", "3", "--key-file", key_file)
    assert (result.exit_code, posted) == (1, [])
    assert "nobody has proposed version 3" in result.stderr
    answers["/upgrade"]["agreed"] = PROPOSED | {"activationHeight": 4_001}
    result = command("upgrade", "approve", "--protocol-version", "2", "--key-file", key_file)
    assert (result.exit_code, posted) == (1, [])
    assert "several proposals" in result.stderr


def test_an_approval_is_taken_back(command: Command, key_file: Path, posted: list[tuple[str, object]]) -> None:
    result = command("upgrade", "cancel", "--key-file", key_file)
    assert result.exit_code == 0, result.stderr
    taken_back = client_signing.cancel_upgrade(
        key=PRIVATE_KEY, owner=OWN, chain_id=CHAIN_ID, sequence=SEQUENCE, validator=OWN
    )
    assert posted == [("/validator/cancel-upgrade", operation_json(taken_back))]


def test_a_release_that_is_no_name_is_refused_before_anything_is_sent(
    command: Command, key_file: Path, posted: list[tuple[str, object]]
) -> None:
    asked = ["--protocol-version", "2", "--height", "3001", "--release", "a b", "--key-file", key_file]
    result = command("upgrade", "propose", *asked)
    assert (result.exit_code, posted) == (1, [])
    assert "release: must be at most 32 of" in result.stderr


def test_show_says_what_is_in_force_approved_and_known(
    command: Command, posted: list[tuple[str, object]], answers: dict[str, Any]
) -> None:
    answers["/status"] |= {
        "version": "0.2.0",
        "knownProtocolVersions": [1, 2],
        "validators": [
            {"address": f"0x{OWN.hex()}", "stake": "1.000000", "isSelf": True},
            {"address": f"0x{OTHER.hex()}", "stake": "2.000000", "isSelf": False, "peerId": "16U"},
        ],
        "peers": [{"peerId": "16U", "version": "0.1.0+g0123456789ab", "protocolVersions": [1]}],
    }
    result = command("upgrade", "show")
    assert result.exit_code == 0, result.stderr
    assert "in force  version 1 from height 1 on\n" in result.stdout
    assert "agreed    nothing\n" in result.stdout
    assert "from height 2001 on" in result.stdout
    (other,) = [line for line in result.stdout.splitlines() if OTHER.hex() in line]
    assert "version 2 from height 3001 on, release 0.2.0" in other
    assert "0.1.0+g0123456789ab" in other
    assert posted == []
