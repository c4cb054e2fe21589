"""The live feed under its real server: what comes, what is gone on from, and what no client can do to it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from mesh import locate
from step_node.api.events.follower import BEHIND_BATCHES_MAX, RESUMED_BATCHES_MAX
from step_node.api.server.limits import ApiLimits, EventLimits
from step_node.api.submissions.single import parse_submission
from step_node.feed.events import LOCAL_KINDS, EventKind
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.storage.memory import MemoryStorage
from tests.api.event_reader import reading
from tests.api.made_up_node import MadeUpNode, Walker, open_node
from tests.api.serving import AMPLE, serve

GONE = Refusal(RefusalCode.TRIANGLE_EXHAUSTED, "triangleId: is subdivided; choose an active triangle")
FINAL = ",".join(sorted(set(EventKind) - LOCAL_KINDS))
PLACES = [(47.3769, 8.5417), (-33.9, 151.2), (10.0, -179.5), (10.0, 179.5), (60.0, 25.0)]


@asynccontextmanager
async def served(
    node: MadeUpNode, limits: ApiLimits = AMPLE, **event_limits: int
) -> AsyncIterator[tuple[httpx.AsyncClient, trio.CancelScope]]:
    """A client of `node`'s API, and the scope that ends the server."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(_serve, node, limits, EventLimits(**event_limits)))
        url, scope = server
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            yield client, scope
        nursery.cancel_scope.cancel()


async def _serve(
    node: MadeUpNode,
    limits: ApiLimits,
    event_limits: EventLimits,
    *,
    task_status: trio.TaskStatus[tuple[str, trio.CancelScope]],
) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(partial(serve, node, limits=limits, event_limits=event_limits))
            task_status.started((f"http://127.0.0.1:{port}", scope))


def port_of(client: httpx.AsyncClient) -> int:
    assert client.base_url.port is not None
    return client.base_url.port


async def submit(node: MadeUpNode, number: int, *, place: tuple[float, float] = PLACES[0]) -> SignedProof:
    """Have a proof of the walker with this number wait on the node."""
    signed = Walker(number).proof(node.clock.now_ms(), place=place, nonce=f"walk-{number}")
    proof = parse_submission(json.dumps(signed).encode())
    await node.admission.submit(proof, wait_ms=0, source="test")
    assert proof.proof_id in node.mempool
    return proof


async def go_on(node: MadeUpNode, *numbers: int) -> None:
    """A batch of proofs of these walkers, each at a place of its own."""
    for number in numbers:
        await submit(node, number, place=PLACES[number % len(PLACES)])
    node.clock.time_ms += 1_000
    await node.finalise()


async def test_a_proof_is_accepted_and_final_and_its_batch_comes_last(node: MadeUpNode) -> None:
    async with served(node) as (client, _), reading(port_of(client)) as reader:
        proof = await submit(node, 1)
        (accepted,) = await reader.take(1)
        assert (accepted.event, accepted.data["proofId"]) == ("proof_accepted", f"0x{proof.proof_id.hex()}")
        await node.finalise()
        final, batch = await reader.take(2)
        assert (final.event, final.data["proofId"]) == ("proof_finalised", accepted.data["proofId"])
        assert final.data["reward"] == "0.001953"
        assert (batch.event, batch.data["height"], batch.data["proofs"]) == ("batch", 1, 1)
        dropped = await submit(node, 2)
        await node.drop(dropped.proof_id, GONE)
        _, drop = await reader.take(2)
        assert (drop.event, drop.data["code"], drop.data["message"]) == ("proof_dropped", GONE.code, GONE.message)


async def test_the_click_that_ends_a_triangle_is_told_after_its_proof(node: MadeUpNode) -> None:
    async with (
        served(node) as (client, _),
        reading(port_of(client), "?kinds=proof_finalised,triangle_subdivided") as reader,
    ):
        for number in range(1, 12):
            await submit(node, number)
        await node.finalise()
        *proofs, end = await reader.take(12)
        assert [event.event for event in proofs] == ["proof_finalised"] * 11
        assert (end.event, end.data["triangleId"], end.data["clicks"], end.data["state"]) == (
            "triangle_subdivided",
            locate(*PLACES[0], 10).text,
            11,
            "subdivided",
        )


