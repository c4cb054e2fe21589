"""What clients are answered while an operator has paused something, and while a surge is shed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import httpx
import pytest

from step_node.api.app import create_app
from step_node.api.submissions.breaker import OPEN_SECONDS, WINDOW_SECONDS, BreakerSettings
from step_node.api.submissions.share import is_admitted, place_of
from step_node.api.submissions.single import submission_in
from step_node.home.switches import INTAKE_PERCENTS, IntakePercent, ShareSet, Switch, Thrown
from step_node.ledger.state import Receipt
from step_node.operations.json_form import operation_json
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.storage.interface import StorageUnavailable
from tests.api.made_up_node import MadeUpNode, Walker
from tests.api.test_submit import require_refusal, submit
from tests.support.operations import transfer


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
    asked = {
        Switch.MAPS: "/mesh/nearest?lat=47.3769&lon=8.5417&level=10",
        Switch.EVENTS: "/events?duration_ms=1",
        Switch.TRENDING: "/trending",
    }
    await node.until_trending()
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


def walkers(percent: int, *, admitted: bool) -> list[Walker]:
    """Three who are among so many of a hundred, or are not."""
    if not admitted:
        return left_out(percent, 3)
    return [one for one in map(Walker, range(1, 400)) if is_admitted(one.address, percent)][:3]


def left_out(percent: int, number: int) -> list[Walker]:
    """So many who are not among so many of a hundred."""
    return [one for one in map(Walker, range(1, 400)) if not is_admitted(one.address, percent)][:number]


def take_from(node: MadeUpNode, percent: IntakePercent) -> None:
    node.switches.set_share(ShareSet(percent=percent, who="guardrail supply", when_ms=0, why="a secret of ours"))


async def test_of_a_share_of_the_accounts_proofs_are_taken_and_the_others_told_when_to_come_again(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    take_from(node, 10)
    inside, outside = walkers(10, admitted=True), walkers(10, admitted=False)
    assert (await submit(client, inside[0].proof(node.clock.now_ms()))).status_code == 202
    refused = await submit(client, outside[0].proof(node.clock.now_ms()))
    require_refusal(refused, 503, "INTAKE_PAUSED")
    assert refused.headers["Retry-After"] == "60"
    details = refused.json()["details"]
    assert (details["gate"], details["value"], details["unit"]) == ("intake_share", 10, "% of accounts")
    assert details["retryAt"]
    assert "secret" not in refused.text
    several = [one.proof(node.clock.now_ms(), place=(10.0, n)) for n, one in enumerate((*inside[1:], *outside[1:]))]
    answer = (await client.post("/proof/submit-batch", params={"wait_ms": 0}, json=several)).json()
    assert [one.get("code", one["status"]) for one in answer["outcomes"]] == [
        "pending", "pending", "INTAKE_PAUSED", "INTAKE_PAUSED",
    ]  # fmt: skip
    take_from(node, 100)
    assert (await submit(client, outside[0].proof(node.clock.now_ms()))).status_code == 202


async def test_a_transfer_is_taken_if_its_owner_is_among_the_share(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    form = operation_json(transfer("alice", "bob", 0))
    take_from(node, 0)
    refused = await client.post("/account/transfer", json=form)
    require_refusal(refused, 503, "INTAKE_PAUSED")
    assert refused.json()["details"]["gate"] == "intake_share"
    take_from(node, 100)
    assert (await client.post("/account/transfer", json=form)).json()["code"] != "INTAKE_PAUSED"


async def test_what_an_account_that_is_left_out_has_submitted_before_is_answered_as_ever(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    now_ms = node.clock.now_ms()
    final, dropped, waiting, passed_on, new = (
        one.proof(now_ms, place=(10.0, n)) for n, one in enumerate(left_out(10, 5))
    )
    await submit(client, final)
    await node.finalise()
    (gone,) = [(await submit(client, dropped)).json()["proofId"]]
    await node.drop(bytes.fromhex(gone[2:]), Refusal(RefusalCode.TRIANGLE_EXHAUSTED, "triangleId: is subdivided"))
    await submit(client, waiting)
    # It waits here because a peer has passed it on: nobody has promised it here yet.
    assert await node.admission.admit_from_peer([submission_in(passed_on)], "peer") == [None]
    known = [final, dropped, waiting, passed_on]
    ids = [f"0x{submission_in(one).proof_id.hex()}" for one in known]
    assert not node.journal.holds(bytes.fromhex(ids[3][2:]))
    take_from(node, 10)
    during = [await submit(client, one) for one in known]
    assert node.journal.holds(bytes.fromhex(ids[3][2:])), "the answer is a promise, as it is without a share"
    together = (await client.post("/proof/submit-batch", json=[*known, new])).json()["outcomes"]
    require_refusal(await submit(client, new), 503, "INTAKE_PAUSED")
    take_from(node, 100)
    for answer, one in zip(during, known, strict=True):
        ever = await submit(client, one)
        assert (answer.status_code, answer.json()) == (ever.status_code, ever.json())
    assert [answer.status_code for answer in during] == [200, 409, 202, 202]
    assert together[:4] == (await client.post("/proof/submit-batch", json=known)).json()["outcomes"]
    assert together[4]["code"] == "INTAKE_PAUSED"


async def test_who_is_left_out_learns_that_the_store_does_not_answer(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: Sequence[bytes]) -> Sequence[Receipt]:
        raise StorageUnavailable("the store is away")

    take_from(node, 0)
    monkeypatch.setattr(node.storage, "receipts", away)
    refused = await submit(client, Walker(1).proof(node.clock.now_ms()))
    require_refusal(refused, 503, "NOT_READY")
    assert refused.json()["details"]["gate"] == "store"


async def test_who_is_left_out_is_no_surge_and_cannot_shut_the_others_out(node: MadeUpNode) -> None:
    node.breaker = BreakerSettings(factor=3.0, floor_per_second=1.0)
    services = node.services()
    transport = httpx.ASGITransport(create_app(services))
    take_from(node, 10)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        services.intake.state()
        node.seconds += 120
        many = [one.proof(node.clock.now_ms(), place=(10.0, n)) for n, one in enumerate(left_out(10, 40))]
        answer = (await client.post("/proof/submit-batch", json=many)).json()
        assert (answer["code"], answer["details"]["gate"]) == ("INTAKE_PAUSED", "intake_share")
        for one in many[:10]:
            require_refusal(await submit(client, one), 503, "INTAKE_PAUSED")
        node.seconds += 1
        assert services.intake.state().figures.rate_per_second == 0
        assert not services.intake.state().is_shedding
        inside = walkers(10, admitted=True)[0]
        assert (await submit(client, inside.proof(node.clock.now_ms()))).status_code == 202
        node.seconds += 1
        assert services.intake.state().figures.rate_per_second == 0.1


def test_a_share_is_about_so_large_the_same_everywhere_and_within_every_larger_one() -> None:
    accounts = [hashlib.sha256(bytes([n % 256, n // 256])).digest()[:20] for n in range(4_000)]
    shares = {percent: {one for one in accounts if is_admitted(one, percent)} for percent in INTAKE_PERCENTS}
    assert not shares[0]
    assert shares[0] < shares[10] < shares[50] < shares[100] == set(accounts)
    assert 340 < len(shares[10]) < 460
    assert 1_880 < len(shares[50]) < 2_120
    assert [place_of(bytes([n]) * 20) for n in range(4)] == [68, 11, 86, 59], "nodes of all releases must agree on it"


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
