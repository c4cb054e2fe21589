"""A batch's answer is made once, kept while there is room, and need not be sent to who has it."""

from __future__ import annotations

import httpx
import pytest
import trio

from step_node.api.batches import answers as batch_answers
from step_node.api.batches.answers import BatchAnswers, KeptAnswer
from step_node.proofs.payload import parse_payload
from tests.api.counting_storage import CountingStorage
from tests.api.made_up_node import MadeUpNode, Walker


@pytest.fixture
def storage() -> CountingStorage:
    """The store under the node of this module."""
    return CountingStorage()


async def finalise(node: MadeUpNode, batches: int) -> None:
    """So many heights with a proof each."""
    for number in range(1, batches + 1):
        node.clock.time_ms += 1
        proof = Walker(number).proof(node.clock.now_ms())
        await node.admission.submit(parse_payload(proof["payload"], proof["signature"]), wait_ms=0, source="client")
        await node.finalise()
    await node.until_followed()


async def test_readers_that_ask_together_have_it_made_once(node: MadeUpNode, storage: CountingStorage) -> None:
    await finalise(node, 1)
    storage.read.clear()
    answers, found = BatchAnswers(storage), list[KeptAnswer | None]()

    async def ask() -> None:
        found.append(await answers.get(1))

    async with trio.open_nursery() as readers:
        for _ in range(40):
            readers.start_soon(ask)
    assert storage.read == [1]
    assert len(set(found)) == 1
    assert await answers.get(2) is None


async def test_what_was_asked_for_the_longest_ago_is_dropped(
    node: MadeUpNode, storage: CountingStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finalise(node, 3)
    answers = BatchAnswers(storage)
    one = await answers.get(1)
    assert one is not None
    monkeypatch.setattr(batch_answers, "KEPT_BYTES_MAX", 2 * len(one.body) + 50)
    await answers.get(2)
    await answers.get(1)
    await answers.get(3)
    storage.read.clear()
    await answers.get(1)
    await answers.get(3)
    assert storage.read == []
    await answers.get(2)
    assert storage.read == [2]


async def test_who_has_it_already_is_told_so(node: MadeUpNode, client: httpx.AsyncClient) -> None:
    await finalise(node, 1)
    first = await client.get("/batch/1")
    assert first.status_code == 200
    # Another chain, such as a test network that is begun anew, has a batch of this height, too.
    assert first.headers["cache-control"] == "public, max-age=60"
    again = await client.get("/batch/1", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/batch/1", headers={"If-None-Match": '"another"'})
    assert other.json() == first.json()
    assert (await client.get("/batch/2")).status_code == 404