@pytest.mark.parametrize("cut", [1, 3, 5, 6, 8, 9])
async def test_from_any_id_the_stream_goes_on_without_loss_or_repeat(node: MadeUpNode, cut: int) -> None:
    async with served(node) as (client, _):
        async with reading(port_of(client)) as reader:
            await go_on(node, 1, 2)
            await go_on(node, 3)
            everything = await reader.until("batch", height=2)
        assert len(everything) == 8
        last_id = everything[cut - 1].id if cut <= 8 else reader.last_id
        async with reading(port_of(client), last_id=last_id) as again:
            await go_on(node, 4)
            more = await again.until("batch", height=3)
        # What only this node tells comes first where both are behind: in each half the order is the same.
        for of_chain in (True, False):
            kinds = set(EventKind) - LOCAL_KINDS if of_chain else LOCAL_KINDS
            missed = [event.data for event in everything[cut:] if event.event in kinds]
            told = [event.data for event in more if event.event in kinds]
            assert told[: len(missed)] == missed
            assert len(told) == len(missed) + (2 if of_chain else 1)


async def test_an_id_is_good_on_another_node_and_after_a_restart(tmp_path: Path, storage: MemoryStorage) -> None:
    async with (
        open_node(tmp_path / "one.sqlite", storage=storage) as node,
        served(node) as (client, _),
        reading(port_of(client)) as reader,
    ):
        await go_on(node, 1)
        seen = (await reader.until("batch", height=1))[-1]
        await go_on(node, 2)
        expected = [event for event in await reader.until("batch", height=2) if event.event not in LOCAL_KINDS]
    async with open_node(tmp_path / "two.sqlite", storage=storage) as node, served(node) as (client, _):
        async with reading(port_of(client), last_id=seen.id) as reader:
            gap, *final = await reader.take(1 + len(expected))
        assert (gap.event, gap.data["missing"]) == ("gap", "local")
        assert "another node, or an earlier run" in gap.data["message"]
        assert [(event.event, event.data) for event in final] == [(event.event, event.data) for event in expected]
        # Who does not follow what only one node can tell is not bothered; and a browser that cannot set the header
        # names the id in the query.
        async with reading(port_of(client), f"?kinds={FINAL}&lastEventId={seen.id}") as reader:
            assert await reader.take(len(expected)) == [
                replace(event, id=event.id.partition("-")[0]) for event in expected
            ]


async def test_what_comes_through_a_filter_is_what_a_filter_leaves_of_everything(node: MadeUpNode) -> None:
    walkers = {number: Walker(number).address_text for number in range(1, 9)}
    triangle = locate(*PLACES[1], 6)
    filters: dict[str, Any] = {
        f"account={walkers[3]},{walkers[5].upper().replace('X', 'x')}": lambda data: (
            data.get("account") in (walkers[3], walkers[5])
        ),
        "bbox=8,47,9,48": lambda data: "lat" in data and data["lat"] == PLACES[0][0],
        "bbox=179,0,-179,20": lambda data: data.get("lat") == 10.0,
        f"triangle={triangle.text}": lambda data: data.get("lat") == PLACES[1][0],
        f"triangle={triangle.text}&account={walkers[3]}": lambda _: False,
        f"account={walkers[1]}&bbox=-180,-90,180,90": lambda data: data.get("account") == walkers[1],
    }
    async with served(node) as (client, _):
        async with reading(port_of(client)) as reader:
            for numbers in ((1, 2, 3), (4, 5), (6,), (7, 8)):
                await go_on(node, *numbers)
            everything = await reader.until("batch", height=4)
        start = "1.0-" + reader.last_id.partition("-")[2].partition(".")[0] + ".0"
        for query, wanted in filters.items():
            for kinds in ("", "proof_accepted", "proof_finalised,batch"):
                found = await collect(client, f"?{query}{f'&kinds={kinds}' if kinds else ''}", start)
                expected = [
                    event.data
                    for event in everything
                    if wanted(event.data) and (not kinds or event.event in kinds.split(","))
                ]
                assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, expected)), (query, kinds)


