"""Reports of fairness over HTTP: the list, one of them, and what is said of those that are not here."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import rfc8785
import trio

from step_node.api.app import create_app
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.side_file import EconomyFile
from step_node.home.switches import Switch, Thrown
from step_node.proofs.payload import parse_payload
from step_node.storage.interface import Prunable
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_node import MadeUpNode, Walker, open_node

EPOCH_BATCHES = 2
MORATORIUM_MS = 10_000
WAIT_SECONDS_MAX = 30.0
WALKERS = [Walker(number) for number in range(1, 8)]


@pytest.fixture
async def node(tmp_path: Path, storage: MemoryStorage) -> AsyncIterator[MadeUpNode]:
    """Its epochs have two batches."""
    async with open_node(tmp_path / "journal.sqlite", storage=storage, epoch_batches=EPOCH_BATCHES) as node:
        yield node


async def grow(node: MadeUpNode, batches: int) -> None:
    """So many batches more, each of one proof, by one walker after another."""
    for number in range(batches):
        node.clock.time_ms += MORATORIUM_MS + 1
        proof = WALKERS[number].proof(node.clock.now_ms())
        await node.admission.submit(parse_payload(proof["payload"], proof["signature"]), wait_ms=0, source="client")
        await node.finalise()
    with trio.fail_after(WAIT_SECONDS_MAX):
        while (node.fairness.needed_from() or 0) <= node.chain.head.chain.height // EPOCH_BATCHES * EPOCH_BATCHES:
            await trio.sleep(0.001)


async def test_a_report_is_the_canonical_bytes_that_are_kept_and_its_tag_their_hash(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await grow(node, 2)
    answer = await client.get("/fairness/1", headers={"Accept-Encoding": "identity"})
    kept = await node.fairness.kept(1)
    assert kept is not None
    assert answer.content == kept.report == rfc8785.dumps(answer.json())
    assert answer.json()["income"] == {"giniPpm": 0, "topAccounts": 1, "topSharePpm": 500_000}
    found = f"0x{hashlib.sha256(answer.content).hexdigest()}"
    assert answer.headers["ETag"] == f'"{found}"'
    (listed,) = (await client.get("/fairness")).json()["epochs"]
    assert listed["reportHash"] == found


async def test_a_drift_is_told_beside_the_report_and_of_the_first_epoch_it_has_no_figures(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await grow(node, 2)
    # The second epoch is one account's.
    await grow(node, 1)
    await grow(node, 1)
    first, second = (await client.get("/fairness/1/drift")).json(), (await client.get("/fairness/2/drift")).json()
    figures = {"comparedEpochs": 0, "incomeGiniPpm": None, "incomeTopSharePpm": None}
    assert first == {**figures, "ok": True, "epoch": 1}
    figures = {"comparedEpochs": 1, "incomeGiniPpm": 0, "incomeTopSharePpm": 500_000}
    assert second == {**figures, "ok": True, "epoch": 2}
    assert (await client.get("/fairness/2")).json()["newcomers"]["accounts"] == 0


async def test_reports_and_drifts_never_change_and_have_a_tag(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await grow(node, 4)
    for path in ("/fairness/1", "/fairness/2", "/fairness/1/drift", "/fairness/2/drift"):
        answer = await client.get(path)
        # For a minute only: a test network that is begun anew has a first epoch, too.
        assert answer.headers["Cache-Control"] == "public, max-age=60"
        again = await client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_the_list_is_newest_first_and_in_pages(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await grow(node, 7)
    page = (await client.get("/fairness?limit=2")).json()
    assert [one["epoch"] for one in page["epochs"]] == [3, 2]
    assert (page["epochBatches"], page["runningEpoch"], page["runningEndsAt"]) == (EPOCH_BATCHES, 4, 8)
    rest = (await client.get("/fairness", params={"before": page["nextCursor"]})).json()
    assert ([one["epoch"] for one in rest["epochs"]], rest["nextCursor"]) == ([1], None)
    drift = (await client.get("/fairness/3/drift")).json()
    assert page["epochs"][0]["drift"] == {name: drift[name] for name in drift if name not in ("ok", "epoch")}


async def test_an_epoch_that_has_not_ended_is_told_with_its_heights(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    await grow(node, 3)
    refused = await client.get("/fairness/2")
    assert (refused.status_code, refused.json()["code"]) == (404, "REPORT_NOT_FOUND")
    assert "it has the heights 3 to 4, the last is 3" in refused.text
    assert refused.json()["details"]["retryable"] is True
    assert refused.json()["details"]["limit"] == 1


async def test_a_node_that_joined_later_names_the_first_epoch_that_it_has(
    tmp_path: Path, storage: MemoryStorage
) -> None:
    async with open_node(tmp_path / "journal.sqlite", storage=storage, epoch_batches=EPOCH_BATCHES) as earlier:
        await grow(earlier, 3)
    await storage.prune(Prunable.BATCHES, below=3)
    async with open_node(tmp_path / "other.sqlite", storage=storage, epoch_batches=EPOCH_BATCHES) as node:
        transport = httpx.ASGITransport(create_app(node.services()))
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            node.clock.time_ms += 100_000
            with trio.fail_after(WAIT_SECONDS_MAX):
                while node.fairness.height is None:
                    await trio.sleep(0.001)
            none_yet = await client.get("/fairness/1")
            assert "has none yet" in none_yet.text
            await grow(node, 3)
            for epoch in (1, 2):
                refused = await client.get(f"/fairness/{epoch}")
                assert "which has them from epoch 3 on" in refused.text
                assert refused.json()["details"]["limit"] == 3
                assert refused.json()["details"]["retryable"] is False
                assert (await client.get(f"/fairness/{epoch}/drift")).text == refused.text
            assert (await client.get("/fairness/3")).status_code == 200
            # It lacks what the drift is made of, and gives the report as everybody does.
            refused = await client.get("/fairness/3/drift")
            assert (refused.status_code, refused.json()["code"]) == (404, "REPORT_NOT_FOUND")
            assert (
                "who has the reports of 1 to 3, and this node lacks one of them: its first is that of 3" in refused.text
            )
            assert refused.json()["details"]["limit"] == 3
            (listed,) = (await client.get("/fairness")).json()["epochs"]
            assert (listed["epoch"], listed["drift"]) == (3, None)


async def test_a_report_that_is_being_made_can_be_asked_for_again(node: MadeUpNode) -> None:
    await grow(node, 2)
    # One that has not begun to run.
    node.fairness = FairnessReporter(node.chain, EconomyFile.open(None, node.chain.genesis.hash))
    transport = httpx.ASGITransport(create_app(node.services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as late:
        refused = await late.get("/fairness/1")
    assert "its report is being made" in refused.text
    assert refused.json()["details"]["retryable"] is True


async def test_too_many_accounts_and_too_long_epochs_are_told(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as few:
        few.setattr("step_node.economy.fairness.fold.ACCOUNTS_MAX", 1)
        await grow(node, 2)
        assert "too many accounts" in (await client.get("/fairness/1")).text
    monkeypatch.setattr("step_node.economy.fairness.reporter.EPOCH_BATCHES_MAX", 1)
    assert "this chain has no reports" in (await client.get("/fairness/9")).text


async def test_what_is_switched_off_is_not_answered(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    node.switches.throw(Switch.FAIRNESS, Thrown(is_on=False, who="somebody", when_ms=0, why="a bad night"))
    for path in ("/fairness", "/fairness/1", "/fairness/1/drift"):
        assert (await client.get(path)).json()["code"] == "SWITCHED_OFF"
