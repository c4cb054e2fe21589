"""One proof and nothing else: nothing on an idle network may wait for a second proof to come along."""

from __future__ import annotations

import httpx
import pytest
import trio

from mesh import locate
from step_node.clock import SystemClock
from step_node.proofs.client_signing import sign_payload
from step_node.testing.devnet.accounts import dev_accounts
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.network import Devnet, DevnetSettings

LONGEST_SECONDS = 120.0


@pytest.mark.slow
async def test_a_single_proof_sent_to_an_idle_devnet_is_answered_as_final_and_stands_on_every_node(
    capfd: pytest.CaptureFixture[str],
) -> None:
    # With the default parameters. How long it takes is measured by hand: a limit here would test the machine.
    account, place = dev_accounts()[0], (47.4979, 19.0402)
    with trio.fail_after(LONGEST_SECONDS):
        async with Devnet(DevnetSettings(base_port=0)) as devnet, httpx.AsyncClient(trust_env=False) as http:
            signed = sign_payload(
                account.private_key, locate(*place, 10), *place, 5.0, SystemClock().now_ms(), "the-only-one"
            )
            answer = await http.post(
                f"{devnet.node_url(0)}/proof/submit", json=signed, params={"wait_ms": 30_000}, timeout=LONGEST_SECONDS
            )
            assert answer.status_code == 200, answer.text
            assert answer.json() | {"ok": True, "height": 1, "clicks": 1, "balance": "0.001953"} == answer.json()
            agreement = await check_agreement(devnet.clients, [answer.json()["proofId"]])
            assert (agreement.height, agreement.state_roots_equal, agreement.missing) == (1, True, 0)
    assert capfd.readouterr() == ("", "")
