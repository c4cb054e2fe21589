"""Sending STEP over HTTP: accepted, followed to the ledger, seen in both histories, or refused with a reason."""

from __future__ import annotations

from typing import Any, get_args

import httpx
import pytest

from step_node.api.models.transactions import OperationType, TransactionType, type_of
from step_node.explanations.details import Details
from step_node.home.switches import ShareSet
from step_node.mempool import operations as pool_module
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from step_node.operations.operation import OperationCode, OperationRefused, OperationUnion, Transfer, operation_id
from tests.api.made_up_node import CHAIN_ID, START_MS, VALIDATOR_KEY, MadeUpNode, Walker
from tests.api.test_submit import require_refusal
from tests.support.proofs import address, private_key

RICH = Walker(11)
FRIEND = f"0x{address('friend').hex()}"


def signed(
    *,
    owner: bytes = RICH.key,
    sequence: int = 0,
    to: bytes = address("friend"),
    amount_ustep: int = 250_000,
    memo: str = "rent | Zürich",
) -> dict[str, Any]:
    return operation_json(
        client_signing.transfer(
            owner_key=owner, chain_id=CHAIN_ID, sequence=sequence, to=to, amount_ustep=amount_ustep, memo=memo
        )
    )


async def earn(node: MadeUpNode, client: httpx.AsyncClient) -> str:
    """The walker proves once at level 1, and has 1 STEP; the proof's id."""
    proof = RICH.proof(START_MS - 1_000, level=1)
    answer = await client.post("/proof/submit", params={"wait_ms": 0}, json=proof)
    assert answer.status_code == 202, answer.text
    await node.finalise()
    return str(answer.json()["proofId"])