async def collect(client: httpx.AsyncClient, query: str, last_id: str) -> list[dict[str, Any]]:
    """All that a short stream brings."""
    async with reading(port_of(client), f"{query}&duration_ms=300", last_id=last_id) as reader:
        return [event.data for event in (await reader.until("end"))[:-1]]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("kinds=", "kinds: must be kinds of events with commas between: proof_accepted"),
        ("kinds=batch,", "kinds: must be kinds"),
        ("kinds=Batch", "kinds: must be kinds"),
        ("kinds=" + "batch," * 500 + "batch", "kinds: must be kinds"),
        ("account=", "account: must be addresses with commas between, each 0x and 40 hex digits"),
        ("account=0x12", "account: must be addresses"),
        (f"account={'0x' + '1' * 40},", "account: must be addresses"),
        (f"account={','.join(['0x' + '1' * 40] * 65)}", "account: must be at most 64 addresses"),
        ("triangle=here", "triangle: "),
        (f"triangle={','.join([locate(47.3, 8.5, 9).text] * 17)}", "triangle: must be at most 16 triangles"),
        ("bbox=1,2,3", "bbox: must be four decimal numbers of degrees"),
        ("bbox=1,2,3,4,5", "bbox: must be four"),
        ("bbox=1,2,3,nan", "bbox: must be four"),
        ("bbox=1,2,3,1e1", "bbox: must be four"),
        ("bbox=1,2,3, 4", "bbox: must be four"),
        ("bbox=1,2,3,0x4", "bbox: must be four"),
        ("bbox=1,5,3,4", "bbox: south and north must be from -90 to 90, and south not above north"),
        ("bbox=1,2,181,4", "bbox: west and east must be from -180 to 180"),
        ("bbox=" + "1" * 5_000, "bbox: must be four"),
        ("duration_ms=0", "duration_ms: "),
        ("duration_ms=3600001", "duration_ms: "),
        ("lastEventId=7", "lastEventId: must be the id of an event of this feed"),
        ("lastEventId=", "lastEventId: must be the id"),
        ("last_event_id=1.0", "'last_event_id': is not a parameter"),
    ],
)
async def test_a_filter_that_is_wrong_names_what_is_wrong(client: httpx.AsyncClient, query: str, message: str) -> None:
    answer = await client.get(f"/events?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_PAYLOAD")
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize("text", ["", "nothing", "1.0-", "9" * 400, "1.0, 2.0", "-1.0"])
async def test_a_malformed_header_is_refused_by_its_name(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.get("/events", headers={"Last-Event-ID": text})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Last-Event-ID: must be the id of an event of this feed"


async def test_an_id_from_far_ahead_is_for_another_node_and_from_close_ahead_is_waited_for(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        far = await client.get("/events", headers={"Last-Event-ID": f"{RESUMED_BATCHES_MAX + 1}.0"})
        assert far.status_code == 200
        assert '"reason":"far_ahead"' in far.text
        async with reading(port_of(client), f"?kinds={FINAL}", last_id="2.1") as reader:
            await go_on(node, 1)
            await go_on(node, 2)
            (event,) = await reader.take(1)
        # Its first event has been seen elsewhere.
        assert (event.event, event.data["height"], event.id) == ("batch", 2, "2.2")


async def test_who_was_away_for_too_long_is_told_what_is_missing(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        await go_on(node, 1)
        node.feed.height = RESUMED_BATCHES_MAX + 5
        async with reading(port_of(client), f"?kinds={FINAL}", last_id="2.0") as reader:
            (gap,) = await reader.take(1)
    assert (gap.event, gap.data["missing"], gap.data["fromHeight"], gap.data["toHeight"]) == ("gap", "final", 2, 5)
    assert "read what you need of them" in gap.data["message"]
    assert gap.id == "6.0"


async def test_a_jump_over_batches_is_a_gap(node: MadeUpNode) -> None:
    async with served(node) as (client, _), reading(port_of(client), f"?kinds={FINAL}") as reader:
        node.feed.jumped(500)
        (gap,) = await reader.take(1)
    assert (gap.data["fromHeight"], gap.data["toHeight"], gap.id) == (1, 500, "501.0")


async def test_who_falls_behind_is_let_go_with_a_reason(node: MadeUpNode) -> None:
    async with served(node) as (client, _), reading(port_of(client), f"?kinds={FINAL}") as reader:
        node.feed.height = BEHIND_BATCHES_MAX + 5
        node.feed.accepted([], 0)
        (end,) = await reader.take(1)
        with pytest.raises(EOFError):
            await reader.next()
    assert (end.event, end.data["reason"], end.id) == ("end", "too_slow", "1.0")
    assert ended(node, "too_slow") == 1


async def test_a_stream_ends_after_its_time_and_says_so(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        answer = await client.get("/events?duration_ms=50")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.text.startswith("retry: 3000\n\nid: 1.0-")
    assert '"reason":"duration"' in answer.text
    assert ended(node, "duration") == 1


async def test_head_opens_no_stream(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        answer = await client.head("/events")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")
        await streams_open(node, 0)


async def test_when_the_node_stops_streams_end_with_a_reason_and_at_once(node: MadeUpNode) -> None:
    async with served(node) as (client, scope), reading(port_of(client)) as reader:
        scope.cancel()
        (end,) = await reader.take(1)
        assert (end.event, end.data["reason"]) == ("end", "stopping")
        with pytest.raises(EOFError):
            await reader.next()
    assert ended(node, "stopping") == 1


async def test_an_address_has_so_many_streams_and_all_together_so_many_and_they_come_free(node: MadeUpNode) -> None:
    async with served(node, streams_max=3, streams_per_address_max=2) as (client, _):
        async with reading(port_of(client)), reading(port_of(client)):
            refused = await client.get("/events")
            assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
            assert "has 2 streams of events already" in refused.json()["message"]
            await streams_open(node, 2)
        await streams_open(node, 0)
        async with reading(port_of(client)):
            await streams_open(node, 1)
    async with served(node, streams_max=0) as (client, _):
        refused = await client.get("/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "NOT_READY")


async def test_a_client_that_hangs_up_frees_its_place_without_an_event(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        stream = await trio.open_tcp_stream("127.0.0.1", port_of(client))
        await stream.send_all(b"GET /events HTTP/1.1\r\nHost: node\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        await streams_open(node, 1)
        await stream.aclose()
        await streams_open(node, 0)
        assert ended(node, "gone") == 1


async def test_a_client_that_goes_on_sending_changes_nothing(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        async with await trio.open_tcp_stream("127.0.0.1", port_of(client)) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: node\r\n\r\nGET /status HTTP/1.1\r\n" + b"x" * 50_000)
            await go_on(node, 1)
            received = b""
            with trio.fail_after(20):
                while b"event: batch" not in received:
                    received += await stream.receive_some()
        assert b"/status" not in received
        await streams_open(node, 0)
        assert (await client.get("/health")).status_code == 200


async def test_hundreds_connect_and_leave_and_all_that_stay_see_everything(node: MadeUpNode) -> None:
    limits = replace(AMPLE, connections_max=2_000, connections_per_address_max=2_000)
    seen: list[int] = []
    stayers, opened, all_stay = 100, 0, trio.Event()
    async with served(node, limits, streams_max=1_000, streams_per_address_max=1_000) as (client, _):
        port = port_of(client)

        async def come_and_go(number: int) -> None:
            nonlocal opened
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(b"GET /events?kinds=batch HTTP/1.1\r\nHost: node\r\n\r\n")
            if number % 4:
                await trio.aclose_forcefully(stream)
                return
            received = b""
            while b"event: open" not in received:
                received += await stream.receive_some()
            opened += 1
            if opened == stayers:
                all_stay.set()
            while b'"height":3' not in received:
                received += await stream.receive_some()
            seen.append(received.count(b"event: batch"))
            await stream.aclose()

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(4 * stayers):
                    nursery.start_soon(come_and_go, number)
                await all_stay.wait()
                for height in range(1, 4):
                    await go_on(node, height)
        assert seen == [3] * stayers
        await streams_open(node, 0)


async def test_a_client_that_never_reads_keeps_nobody_else_waiting(node: MadeUpNode) -> None:
    async with served(node) as (client, _):
        idle = trio.socket.socket()
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
        await idle.connect(("127.0.0.1", port_of(client)))
        await idle.send(b"GET /events?kinds=proof_accepted HTTP/1.1\r\nHost: node\r\n\r\n")
        await streams_open(node, 1)
        async with reading(port_of(client), "?kinds=batch") as reader:
            proof = await submit(node, 1)
            # Far more than sockets hold: its stream is stuck from here on.
            for _ in range(20):
                node.feed.accepted([proof] * 1_000, 0)
                await trio.lowlevel.checkpoint()
            await node.finalise()
            (event,) = await reader.take(1)
            assert event.data["height"] == 1
        idle.close()
        await streams_open(node, 0)


async def streams_open(node: MadeUpNode, count: int) -> None:
    """Wait until so many are."""
    with trio.fail_after(20):
        while node.registry.get_sample_value("step_event_streams") != count:
            await trio.sleep(0.01)


def ended(node: MadeUpNode, reason: str) -> float | None:
    """How many streams have ended for it."""
    return node.registry.get_sample_value("step_event_streams_ended_total", {"reason": reason})
