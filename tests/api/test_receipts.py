"""A node gives receipts of what is final, in both forms, and says of all else why it cannot."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
import trio

from step_node.api.app import create_app
from step_node.api.batches import receipts as batch_receipts
from step_node.api.batches.receipts import ReceiptMaker
from step_node.api.routes import receipts as receipts_route
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.receipts.document import read_receipt
from step_node.receipts.making import BatchReceipts
from step_node.receipts.verification import verify_receipt
from step_node.storage.memory import MemoryStorage
from tests.api.counting_storage import CountingStorage
from tests.api.made_up_node import START_MS, MadeUpNode, Walker
from tests.api.test_submit import require_refusal, submit
from tests.api.test_transfers import earn, signed
from tests.receipts.test_links import replacing


@pytest.fixture
def storage() -> CountingStorage:
    """The store under the node of this module."""
    return CountingStorage()


async def submitted(client: httpx.AsyncClient, number: int) -> str:
    proof_id: str = (await submit(client, Walker(number).proof(START_MS))).json()["proofId"]
    return proof_id


async def final(node: MadeUpNode, client: httpx.AsyncClient, *numbers: int) -> list[str]:
    """The ids of proofs of these walkers, final in one batch."""
    proof_ids = [await submitted(client, number) for number in numbers]
    await node.finalise()
    return proof_ids


async def test_a_receipt_is_verified_with_genesis_alone_as_soon_as_the_batch_is_final(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    trust = node.chain.genesis.trust()
    for proof_id in await final(node, client, 1, 2, 3):
        answer = await client.get(f"/proof/{proof_id}/receipt")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        verified = verify_receipt(answer.content, trust)
        assert f"0x{verified.identity.hex()}" == proof_id
        status = (await client.get(f"/proof/status/{proof_id}")).json()
        assert answer.json()["outcome"]["reward"] == status["reward"]
        assert answer.json()["outcome"]["clicks"] == status["clicks"]
        assert f"0x{verified.batch_hash.hex()}" == (await client.get("/batch/1")).json()["batchHash"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("application/cbor", "application/cbor"),
        ("application/CBOR;q=1, application/json;q=0.5", "application/cbor"),
        ("application/json, application/cbor", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
async def test_accept_chooses_between_json_and_cbor(
    node: MadeUpNode, client: httpx.AsyncClient, accept: str, media_type: str
) -> None:
    (proof_id,) = await final(node, client, 1)
    answer = await client.get(f"/proof/{proof_id}/receipt", headers={"Accept": accept})
    assert answer.headers["content-type"] == media_type
    assert "Accept" in answer.headers["vary"].split(", ")
    json_form = await client.get(f"/proof/{proof_id}/receipt")
    assert read_receipt(answer.content) == read_receipt(json_form.content)
    assert answer.content.startswith(b"{") == (media_type == "application/json")


async def test_who_has_it_already_is_told_so(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    (proof_id,) = await final(node, client, 1)
    path = f"/proof/{proof_id}/receipt"
    first = await client.get(path)
    assert "immutable" in first.headers["cache-control"]
    again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get(path, headers={"If-None-Match": first.headers["etag"], "Accept": "application/cbor"})
    assert other.status_code == 200


async def test_a_proof_that_waits_has_none_yet(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof_id = await submitted(client, 1)
    answer = await client.get(f"/proof/{proof_id}/receipt")
    assert "waits" in require_refusal(answer, 404, "RECEIPT_NOT_FOUND")
    assert answer.json()["details"]["retryable"] is True
    await node.finalise()
    assert (await client.get(f"/proof/{proof_id}/receipt")).status_code == 200


async def test_a_dropped_and_an_unknown_proof_never_have_one(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof_id = await submitted(client, 1)
    await node.drop(bytes.fromhex(proof_id[2:]), Refusal(RefusalCode.TRIANGLE_EXHAUSTED, "triangleId: used up"))
    answer = await client.get(f"/proof/{proof_id}/receipt")
    assert "TRIANGLE_EXHAUSTED" in require_refusal(answer, 404, "RECEIPT_NOT_FOUND")
    assert answer.json()["details"]["retryable"] is False
    require_refusal(await client.get(f"/proof/0x{'ab' * 32}/receipt"), 404, "PROOF_NOT_FOUND")
    require_refusal(await client.get(f"/proof/0x{'ab' * 31}/receipt"), 400, "INVALID_PAYLOAD")


async def test_a_node_that_lacks_what_it_is_made_of_says_so(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proof_id,) = await final(node, client, 1)
    assert isinstance(node.storage, MemoryStorage)
    services = replace(node.services(), links_to=lambda _validator_set_hash: None)
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as linkless:
        answer = await linkless.get(f"/proof/{proof_id}/receipt")
    assert "cannot show how the validators" in require_refusal(answer, 404, "RECEIPT_NOT_FOUND")
    monkeypatch.delitem(node.storage._batches, 1)
    answer = await client.get(f"/proof/{proof_id}/receipt")
    assert "this node keeps batches from height 1 on; ask another one" in require_refusal(
        answer, 404, "RECEIPT_NOT_FOUND"
    )


async def test_a_receipt_that_nobody_would_read_is_not_given(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (proof_id,) = await final(node, client, 1)
    path, as_cbor = f"/proof/{proof_id}/receipt", {"Accept": "application/cbor"}
    json_bytes = len((await client.get(path)).content)
    cbor_bytes = len((await client.get(path, headers=as_cbor)).content)
    monkeypatch.setattr(receipts_route, "RECEIPT_BYTES_MAX", json_bytes - 1)
    assert "as application/cbor it is half" in require_refusal(await client.get(path), 404, "RECEIPT_NOT_FOUND")
    assert (await client.get(path, headers=as_cbor)).status_code == 200
    monkeypatch.setattr(receipts_route, "RECEIPT_BYTES_MAX", cbor_bytes - 1)
    refused = await client.get(path, headers=as_cbor)
    assert require_refusal(refused, 404, "RECEIPT_NOT_FOUND").endswith(f"{cbor_bytes - 1} bytes that are read")


async def test_links_that_are_too_long_are_not_even_written(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_receipts, "RECEIPT_BYTES_MAX", 1_000)
    (proof_id,) = await final(node, client, 1)
    links = replacing([0, 1, 2, 3, 0, 1])
    services = replace(node.services(), links_to=lambda _validator_set_hash: links)
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as changed:
        answer = await changed.get(f"/proof/{proof_id}/receipt", headers={"Accept": "application/cbor"})
    assert "changed so often" in require_refusal(answer, 404, "RECEIPT_NOT_FOUND")


async def test_a_batch_is_decoded_once_for_all_of_its_receipts(
    node: MadeUpNode, client: httpx.AsyncClient, storage: CountingStorage
) -> None:
    proof_ids = await final(node, client, *range(1, 9))
    await node.until_followed()
    storage.read.clear()
    async with trio.open_nursery() as readers:
        for proof_id in proof_ids * 3:
            readers.start_soon(client.get, f"/proof/{proof_id}/receipt")
    assert storage.read == [1]


async def test_what_was_asked_for_the_longest_ago_is_dropped(
    node: MadeUpNode, client: httpx.AsyncClient, storage: CountingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await final(node, client, 2 * number + 1, 2 * number + 2)
    monkeypatch.setattr(batch_receipts, "KEPT_PROOFS_MAX", 4)
    maker = ReceiptMaker(storage, trust=node.chain.genesis.trust(), links_to=lambda _hash: ())
    await node.until_followed()
    storage.read.clear()
    for height in (1, 2, 1, 3, 1, 3, 2):
        assert isinstance(await maker.of_batch(height), BatchReceipts)
    assert storage.read == [1, 2, 3, 2]
    assert await maker.of_batch(4) is None


async def test_a_transfer_has_a_receipt_beside_the_proofs_of_its_batch(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await earn(node, client)
    operation_id = (await client.post("/account/transfer", json=signed())).json()["operationId"]
    path = f"/operation/{operation_id}/receipt"
    answer = await client.get(path)
    assert "waits" in require_refusal(answer, 404, "RECEIPT_NOT_FOUND")
    (proof_id,) = await final(node, client, 1)
    for each in (operation_id, proof_id):
        found = await client.get(path if each == operation_id else f"/proof/{proof_id}/receipt")
        verified = verify_receipt(found.content, node.chain.genesis.trust())
        assert f"0x{verified.identity.hex()}" == each
        assert verified.receipt.header.receipts_size == 2
    assert (await client.get(path)).json()["outcome"] == {"balance": "0.750000"}
    require_refusal(await client.get(f"/operation/0x{'ab' * 32}/receipt"), 404, "OPERATION_NOT_FOUND")