async def test_a_transfer_is_accepted_told_applied_and_found_by_its_id(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await earn(node, client)
    body = signed()
    answer = await client.post("/account/transfer", json=body)
    assert answer.status_code == 202, answer.text
    said = answer.json()
    expected = operation_id(
        client_signing.transfer(
            owner_key=RICH.key,
            chain_id=CHAIN_ID,
            sequence=0,
            to=address("friend"),
            amount_ustep=250_000,
            memo="rent | Zürich",
        ),
        CHAIN_ID,
    )
    assert said == {
        "ok": True,
        "operationId": f"0x{expected.hex()}",
        "status": "pending",
        "type": "TRANSFER",
        "owner": RICH.address_text,
        "sequence": 0,
    }
    assert len(node.published) == 1
    node.switches.set_share(ShareSet(percent=0, who="root", when_ms=0))
    again = await client.post("/account/transfer", json=body)
    assert (again.status_code, again.json()) == (202, said)
    node.switches.set_share(ShareSet(percent=100, who="root", when_ms=0))
    path = f"/operation/{said['operationId']}"
    assert (await client.get(path)).json() == said
    await node.finalise()
    applied = (await client.get(path)).json()
    assert applied == said | {
        "status": "applied",
        "height": 2,
        "index": 0,
        "timestamp": applied["timestamp"],
        "to": FRIEND,
        "amount": "0.250000",
        "memo": "rent | Zürich",
    }
    # Its batch names it, as it names its proofs.
    assert (await client.get("/batch/2")).json()["operations"] == [
        {"operationId": said["operationId"], "type": "TRANSFER", "owner": RICH.address_text}
    ]
    # The same body again: paid once, and told where it stands.
    again = await client.post("/account/transfer", json=body)
    assert (again.status_code, again.json()) == (200, applied)
    # Also while nothing new is taken from its owner.
    node.switches.set_share(ShareSet(percent=0, who="root", when_ms=0))
    again = await client.post("/account/transfer", json=body)
    assert (again.status_code, again.json()) == (200, applied)
    require_refusal(await client.post("/account/transfer", json=signed(sequence=1)), 503, "INTAKE_PAUSED")
    friend = (await client.get(f"/account/{FRIEND}")).json()
    assert (friend["balance"], friend["proofs"], friend["nextSequence"]) == ("0.250000", 0, 0)


async def test_both_accounts_show_it_beside_their_proofs(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof_id = await earn(node, client)
    sent = (await client.post("/account/transfer", json=signed())).json()["operationId"]
    await node.finalise()
    account = (await client.get(f"/account/{RICH.address_text}")).json()
    assert (account["balance"], account["totalProofs"], account["nextSequence"]) == ("0.750000", 1, 1)
    assert account["lastProofAt"] == account["lastProof"]["timestamp"]
    newest, oldest = account["transactions"]
    assert (newest["type"], newest["id"], newest["amount"]) == ("transfer_out", sent, "0.250000")
    assert (newest["counterpart"], newest["memo"], newest["triangleId"]) == (FRIEND, "rent | Zürich", None)
    assert (oldest["type"], oldest["id"], oldest["reward"]) == ("proof", proof_id, "1.000000")
    assert (oldest["height"], newest["height"], oldest["amount"]) == (1, 2, None)
    assert oldest["triangleId"].startswith("STEP-TRI-v1:")
    (received,) = (await client.get(f"/account/{FRIEND}")).json()["transactions"]
    assert (received["type"], received["counterpart"]) == ("transfer_in", RICH.address_text)


async def test_a_history_is_paged_without_gap_or_repeat(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await earn(node, client)
    for sequence in range(5):
        assert (await client.post("/account/transfer", json=signed(sequence=sequence, amount_ustep=1))).is_success
        await node.finalise()
    found: list[dict[str, Any]] = []
    parameters: dict[str, str] = {"limit": "2"}
    while True:
        page = (await client.get(f"/account/{RICH.address_text}/transactions", params=parameters)).json()
        found += page["transactions"]
        if page["nextCursor"] is None:
            break
        parameters["before"] = page["nextCursor"]
    assert [entry["type"] for entry in found] == ["transfer_out"] * 5 + ["proof"]
    assert len({entry["id"] for entry in found}) == 6
    assert found == (await client.get(f"/account/{RICH.address_text}")).json()["transactions"]


async def test_what_has_come_since_is_told_oldest_first(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    path = f"/account/{RICH.address_text}/transactions"
    none = (await client.get(path)).json()
    assert (none["transactions"], none["nextCursor"]) == ([], None)
    await earn(node, client)
    known = (await client.get(path, params={"after": none["latestCursor"]})).json()
    assert [entry["type"] for entry in known["transactions"]] == ["proof"]
    for sequence in range(5):
        assert (await client.post("/account/transfer", json=signed(sequence=sequence, amount_ustep=1))).is_success
        await node.finalise()
    since: list[dict[str, Any]] = []
    cursor, more = known["latestCursor"], True
    while more:
        page = (await client.get(path, params={"limit": "2", "after": cursor})).json()
        since += page["transactions"]
        cursor, more = page["latestCursor"], page["nextCursor"] is not None
    assert [entry["height"] for entry in since] == [2, 3, 4, 5, 6]
    assert since[::-1] == (await client.get(path)).json()["transactions"][:5]
    nothing = (await client.get(path, params={"after": cursor})).json()
    assert (nothing["transactions"], nothing["nextCursor"], nothing["latestCursor"]) == ([], None, cursor)
    wrong = (await client.get(path, params={"after": "yesterday"})).json()
    assert (wrong["code"], wrong["details"]["field"]) == ("INVALID_PAYLOAD", "after")


async def test_an_operation_about_a_validator_has_an_id_and_shows_in_its_owner_s_history(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    own = client_signing.address_of_key(VALIDATOR_KEY)
    operation = client_signing.unbond(owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=own)
    answer = (await client.post("/validator/unbond", json=operation_json(operation))).json()
    await node.finalise()
    applied = (await client.get(f"/operation/{answer['operationId']}")).json()
    assert (applied["status"], applied["type"], "to" in applied) == ("applied", "UNBOND", False)
    (entry,) = (await client.get(f"/account/0x{own.hex()}/transactions")).json()["transactions"]
    assert (entry["type"], entry["id"]) == ("unbond", answer["operationId"])


async def test_what_waited_in_vain_says_why(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await earn(node, client)
    waits = (await client.post("/account/transfer", json=signed())).json()["operationId"]
    (operation,) = node.operation_pool.waiting()
    node.operation_pool.drop(
        operation,
        OperationRefused(OperationCode.WRONG_SEQUENCE, "sequence: the owner's next is 1", Details(value=0, expected=1)),
    )
    assert (await client.get(f"/operation/{waits}")).json() == {
        "ok": True,
        "operationId": waits,
        "status": "dropped",
        "code": "WRONG_SEQUENCE",
        "message": "sequence: the owner's next is 1",
        "details": {
            "gate": "sequence",
            "field": "sequence",
            "rule": "the owner's next is 1",
            "value": 0,
            "retryable": False,
            "expected": 1,
        },
    }


async def test_an_operation_that_nobody_has_seen_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/operation/0x{'11' * 32}")
    assert (answer.status_code, answer.json()["code"]) == (404, "OPERATION_NOT_FOUND")
    assert answer.json()["details"]["value"] == f"0x{'11' * 32}"
    answer = await client.get("/operation/0x12")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PAYLOAD")


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("more than there is", signed(amount_ustep=1_000_001), 422, "INSUFFICIENT_BALANCE", "amount"),
    ("a later sequence number", signed(sequence=3), 409, "WRONG_SEQUENCE", "sequence"),
    ("no amount", signed() | {"amount": "0.000000"}, 400, "INVALID_OPERATION", "amount"),
    ("an amount that is a number", signed() | {"amount": 1}, 400, "INVALID_OPERATION", "amount"),
    ("a changed amount", signed() | {"amount": "0.250001"}, 401, "BAD_SIGNATURE", "signature"),
    ("a changed memo", signed() | {"memo": "rent | Zurich"}, 401, "BAD_SIGNATURE", "signature"),
    ("another's signature", signed() | {"owner": FRIEND, "to": RICH.address_text}, 401, "BAD_SIGNATURE", "signature"),
    ("to oneself", signed() | {"to": RICH.address_text}, 400, "INVALID_OPERATION", "to"),
    ("to nobody", signed() | {"to": f"0x{'00' * 20}"}, 400, "INVALID_OPERATION", "to"),
    ("a memo of two lines", signed() | {"memo": "a\nb"}, 400, "INVALID_OPERATION", "memo"),
    ("an unknown field", signed() | {"tip": 1}, 400, "INVALID_OPERATION", "tip"),
]


@pytest.mark.parametrize(("body", "status", "code", "field"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED])
async def test_a_transfer_is_refused_with_its_code_and_field(
    node: MadeUpNode, client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    await earn(node, client)
    answer = await client.post("/account/transfer", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["message"].startswith(f"{field}: ")
    assert node.published == []


async def test_too_little_says_how_much_there_is(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await earn(node, client)
    answer = await client.post("/account/transfer", json=signed(amount_ustep=1_000_001))
    details = answer.json()["details"]
    assert (details["have"], details["need"], details["unit"]) == ("1.000000", "1.000001", "STEP")


async def test_a_second_one_must_wait_for_the_first(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await earn(node, client)
    assert (await client.post("/account/transfer", json=signed())).status_code == 202
    other = await client.post("/account/transfer", json=signed(to=address("another")))
    assert (other.status_code, other.json()["code"]) == (503, "POOL_FULL")
    assert "Retry-After" in other.headers
    monkeypatch.setattr(pool_module, "POOL_TRANSFERS_MAX", 1)
    poor = await client.post("/account/transfer", json=signed(owner=private_key("friend"), to=RICH.address))
    assert (poor.status_code, poor.json()["code"]) == (422, "INSUFFICIENT_BALANCE")


async def test_an_account_that_never_was_has_no_history(client: httpx.AsyncClient) -> None:
    answer = (await client.get(f"/account/{FRIEND}")).json()
    assert (answer["totalProofs"], answer["lastProofAt"], answer["transactions"]) == (0, None, [])
    page = (await client.get(f"/account/{FRIEND}/transactions")).json()
    assert (page["transactions"], page["nextCursor"]) == ([], None)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=1_0", "before=x", "after=1"])
async def test_a_page_that_is_none_names_the_parameter(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/account/{FRIEND}/transactions?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PAYLOAD")
    assert query.partition("=")[0] in answer.json()["message"]


@pytest.mark.parametrize("kind", get_args(get_args(OperationUnion)[0]), ids=lambda kind: kind.__name__)
def test_every_kind_of_operation_has_its_name_in_a_history_and_in_answers(kind: type[Any]) -> None:
    """One that has none would make its owner's account fail to answer."""
    name = kind.__dataclass_fields__["type"].default
    assert name in get_args(OperationType)
    if kind is not Transfer:
        operation = object.__new__(kind)
        object.__setattr__(operation, "type", name)
        assert type_of(operation, b"") in get_args(TransactionType)
