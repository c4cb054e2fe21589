"""Lists of what is final: page by page, both ways, and as a table."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pytest
import trio

from mesh import locate
from step_node.api.histories.proofs_csv import COLUMNS
from step_node.api.submissions.single import parse_submission
from step_node.batch.batch import decode_batch, encode_batch
from step_node.batch.summary import BatchSummary, stored_summary
from step_node.proofs.proof import Refusal, RefusalCode
from tests.api.made_up_node import MadeUpNode, Walker
from tests.api.test_events import PLACES, go_on, submit
from tests.support.chains import build, open_chain
from tests.support.proofs import START_MS, signed_proof


async def test_every_list_is_read_down_and_then_up_without_gap_or_repeat(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    for height in range(7):
        await go_on(node, *range(5 * height + 1, 5 * height + 1 + height % 3 + 1))
    triangle = locate(*PLACES[1], 10).text
    for path, name in ((f"/triangle/{triangle}/proofs", "proofs"), ("/batches", "batches")):
        newest_first: list[Any] = []
        page = (await client.get(path, params={"limit": 2})).json()
        latest = page["latestCursor"]
        while True:
            newest_first += page[name]
            if page["nextCursor"] is None:
                break
            page = (await client.get(path, params={"limit": 2, "before": page["nextCursor"]})).json()
        heights = [entry["height"] for entry in newest_first]
        assert heights == sorted(heights, reverse=True)
        assert len(heights) > 2
        oldest_first: list[Any] = []
        page = (await client.get(path, params={"limit": 2, "after": "AAAAAAAAAAAAAAAA"})).json()
        while page[name]:
            oldest_first += page[name]
            page = (await client.get(path, params={"limit": 2, "after": page["latestCursor"]})).json()
        assert oldest_first == newest_first[::-1]
        assert page["latestCursor"] == latest


async def test_what_has_come_since_is_asked_for_with_the_latest_cursor_even_where_nothing_was(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    walker = Walker(1)
    path = f"/account/{walker.address_text}/proofs"
    empty = (await client.get(path)).json()
    assert (empty["proofs"], empty["nextCursor"]) == ([], None)
    await go_on(node, 1)
    since = (await client.get(path, params={"after": empty["latestCursor"]})).json()
    assert [entry["height"] for entry in since["proofs"]] == [1]
    nothing = (await client.get(path, params={"after": since["latestCursor"]})).json()
    assert (nothing["proofs"], nothing["latestCursor"]) == ([], since["latestCursor"])


async def test_batches_are_listed_upward_from_a_height_and_within_bounds(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/batches")).json()["batches"] == []
    assert (await client.get("/batch/latest")).json()["code"] == "BATCH_NOT_FOUND"
    for number in range(1, 6):
        await go_on(node, number)

    async def heights(query: str) -> list[int]:
        return [one["height"] for one in (await client.get(f"/batches?{query}")).json()["batches"]]

    assert await heights("") == [5, 4, 3, 2, 1]
    assert await heights("from=2") == [2, 3, 4, 5]
    assert await heights("from=2&limit=2") == [2, 3]
    assert await heights("from=6") == []
    up = (await client.get("/batches?from=2&limit=2")).json()
    assert await heights(f"after={up['nextCursor']}") == [4, 5]
    assert await heights(f"from=2&before={up['nextCursor']}") == [2]
    latest = (await client.get("/batch/latest")).json()
    assert latest == (await client.get("/batch/5")).json()
    (entry,) = (await client.get("/batches?limit=1")).json()["batches"]
    assert (entry["batchHash"], entry["proofs"]) == (latest["batchHash"], 1)
    assert "immutable" not in (await client.get("/batch/latest")).headers["cache-control"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("before=x", "before"), ("after=AAAA", "after"), ("from=0", "from"), ("from=1.5", "from"), ("limit=101", "limit")],
)
async def test_a_page_that_cannot_be_is_refused_by_name(client: httpx.AsyncClient, query: str, field: str) -> None:
    answer = await client.get(f"/batches?{query}")
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, field)


async def test_a_summary_is_that_of_the_decoded_batch() -> None:
    chain = await open_chain()
    judged = await build(chain, [signed_proof(f"walker-{n}", lat=n, timestamp_ms=START_MS) for n in range(20)])
    data = encode_batch(judged.batch)
    assert stored_summary(data) == BatchSummary.of(decode_batch(data))
    assert stored_summary(data).proofs == 20


# --- the table --------------------------------------------------------------------------------------------------------


def table_of(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_a_table_has_what_the_list_has_and_goes_on_at_its_last_cursor(
    node: MadeUpNode, client: httpx.AsyncClient
) -> None:
    walker = Walker(1)
    for number in range(5):
        node.clock.time_ms += 60_000
        await submit_as(node, walker, f"n-{number}")
        await node.finalise()
    path = f"/account/{walker.address_text}/proofs"
    answer = await client.get(f"{path}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert f"proofs-{walker.address_text}.csv" in answer.headers["content-disposition"]
    assert answer.text.splitlines()[0] == ",".join(COLUMNS)
    rows = table_of(answer)
    listed = (await client.get(path)).json()["proofs"]
    assert [{**row, "cursor": ""} for row in rows] == [
        {name: "" if name == "cursor" else str(entry[name]) for name in COLUMNS} for entry in listed
    ]
    some = table_of(await client.get(f"{path}.csv?limit=2"))
    rest = table_of(await client.get(f"{path}.csv?before={some[-1]['cursor']}"))
    assert [*some, *rest] == rows
    assert (await client.head(f"{path}.csv")).content == b""
    assert table_of(await client.get(f"/account/0x{'7' * 40}/proofs.csv")) == []


async def submit_as(node: MadeUpNode, walker: Walker, nonce: str) -> None:
    proof = parse_submission(json.dumps(walker.proof(node.clock.now_ms(), nonce=nonce)).encode())
    await node.admission.submit(proof, wait_ms=0, source="test")


async def test_no_cell_of_the_table_is_a_formula(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    walker = Walker(3)
    await submit_as(node, walker, "-2-3.cmd")
    await node.finalise()
    (row,) = table_of(await client.get(f"/account/{walker.address_text}/proofs.csv"))
    assert row["nonce"] == "'-2-3.cmd"


async def test_a_long_table_is_read_page_by_page_of_one_moment(
    node: MadeUpNode, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    walker = Walker(1)
    monkeypatch.setattr("step_node.api.histories.proofs_csv.PAGE_ROWS", 2)
    for number in range(5):
        node.clock.time_ms += 60_000
        await submit_as(node, walker, f"n-{number}")
        await node.finalise()
    rows = table_of(await client.get(f"/account/{walker.address_text}/proofs.csv"))
    assert [row["height"] for row in rows] == ["5", "4", "3", "2", "1"]
    rows = table_of(await client.get(f"/account/{walker.address_text}/proofs.csv?limit=3"))
    assert [row["height"] for row in rows] == ["5", "4", "3"]


# --- waiting for a proof ----------------------------------------------------------------------------------------------


async def test_who_asks_for_a_status_may_wait_for_it(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    final, dropped = await submit(node, 1), await submit(node, 2)
    told: dict[bytes, dict[str, Any]] = {}

    async def ask(proof_id: bytes) -> None:
        told[proof_id] = (await client.get(f"/proof/status/0x{proof_id.hex()}?wait_ms=20000")).json()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, final.proof_id)
            nursery.start_soon(ask, dropped.proof_id)
            while len(node.waiters) < 2:
                await trio.sleep(0.01)
            await node.drop(dropped.proof_id, Refusal(RefusalCode.MORATORIUM, "timestamp: too soon"))
            await node.finalise()
    assert (told[final.proof_id]["status"], told[final.proof_id]["height"]) == ("finalised", 1)
    assert (told[dropped.proof_id]["status"], told[dropped.proof_id]["code"]) == ("dropped", "MORATORIUM")
    await ask(final.proof_id)
    assert told[final.proof_id]["status"] == "finalised"


async def test_a_status_is_waited_for_no_longer_than_asked(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    proof = await submit(node, 1)
    path = f"/proof/status/0x{proof.proof_id.hex()}"
    assert (await client.get(f"{path}?wait_ms=20")).json()["status"] == "pending"
    assert (await client.get(f"/proof/status/0x{'1' * 64}?wait_ms=20000")).status_code == 404
    refused = await client.get(f"{path}?wait_ms=30001")
    assert (refused.status_code, refused.json()["details"]["field"]) == (400, "wait_ms")
    assert len(node.waiters) == 0
