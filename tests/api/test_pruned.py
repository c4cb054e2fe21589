"""A node that has pruned answers for what it keeps, and says of the rest from which height on it keeps it."""

from __future__ import annotations

import httpx

from step_node.proofs.payload import parse_payload
from step_node.storage.interface import Prunable
from tests.api.made_up_node import MadeUpNode, Walker


async def finalised_proofs(node: MadeUpNode, batches: int) -> list[str]:
    ids = []
    for number in range(1, batches + 1):
        node.clock.time_ms += 1
        proof = Walker(number).proof(node.clock.now_ms())
        signed = parse_payload(proof["payload"], proof["signature"])
        await node.admission.submit(signed, wait_ms=0, source="client")
        await node.finalise()
        ids.append("0x" + signed.proof_id.hex())
    return ids


async def test_what_is_kept_is_answered_and_what_is_not_is_refused_naming_the_lowest_height(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    first, second, third = await finalised_proofs(node, 3)
    root = (await node.chain.storage.head()).lanes
    await node.chain.storage.prune(Prunable.BATCHES, below=3)
    await node.chain.storage.prune(Prunable.HISTORIES, below=2)
    refused = await client.get("/batch/2")
    assert (refused.status_code, refused.json()["code"]) == (404, "BATCH_NOT_FOUND")
    assert refused.json()["details"]["limit"] == 3
    assert "has batches from height 3 on" in refused.text
    assert (await client.get("/batch/3")).status_code == 200
    assert [batch["height"] for batch in (await client.get("/batches")).json()["batches"]] == [3]
    assert (await client.get("/batches?from=1")).json()["details"]["limit"] == 3
    # Of the first nothing is left; the second's outcome is known, its receipt cannot be made; the third's can.
    assert (await client.get(f"/proof/status/{first}")).json()["code"] == "PROOF_NOT_FOUND"
    assert (await client.get(f"/proof/status/{second}")).json()["status"] == "finalised"
    assert (await client.get(f"/proof/{second}/receipt")).json()["code"] == "RECEIPT_NOT_FOUND"
    assert (await client.get(f"/proof/{third}/receipt")).status_code == 200
    assert (await node.chain.storage.head()).lanes == root
