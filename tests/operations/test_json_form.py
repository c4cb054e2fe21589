"""Operations as JSON, and signed as an owner signs them."""

from __future__ import annotations

import pytest

from step_node.operations import client_signing
from step_node.operations.json_form import OPERATIONS, name_of, operation_json, parse_operation, parse_ustep
from step_node.operations.operation import Operation, OperationCode, OperationRefused, Transfer, verify_operation
from tests.support.proofs import address, private_key

CHAIN_ID = "step-test"
OWNER, HOT = private_key("owner"), private_key("hot")

SIGNED: list[Operation] = [
    client_signing.register(
        owner_key=OWNER,
        hot_key=HOT,
        chain_id=CHAIN_ID,
        sequence=3,
        stake_ustep=100_000_000_001,
        p2p_address="/ip4/127.0.0.1/tcp/1",
    ),
    client_signing.unbond(owner_key=OWNER, chain_id=CHAIN_ID, sequence=3, validator=address("hot")),
    client_signing.withdraw(owner_key=OWNER, chain_id=CHAIN_ID, sequence=3, validator=address("hot")),
    client_signing.rotate_key(
        owner_key=OWNER, new_hot_key=HOT, chain_id=CHAIN_ID, sequence=3, validator=address("old")
    ),
    client_signing.set_address(
        owner_key=OWNER, chain_id=CHAIN_ID, sequence=3, validator=address("hot"), p2p_address="/ip4/127.0.0.1/tcp/2"
    ),
    client_signing.transfer(
        owner_key=OWNER,
        chain_id=CHAIN_ID,
        sequence=3,
        to=address("friend"),
        amount_ustep=1_500_000,
        memo="rent | Zürich",
    ),
]
TRANSFER = SIGNED[-1]


@pytest.mark.parametrize("operation", SIGNED, ids=name_of)
def test_what_an_owner_signs_is_accepted_on_its_own_chain_only(operation: Operation) -> None:
    verify_operation(operation, CHAIN_ID)
    with pytest.raises(OperationRefused) as refused:
        verify_operation(operation, "another-chain")
    assert refused.value.code is OperationCode.BAD_SIGNATURE


@pytest.mark.parametrize("operation", SIGNED, ids=name_of)
def test_the_json_form_is_read_back_as_it_was(operation: Operation) -> None:
    assert parse_operation(name_of(operation), operation_json(operation)) == operation


@pytest.mark.parametrize("operation", [SIGNED[0], SIGNED[3]], ids=name_of)
def test_v_of_0_and_1_is_taken_as_in_proofs(operation: Operation) -> None:
    document = operation_json(operation)
    for field in ("signature", "possession"):
        signature = bytes.fromhex(str(document[field])[2:])
        document[field] = "0x" + (signature[:64] + bytes((signature[64] - 27,))).hex()
    assert parse_operation(name_of(operation), document) == operation
    document["signature"] = str(document["signature"])[:-2] + "02"
    with pytest.raises(OperationRefused):
        verify_operation(parse_operation(name_of(operation), document), CHAIN_ID)


def test_every_operation_has_a_name_and_a_form() -> None:
    assert sorted(OPERATIONS) == [
        "approve-upgrade",
        "cancel-upgrade",
        "register",
        "rotate-key",
        "set-address",
        "transfer",
        "unbond",
        "withdraw",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "surprise: unknown key"),
        ({"stake": 100_000}, "stake: "),
        ({"stake": "1e5"}, "stake: "),
        ({"stake": "1.0000001"}, "stake: "),
        ({"stake": "-1"}, "stake: "),
        ({"sequence": "3"}, "sequence: "),
        ({"sequence": -1}, "sequence: "),
        ({"sequence": 3.5}, "sequence: "),
        ({"sequence": float("inf")}, "sequence: "),
        ({"sequence": 2**53}, "sequence: "),
        ({"publicKey": "0x04" + "11" * 64}, "publicKey: "),
        ({"signature": "0x11"}, "signature: "),
        ({"p2pAddress": "not a multiaddr"}, "p2p_address"),
        ({"owner": None}, "owner: "),
    ],
)
def test_a_form_that_is_none_names_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(OperationRefused) as refused:
        parse_operation("register", operation_json(SIGNED[0]) | change)
    assert refused.value.code is OperationCode.INVALID_OPERATION
    assert message in refused.value.message


def test_a_whole_number_is_one_however_it_is_written() -> None:
    assert parse_operation("register", operation_json(SIGNED[0]) | {"sequence": 3.0}) == SIGNED[0]


@pytest.mark.parametrize("document", [None, [], "text", 1, {}])
def test_what_is_no_object_of_fields_is_refused(document: object) -> None:
    with pytest.raises(OperationRefused):
        parse_operation("unbond", document)


@pytest.mark.parametrize(
    ("text", "ustep"), [("0", 0), ("1", 1_000_000), ("0.000001", 1), ("100000.5", 100_000_500_000), ("7.25", 7_250_000)]
)
def test_a_stake_is_read_exactly(text: str, ustep: int) -> None:
    assert parse_ustep(text, "stake") == ustep


def test_a_transfer_without_a_memo_has_an_empty_one() -> None:
    document = operation_json(TRANSFER)
    del document["memo"]
    operation = parse_operation("transfer", document)
    assert isinstance(operation, Transfer)
    assert (operation.memo, operation.amount_ustep) == ("", 1_500_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": "0"}, "amount: must be from 0.000001 to 9007199254.740991 STEP, not 0"),
        ({"amount": "9007199254.740992"}, "amount: must be from"),
        ({"amount": 1.5}, "amount: "),
        ({"amount": "1.0000001"}, "amount: "),
        ({"amount": "-1"}, "amount: "),
        ({"to": "0x" + "00" * 20}, "to: must be somebody's"),
        ({"to": "0x" + address("owner").hex()}, "to: must be another account"),
        ({"to": "0x12"}, "to: must be 0x and 40 hex digits"),
        ({"memo": "é" * 33}, "memo: must have at most 64 bytes of UTF-8; it has 66"),
        ({"memo": "a" * 65}, "memo: "),
        ({"memo": "a\nb"}, "memo: must have no control characters"),
        ({"memo": "\u202eevil"}, "it has U+202E"),
        ({"memo": "\ud800"}, "memo: "),
        ({"memo": None}, "memo: "),
        ({"validator": "0x" + "11" * 20}, "validator: unknown key"),
    ],
)
def test_a_transfer_that_is_none_names_the_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(OperationRefused) as refused:
        parse_operation("transfer", operation_json(TRANSFER) | change)
    assert refused.value.code is OperationCode.INVALID_OPERATION
    assert message in refused.value.message
