"""What clients are answered while an operator has paused something, and while a surge is shed."""

from __future__ import annotations

import httpx

from step_node.api.app import create_app
from step_node.api.submissions.breaker import OPEN_SECONDS, WINDOW_SECONDS, BreakerSettings
from step_node.home.switches import Switch, Thrown
from tests.api.made_up_node import MadeUpNode, Walker
from tests.api.test_submit import require_refusal, submit


def throw(node: MadeUpNode, switch: Switch, is_on: bool) -> None:
    node.switches.throw(switch, Thrown(is_on=is_on, who="somebody", when_ms=0, why="a secret of ours"))


async def test_a_paused_intake_refuses_proofs_and_transfers_and_says_when_to_come_again(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    throw(node, Switch.INTAKE, False)
    proof = Walker(1).proof(node.clock.now_ms())
    refused = await submit(client, proof)
    require_refusal(refused, 503, "INTAKE_PAUSED")
    assert refused.headers["Retry-After"] == "60"
    assert refused.json()["details"]["retryAt"]
    assert "secret" not in refused.text
    for path in ("/proof/submit-batch", "/account/transfer"):
        require_refusal(await client.post(path, content=b"[]"), 503, "INTAKE_PAUSED")
    assert (await client.get("/status")).json()["switches"]["intake"] is False
    throw(node, Switch.INTAKE, True)
    assert (await submit(client, proof)).status_code == 202


async def test_each_switch_turns_off_what_it_says_and_nothing_else(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    active = "/mesh/triangleAt?lat=47.3769&lon=8.5417&level=active"
    asked = {Switch.MAPS: "/mesh/nearest?lat=47.3769&lon=8.5417&level=10", Switch.EVENTS: "/events?duration_ms=1"}
    for switch, path in asked.items():
        throw(node, switch, False)
        refused = await client.get(path)
        require_refusal(refused, 503, "SWITCHED_OFF")
        assert refused.json()["details"]["value"] == switch.value
        assert (await client.get(active)).status_code == 200, "whoever proves needs it"
        throw(node, switch, True)
        assert (await client.get(path)).status_code == 200, path
    throw(node, Switch.TRANSFERS, False)
    require_refusal(await client.post("/account/transfer", json={}), 503, "SWITCHED_OFF")
    assert (await submit(client, Walker(1).proof(node.clock.now_ms()))).status_code == 202


async def test_a_surge_is_shed_and_taken_again_when_it_is_over(node: MadeUpNode) -> None:
    node.breaker = BreakerSettings(factor=3.0, floor_per_second=1.0)
    services = node.services()
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        services.intake.state()
        node.seconds += 120
        assert (await submit(client, Walker(1).proof(node.clock.now_ms()))).status_code == 202
        services.intake.count(30)
        node.seconds += 1
        refused = await submit(client, Walker(90).proof(node.clock.now_ms()))
        require_refusal(refused, 503, "INTAKE_SHED")
        assert refused.headers["Retry-After"] == str(OPEN_SECONDS)
        details = refused.json()["details"]
        assert (details["value"], details["limit"], details["unit"]) == (3.1, 3.0, "submissions/s")
        require_refusal(await client.post("/proof/submit-batch", content=b"[]"), 503, "INTAKE_SHED")
        assert services.intake.state().is_shedding
        node.seconds += OPEN_SECONDS + WINDOW_SECONDS
        assert (await submit(client, Walker(91).proof(node.clock.now_ms()))).status_code == 202
        assert not services.intake.state().is_shedding
