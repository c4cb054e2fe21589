"""A receipt that a node gives is checked with the genesis file alone, whichever client has fetched it."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.client import AsyncStepClient, Position, ReceiptRefused, verify_receipt
from tests.api.made_up_node import ZURICH, MadeUpNode, Walker
from tests.client.test_clients import Run, each_client, while_finalising


@each_client
@pytest.mark.parametrize("cbor", [False, True])
async def test_a_receipt_holds_and_a_changed_one_does_not(
    run: Run, cbor: bool, node: MadeUpNode, url: str, tmp_path: Path
) -> None:
    genesis = tmp_path / "genesis.json"
    genesis.write_text(node.chain.genesis.model_dump_json())

    async def act(client: AsyncStepClient) -> tuple[str, bytes]:
        signed = await client.sign(Position(*ZURICH, accuracy_m=5), level=10)
        final = await client.wait(signed)
        return final.proof_id, await client.receipt(final.proof_id, cbor=cbor)

    proof_id, receipt = await while_finalising(node, run(act, url))
    verified = verify_receipt(receipt, genesis)
    assert f"0x{verified.identity.hex()}" == proof_id
    assert verified.account == Walker(7).address
    assert verified.receipt.outcome.balance == "0.001953"
    with pytest.raises(ReceiptRefused):
        verify_receipt(receipt.replace(b"0.001953", b"9.001953"), genesis)
