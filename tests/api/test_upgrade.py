"""The rules in force and those that come next, over HTTP."""

from __future__ import annotations

import httpx

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger.rules import RULES
from step_node.operations import client_signing
from step_node.operations.json_form import operation_json
from tests.api.made_up_node import CHAIN_ID, VALIDATOR_KEY, MadeUpNode

OWN = address_of(public_key_of(VALIDATOR_KEY))
AT = 2_001
"""The first height from which on rules can hold that are agreed on in the first epoch of 1,000 batches."""


async def test_what_is_in_force_and_what_could_be_is_told_before_anybody_has_approved_anything(
    client: httpx.AsyncClient,
) -> None:
    answer = (await client.get("/upgrade")).json()
    assert answer["inForce"] == {"protocolVersion": 1, "activationHeight": 1, "release": "", "isKnown": True}
    assert (answer["agreed"], answer["approvals"]) == (None, [])
    assert (answer["firstPossibleHeight"], answer["epochBatches"]) == (AT, 1_000)
    assert [one["protocolVersion"] for one in answer["known"]] == sorted(RULES)


async def test_an_approval_shows_once_a_batch_holds_it_and_whether_this_release_knows_the_rules(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    approval = client_signing.approve_upgrade(
        key=VALIDATOR_KEY,
        owner=OWN,
        chain_id=CHAIN_ID,
        sequence=0,
        validator=OWN,
        protocol_version=max(RULES) + 1,
        activation_height=AT,
        release="9.0",
    )
    answer = await client.post("/validator/approve-upgrade", json=operation_json(approval))
    assert answer.status_code == 202, answer.text
    await node.finalise()
    told = (await client.get("/upgrade")).json()
    upgrade = {"protocolVersion": max(RULES) + 1, "activationHeight": AT, "release": "9.0", "isKnown": False}
    assert told["agreed"] == upgrade
    assert told["approvals"] == [{"validator": f"0x{OWN.hex()}", "upgrade": upgrade}]


async def test_a_triangle_pays_by_the_rules_in_force(client: httpx.AsyncClient) -> None:
    found = (await client.get("/mesh/triangleAt?lat=1&lon=1&level=8")).json()["result"]["triangleId"]
    assert (await client.get(f"/triangle/{found}")).json()["reward"] == "0.007813"
