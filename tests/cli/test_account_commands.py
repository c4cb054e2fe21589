"""`step-node account`: what is signed and sent, how long it is waited for, and what is shown of an account."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from step_node.cli import waiting
from step_node.cli.error_lines import CommandError
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json, parse_operation
from step_node.operations.operation import operation_id, verify_operation
from tests.cli.conftest import PRIVATE_KEY, Command

CHAIN_ID, SEQUENCE = "step-test-1", 3
OWNER = "0x" + client_signing.address_of_key(PRIVATE_KEY).hex()
FRIEND = "0x" + bytes(range(20)).hex()
SENT = client_signing.transfer(
    owner_key=PRIVATE_KEY,
    chain_id=CHAIN_ID,
    sequence=SEQUENCE,
    to=bytes(range(20)),
    amount_ustep=1_500_000,
    memo="rent",
)
ID = f"0x{operation_id(SENT, CHAIN_ID).hex()}"
OPTIONS = ("--to", FRIEND, "--amount", "1.5", "--memo", "rent")
PENDING: dict[str, object] = {"ok": True, "status": "pending", "operationId": ID}
APPLIED = PENDING | {"status": "applied", "height": 42}
NOT_FOUND: dict[str, object] = {"ok": False, "code": "OPERATION_NOT_FOUND", "message": "operationId: …"}

Said = dict[str, object] | CommandError
"""What a node answers, or why it does not."""

Node = Callable[..., list[tuple[str, object]]]


def said(answer: Said) -> dict[str, object]:
    if isinstance(answer, CommandError):
        raise answer
    return answer


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """A node that answers so to what is posted, and to each question for the operation; what was posted."""

    def answering(posted: Said, *looks: Said) -> list[tuple[str, object]]:
        sent: list[tuple[str, object]] = []
        remaining = list(looks)

        def get_json(_url: str, path: str) -> dict[str, object]:
            if path == f"/operation/{ID}":
                return said(remaining.pop(0))
            answers: dict[str, dict[str, object]] = {
                "/status": {"chainId": CHAIN_ID},
                f"/account/{OWNER}": {"nextSequence": SEQUENCE},
            }
            return answers[path]

        def post_json(_url: str, path: str, body: object, *, parameters: dict[str, str]) -> dict[str, object]:
            assert parameters == {}
            sent.append((path, body))
            return said(posted)

        monkeypatch.setattr("step_node.cli.http_calls.get_json", get_json)
        monkeypatch.setattr("step_node.cli.http_calls.post_json", post_json)
        monkeypatch.setattr(waiting, "LOOK_SECONDS", 0)
        return sent

    return answering


def test_a_transfer_is_signed_sent_and_waited_for(command: Command, key_file: Path, node: Node) -> None:
    sent = node(PENDING, PENDING, {"ok": False, "code": "RATE_LIMITED"}, APPLIED)
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS)
    assert (result.exit_code, result.output) == (
        0,
        f"sent 1.500000 STEP to {FRIEND}: final in batch 42, operation {ID}\n",
    )
    assert sent == [("/account/transfer", operation_json(SENT))]


@pytest.mark.parametrize(
    ("chain_id", "sequence"),
    [(f"{CHAIN_ID}|owner:0x00", 1), ("", 1), (None, 1), (CHAIN_ID, True), (CHAIN_ID, "1|to:0x00")],
)
def test_a_chain_or_a_number_that_a_node_makes_up_is_not_signed(
    command: Command, key_file: Path, node: Node, monkeypatch: pytest.MonkeyPatch, chain_id: object, sequence: object
) -> None:
    sent = node(PENDING)
    told = {"/status": {"chainId": chain_id}, f"/account/{OWNER}": {"nextSequence": sequence}}
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: told[path])
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS)
    assert (result.exit_code, sent) == (1, [])
    assert "does not tell its chain" in result.stderr


def test_one_that_the_node_has_forgotten_is_handed_in_again(command: Command, key_file: Path, node: Node) -> None:
    sent = node(PENDING, NOT_FOUND, APPLIED)
    assert command("account", "transfer", "--from-key-file", key_file, *OPTIONS).exit_code == 0
    assert sent == [("/account/transfer", operation_json(SENT))] * 2


def test_a_node_that_is_away_meanwhile_is_asked_again_since_a_second_transfer_would_pay_twice(
    command: Command, key_file: Path, node: Node
) -> None:
    away = CommandError("http://node: cannot be reached")
    sent = node(PENDING, away, away, APPLIED)
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS)
    assert result.exit_code == 0
    assert result.stderr.count("asked for again: http://node: cannot be reached") == 1
    assert len(sent) == 1


def test_where_the_answer_to_the_transfer_is_lost_it_is_said_that_it_may_have_been_taken_in(
    command: Command, key_file: Path, node: Node
) -> None:
    node(CommandError("http://node: no answer within 10 s"))
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS, "--url", "http://node/")
    assert result.exit_code == 1
    assert (
        f"no answer within 10 s. It may have been taken in all the same: before you sign it again, ask http://node/operation/{ID}"
        in result.stderr
    )


def test_whoever_does_not_wait_is_told_where_to_ask(command: Command, key_file: Path, node: Node) -> None:
    node(PENDING)
    result = command(
        "account", "transfer", "--from-key-file", key_file, *OPTIONS, "--wait-seconds", "0", "--url", "http://node/"
    )
    assert result.exit_code == 0
    assert f"not final yet: 1.500000 STEP to {FRIEND}; http://node/operation/{ID} tells" in result.output


@pytest.mark.parametrize(
    "answer",
    [
        {"ok": False, "code": "INSUFFICIENT_BALANCE", "message": "amount: the owner's balance is 1.000000 STEP"},
        PENDING | {"status": "dropped", "code": "WRONG_SEQUENCE", "message": "sequence: the owner's next is 4"},
    ],
)
def test_a_refusal_or_a_drop_is_an_error(
    command: Command, key_file: Path, node: Node, answer: dict[str, object]
) -> None:
    node(answer)
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS)
    assert result.exit_code == 1
    assert f"error: {answer['code']}: {answer['message']}" in result.output


def test_a_node_that_speaks_of_another_operation_is_not_believed(command: Command, key_file: Path, node: Node) -> None:
    node(PENDING | {"operationId": "0x" + "11" * 32})
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS)
    assert result.exit_code == 1
    assert "another operation" in result.output


def test_json_is_the_node_s_last_answer(command: Command, key_file: Path, node: Node) -> None:
    node(PENDING, APPLIED)
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS, "--json")
    assert json.loads(result.stdout) == APPLIED


def test_offline_nothing_is_asked_and_the_operation_is_good(command: Command, key_file: Path) -> None:
    result = command(
        *("account", "transfer", "--from-key-file", key_file, *OPTIONS, "--offline"),
        *("--chain-id", CHAIN_ID, "--sequence", SEQUENCE),
    )
    assert result.exit_code == 0, result.output
    operation = parse_operation("transfer", json.loads(result.stdout))
    assert operation == SENT
    verify_operation(operation, CHAIN_ID)
    assert ID in result.stderr


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("--to", "0x12"), "--to"),
        (("--to", "0x" + "00" * 20), "--to"),
        (("--to", OWNER), "--to"),
        (("--amount", "0"), "amount"),
        (("--amount", "1.0000001"), "amount"),
        (("--amount", "1,5"), "amount"),
        (("--memo", "é" * 33), "--memo"),
        (("--memo", "a\nb"), "--memo"),
        (("--sequence", "3"), "--offline"),
        (("--offline",), "--offline"),
    ],
)
def test_what_cannot_be_sent_is_named_before_anything_is_signed(
    command: Command, key_file: Path, changed: tuple[str, ...], named: str
) -> None:
    result = command("account", "transfer", "--from-key-file", key_file, *OPTIONS, *changed)
    assert result.exit_code in (1, 2)
    assert named in result.output


def test_an_account_is_shown_with_what_it_has_done(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    account: dict[str, object] = {
        "ok": True,
        "account": OWNER,
        "balance": "0.750000",
        "proofs": 1,
        "rank": None,
        "lastProofAt": "2026-01-31T12:00:00.000Z",
        "nextSequence": 1,
        "transactions": [
            {"timestamp": "2026-01-31T12:00:10.000Z", "type": "transfer_out", "amount": "0.250000",
             "counterpart": FRIEND, "memo": "rent"},
            {"timestamp": "2026-01-31T12:00:00.000Z", "type": "proof", "reward": "1.000000", "triangleId": "STEP-TRI"},
        ],
    }  # fmt: skip
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: {f"/account/{OWNER}": account}[path])
    shown = command("account", "show", OWNER)
    assert shown.exit_code == 0
    for text in ("0.750000", "transfer_out", "0.250000", FRIEND, "rent", "STEP-TRI", "nextSequence"):
        assert text in shown.output
    assert json.loads(command("account", "show", OWNER, "--json").stdout) == account
    assert command("account", "show", "0x12").exit_code == 2
