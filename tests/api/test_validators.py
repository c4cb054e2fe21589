"""Validators over HTTP: registering, leaving, who there are."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from step_node.operations.operation import operation_id
from tests.api.made_up_node import CHAIN_ID, VALIDATOR_KEY, MadeUpNode
from tests.support.proofs import address, private_key

OWN = address_of(public_key_of(VALIDATOR_KEY))
STAKE_USTEP = 100_000 * 1_000_000


def hex_address(name: str) -> str:
    return f"0x{address(name).hex()}"


def registration(*, owner: bytes = VALIDATOR_KEY, sequence: int = 0, stake_ustep: int = STAKE_USTEP) -> dict[str, Any]:
    return operation_json(
        client_signing.register(
            owner_key=owner,
            hot_key=private_key("newcomer"),
            chain_id=CHAIN_ID,
            sequence=sequence,
            stake_ustep=stake_ustep,
            p2p_address="/ip4/127.0.0.1/tcp/26601",
        )
    )


async def test_the_validators_of_genesis_are_listed_with_what_they_staked(
    client: httpx.AsyncClient,
) -> None:
    answer = (await client.get("/validators")).json()
    assert (answer["ok"], answer["height"], answer["quorum"]) == (True, 0, 1)
    (only,) = answer["validators"]
    assert only["address"] == only["owner"] == f"0x{OWN.hex()}"
    assert (only["state"], only["inSet"], only["stake"]) == ("active", True, "100000.000000")
    assert (only["activeFromHeight"], only["activeUntilHeight"]) == (1, None)
    assert (only["absentBatches"], only["absentSince"]) == (0, None)
    alone = (await client.get(f"/validators/0x{OWN.hex()}")).json()
    assert alone["validator"] == only
    assert alone["nextSequence"] == 0


async def test_an_address_that_is_no_validator_s_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"/validators/{hex_address('nobody')}")
    assert (answer.status_code, answer.json()["code"]) == (404, "VALIDATOR_NOT_FOUND")


async def test_a_leaving_validator_shows_as_such_once_a_batch_holds_its_operation(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    operation = client_signing.unbond(owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=OWN)
    answer = await client.post("/validator/unbond", json=operation_json(operation))
    assert answer.status_code == 202, answer.text
    await node.finalise()
    shown = (await client.get(f"/validators/0x{OWN.hex()}")).json()["validator"]
    # It votes until the epoch's end, and, being the last one, until there is another.
    assert (shown["state"], shown["inSet"]) == ("leaving", True)


async def test_a_rotation_is_accepted_published_and_applied_once(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    operation = client_signing.rotate_key(
        owner_key=VALIDATOR_KEY,
        new_hot_key=private_key("next hot key"),
        chain_id=CHAIN_ID,
        sequence=0,
        validator=OWN,
    )
    answer = await client.post("/validator/rotate-key", json=operation_json(operation))
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "ok": True,
        "status": "pending",
        "operationId": f"0x{operation_id(operation, CHAIN_ID).hex()}",
        "validator": f"0x{OWN.hex()}",
        "sequence": 0,
    }
    assert len(node.published) == 1
    await node.finalise()
    assert (await client.get(f"/validators/0x{OWN.hex()}")).json()["nextSequence"] == 1
    again = await client.post("/validator/rotate-key", json=operation_json(operation))
    assert (again.status_code, again.json()["code"]) == (409, "WRONG_SEQUENCE")


async def test_a_changed_address_shows_with_the_batch_that_holds_the_operation(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    moved = "/dns4/moved.example/tcp/26600/p2p/16Uiu2"
    operation = client_signing.set_address(
        owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=0, validator=OWN, p2p_address=moved
    )
    answer = await client.post("/validator/set-address", json=operation_json(operation))
    assert answer.status_code == 202, answer.text
    await node.finalise()
    shown = (await client.get(f"/validators/0x{OWN.hex()}")).json()
    assert (shown["validator"]["p2pAddress"], shown["validator"]["inSet"]) == (moved, True)
    assert shown["nextSequence"] == 1
    again = operation_json(
        client_signing.set_address(
            owner_key=VALIDATOR_KEY, chain_id=CHAIN_ID, sequence=1, validator=OWN, p2p_address=moved
        )
    )
    refused = await client.post("/validator/set-address", json=again)
    assert (refused.status_code, refused.json()["code"]) == (409, "WRONG_STATE")


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("more stake than there is", registration(), 422, "INSUFFICIENT_BALANCE", "balance"),
    ("a stake below the minimum", registration(stake_ustep=1), 422, "STAKE_TOO_LOW", "stake"),
    ("another's sequence number", registration(sequence=7), 409, "WRONG_SEQUENCE", "sequence"),
    ("a stake that is no decimal", registration() | {"stake": "1e5"}, 400, "INVALID_OPERATION", "stake"),
    ("an unknown field", registration() | {"tip": 1}, 400, "INVALID_OPERATION", "tip"),
    ("a changed stake", registration() | {"stake": "100001.000000"}, 401, "BAD_SIGNATURE", "possession"),
    (
        "another's signature",
        registration() | {"signature": registration(owner=private_key("thief"))["signature"]},
        401,
        "BAD_SIGNATURE",
        "signature",
    ),
]


@pytest.mark.parametrize(("body", "status", "code", "named"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED])
async def test_an_operation_is_refused_with_its_code_and_field(
    node: MadeUpNode, client: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, named: str
) -> None:
    answer = await client.post("/validator/register", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert named in answer.json()["message"] or code == "BAD_SIGNATURE"
    assert node.published == []


async def test_no_evidence_is_an_empty_list(client: httpx.AsyncClient) -> None:
    assert (await client.get("/evidence")).json() == {
        "ok": True,
        "slashings": [],
        "nextCursor": None,
        "latestCursor": "AAAAAAAAAAAAAAAA",
    }
