"""A transfer is signed once, sent until a node has decided, and followed until it is applied."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from step_node.client import transfers
from step_node.client.errors import Dropped, NotFinalYet, Refused, UnreadableAnswer
from step_node.client.exchange import NoReply, Reply, Request
from step_node.client.signing import KeySigner, WalletSigner
from step_node.client.transfers import Applied, SignedTransfer, sign_transfer
from step_node.crypto import eip191
from step_node.operations.json_form import parse_operation
from step_node.operations.operation import OperationRefused, Transfer, operation_id, signing_line
from tests.client.scripted import BROKEN, CONFIG, KEY, A, B, World, always, one_after_another, refused, reply

SIGNER = KeySigner(KEY)
TO = f"0x{'22' * 20}"
ACCOUNT: dict[str, Any] = {
    "account": SIGNER.address,
    "balance": "9.000000",
    "proofs": 1,
    "rank": 1,
    "lastProof": None,
    "nextSequence": 3,
}


def transfer(**others: Any) -> SignedTransfer:
    fields: dict[str, Any] = {
        "chain_id": "step-test",
        "sequence": 3,
        "to": TO,
        "amount": "1.5",
        "memo": "rent",
    } | others
    return sign_transfer(SIGNER, **fields)


def answer(of: SignedTransfer, status: str, **others: object) -> Reply:
    return reply(200, {"ok": True, "operationId": of.operation_id, "status": status, **others})


def test_it_is_the_operation_that_the_ledger_knows() -> None:
    signed = transfer(memo="für Miete")
    operation = parse_operation("transfer", json.loads(signed.body))
    assert isinstance(operation, Transfer)
    assert (operation.to.hex(), operation.amount_ustep, operation.memo) == ("22" * 20, 1_500_000, "für Miete")
    assert f"0x{operation_id(operation, 'step-test').hex()}" == signed.operation_id
    line = signing_line(operation, "step-test")
    assert eip191.recover_address(eip191.digest(line), operation.signature) == operation.owner
    assert transfer(amount=Decimal("1.500000")).operation_id == transfer().operation_id


def test_a_wallet_that_writes_v_as_0_or_1_signs_the_same() -> None:
    def sign(line: str) -> bytes:
        signature = eip191.sign(line, KEY)
        return signature[:64] + bytes([signature[64] - 27])

    wallet = WalletSigner(SIGNER.address, sign)
    assert sign_transfer(wallet, chain_id="step-test", sequence=3, to=TO, amount="1.5", memo="rent") == transfer()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"to": "me"}, "to"),
        ({"to": SIGNER.address}, "to"),
        ({"amount": "0"}, "amount"),
        ({"amount": "0.0000001"}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"memo": "a\nb"}, "memo"),
        ({"memo": "x" * 65}, "memo"),
    ],
)
def test_what_no_transfer_can_have_is_refused_before_it_is_signed(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(OperationRefused, match=f"{field}: "):
        transfer(**wrong)


def test_the_sequence_number_is_the_accounts_next() -> None:
    def node(request: Request) -> Reply | NoReply:
        return reply(200, CONFIG if request.path == "/proof/config" else ACCOUNT)

    world = World({A: node})
    assert world.run(transfers.sign(world.session, SIGNER, to=TO, amount="1.5", memo="rent")) == transfer()


def test_it_is_followed_over_nodes_until_it_is_applied_and_handed_in_again_where_it_is_unknown() -> None:
    one = transfer()
    pending, applied = answer(one, "pending"), answer(one, "applied", height=9)
    world = World(
        {
            A: one_after_another(pending, pending, BROKEN),
            B: one_after_another(refused(404, "OPERATION_NOT_FOUND"), pending, applied),
        }
    )
    assert world.run(transfers.send(world.session, one, seconds_max=60)) == Applied(one.operation_id, 9)
    assert [request.body for _, request in world.sent if request.method == "POST"] == [one.body, one.body]
    assert world.asked == [A, A, A, B, B, B]


def test_what_ends_it_is_told() -> None:
    one = transfer()
    world = World({A: one_after_another(answer(one, "pending"), answer(one, "dropped", code="WRONG_SEQUENCE"))})
    with pytest.raises(Dropped, match="WRONG_SEQUENCE"):
        world.run(transfers.send(world.session, one, seconds_max=60))
    world = World({A: always(refused(422, "INSUFFICIENT_BALANCE", {"need": "1.500000"}))})
    with pytest.raises(Refused) as error:
        world.run(transfers.send(world.session, one, seconds_max=60))
    assert error.value.details == {"need": "1.500000"}
    world = World({A: always(answer(one, "pending"))})
    with pytest.raises(NotFinalYet):
        world.run(transfers.send(world.session, one, seconds_max=20))
    assert world.seconds == pytest.approx(20)
    for wrong in ({"status": "applied"}, {"status": "applied", "operationId": one.operation_id}):
        world = World({A: always(reply(200, wrong))})
        with pytest.raises(UnreadableAnswer):
            world.run(transfers.send(world.session, one, seconds_max=20))


def test_a_refusal_is_settled_by_the_node_that_may_have_taken_it_in() -> None:
    one = transfer()
    applied = answer(one, "applied", height=9)
    world = World({A: one_after_another(BROKEN, applied), B: one_after_another(refused(409, "WRONG_SEQUENCE"))})
    assert world.run(transfers.send(world.session, one, seconds_max=60.0)) == Applied(one.operation_id, 9)
    assert [request.path for _, request in world.sent][-1] == f"/operation/{one.operation_id}"


@pytest.mark.parametrize(
    ("said", "maybe"), [(BROKEN, (A,)), (refused(404, "OPERATION_NOT_FOUND"), ())], ids=["silent", "knows nothing"]
)
def test_a_refusal_is_certain_only_if_no_other_node_may_have_taken_it_in(
    said: Reply | NoReply, maybe: tuple[str, ...]
) -> None:
    world = World({A: one_after_another(BROKEN, said), B: one_after_another(refused(409, "WRONG_SEQUENCE"))})
    with pytest.raises(Refused) as error:
        world.run(transfers.send(world.session, transfer(), seconds_max=60.0))
    assert error.value.maybe_accepted_by == maybe


@pytest.mark.parametrize("told", ["step-test|owner:0x00|sequence:1", "", "STEP", 5, None])
def test_a_chain_that_a_node_makes_up_is_not_signed(told: object) -> None:
    def made_up(request: Request) -> Reply:
        return reply(200, {**CONFIG, "CHAIN_ID": told} if request.path == "/proof/config" else ACCOUNT)

    world = World({A: made_up})
    with pytest.raises(UnreadableAnswer, match="not of its kind"):
        world.run(transfers.sign(world.session, SIGNER, to=TO, amount="1", memo=""))
