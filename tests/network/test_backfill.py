"""A node that joined from a snapshot gets the window's earlier batches of peers, and no wrong one of anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import trio

from consensus.messages import Commit
from consensus.wire import decode, decode_union, encode
from p2p.memory import MemoryHub
from p2p.network import Fault, Stream
from step_node.batch.batch import decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.economy.columns import COLUMNS, FoldedBatch, ProofColumns
from step_node.economy.window import ProofWindow
from step_node.network import backfill, peers, track_record
from step_node.network.backfill import Backfill
from step_node.network.protocols import (
    SYNC_REQUEST_BYTES_MAX,
    BatchesRequest,
    FinalisedBatchMessage,
    Hello,
    SyncRequest,
)
from step_node.storage.interface import Prunable, StoredBatch
from tests.network.nodes import Answer, SyncingNode, stranger, syncing_node
from tests.snapshot.snapshots import grow
from tests.support.chains import CHAIN_ID, finalise, make_genesis, open_chain
from tests.support.proofs import signed_proof
from tests.support.waiting import until

GENESIS = make_genesis(4)
HEIGHT = 12
BASE = 9


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for other machines need not wait here."""
    monkeypatch.setattr(peers, "GREETING_INTERVAL_MS", 10)
    monkeypatch.setattr(backfill, "AGAIN_MS", 5)
    monkeypatch.setattr(backfill, "AGAIN_MS_MAX", 10)
    monkeypatch.setattr(backfill, "BUSY_MS", 5)


class Wanting:
    """Wants what the window of a node lacks that has the batches from `BASE` on."""

    def __init__(self, batches: Sequence[StoredBatch]) -> None:
        self.window = ProofWindow()
        for stored in batches:
            batch = decode_batch(stored.batch)
            self.window.append(
                ProofColumns.of_batch(batch), height=stored.height, batch_time_ms=batch.header.timestamp_ms
            )
        self._hash = decode_batch(batches[0].batch).header.previous_batch_hash
        self.taken: list[int] = []

    def rows(self) -> ProofColumns:
        """All that the window holds."""
        return ProofColumns.joined(self.window.parts(self.window.standing.first, self.window.end))

    def wanted(self) -> tuple[int, bytes] | None:
        return None if self.window.is_complete else (self.window.complete_from_height - 1, self._hash)

    async def take_earlier(self, batches: Sequence[FoldedBatch]) -> None:
        for batch in reversed(batches):
            if self.window.is_complete:
                break
            self.window.take_earlier(batch.rows, height=batch.height, batch_time_ms=batch.batch_time_ms)
            self._hash = batch.previous_batch_hash
            self.taken.append(batch.height)


async def whole_chain() -> Chain:
    chain = await open_chain(GENESIS)
    await grow(chain, HEIGHT)
    return chain


async def wanting(chain: Chain) -> Wanting:
    return Wanting(await chain.storage.batches(BASE, HEIGHT))


def all_rows(batches: Sequence[StoredBatch]) -> ProofColumns:
    return ProofColumns.joined([ProofColumns.of_batch(decode_batch(one.batch)) for one in batches])


@asynccontextmanager
async def filling(
    hub: MemoryHub, chain: Chain, earlier: Wanting, home: Path, *, is_behind: bool = False
) -> AsyncIterator[SyncingNode]:
    """A node, joined to `hub`, that wants what `earlier` wants."""
    async with syncing_node(hub, "joiner", chain, home) as node, trio.open_nursery() as nursery:
        work = Backfill(network=node.network, peers=node.peers, earlier=earlier, is_behind=lambda: is_behind)
        nursery.start_soon(work.run)
        yield node
        nursery.cancel_scope.cancel()


def answering(batches: dict[int, bytes]) -> Answer:
    """Give these messages where their heights are asked for; what is missing ends the answer."""

    async def answer(stream: Stream) -> None:
        data = await stream.receive_message()
        assert data is not None
        request = decode_union(SyncRequest, data, bytes_max=SYNC_REQUEST_BYTES_MAX)
        assert isinstance(request, BatchesRequest)
        for height in range(request.from_height, request.from_height + request.limit):
            if height not in batches:
                return
            await stream.send_message(batches[height])

    return answer


def noted(asked: list[str], answer: Answer) -> Answer:
    """The same answer, and a note of each question."""

    async def note(stream: Stream) -> None:
        asked.append("asked")
        await answer(stream)

    return note


async def messages_of(chain: Chain) -> dict[int, bytes]:
    return {
        stored.height: encode(
            FinalisedBatchMessage(stored.batch, decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX))
        )
        for stored in await chain.storage.batches(1, HEIGHT)
    }


HELLO = Hello(CHAIN_ID, GENESIS.hash, HEIGHT)


@pytest.mark.parametrize("at_once", [1, 3, 64])
async def test_what_is_missing_is_fetched_down_to_genesis_and_is_what_every_other_node_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(backfill, "ASKED_BATCHES_MAX", at_once)
    hub, whole = MemoryHub(), await whole_chain()
    earlier = await wanting(whole)
    async with (
        syncing_node(hub, "giver", await same_chain(whole), tmp_path) as giver,
        filling(hub, whole, earlier, tmp_path) as node,
    ):
        await until(lambda: earlier.window.is_complete)
        assert node.faults() == giver.faults() == {}
    assert earlier.taken == list(range(BASE - 1, 0, -1))
    expected = all_rows(await whole.storage.batches(1, HEIGHT))
    held = earlier.rows()
    assert all(np.array_equal(getattr(held, name), getattr(expected, name)) for name in COLUMNS)


async def same_chain(chain: Chain) -> Chain:
    """The same batches in another store."""
    return await open_chain(GENESIS, storage=chain.storage)


async def test_who_lies_is_not_asked_again_nor_charged_and_the_honest_one_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lie that can be told of a batch: another one, one with another body, one out of place, and noise.

    Nobody is banned for what is only shown: where a batch is one that no node can read, all would ban one another.
    """
    monkeypatch.setattr(track_record, "DOUBT_MS_MIN", 0)
    whole, other = await whole_chain(), await open_chain(GENESIS)
    for height in range(HEIGHT):
        await finalise(other, [signed_proof(f"other-{height}", lat=height + 0.25)])
    true, false = await messages_of(whole), await messages_of(other)
    lies = {
        "another chain": false,
        "another batch within": {**true, 4: false[4]},
        "the wanted one": {**true, BASE - 1: false[BASE - 1]},
        "out of place": {**true, 5: true[6]},
        "noise": {**true, 3: b"noise"},
        "a changed byte": {**true, 6: changed_within(true[6])},
    }
    expected = all_rows(await whole.storage.batches(1, HEIGHT))
    for name, batches in lies.items():
        earlier, asked, faults = await wanting(whole), list[str](), Counter[Fault]()
        await ask_a_liar_first(whole, earlier, [noted(asked, answering(batches)), answering(true)], tmp_path, faults)
        assert asked == ["asked"], name
        assert not faults, name
        held = earlier.rows()
        assert all(np.array_equal(getattr(held, column), getattr(expected, column)) for column in COLUMNS)


async def ask_a_liar_first(
    whole: Chain, earlier: Wanting, answers: Sequence[Answer], home: Path, faults: Counter[Fault]
) -> None:
    """Let `earlier` be filled where only the first answers at the beginning, and the second comes later."""
    hub = MemoryHub()
    async with filling(hub, await same_chain(whole), earlier, home) as node, stranger(hub, "liar", HELLO, answers[0]):
        await trio.sleep(0.1)  # It is asked, and would be asked again.
        async with stranger(hub, "honest", HELLO, answers[1]):
            await until(lambda: earlier.window.is_complete)
        faults.update(node.faults())


def changed_within(message: bytes) -> bytes:
    """One bit of a proof's signature is another one."""
    place = len(message) // 2
    return message[:place] + bytes([message[place] ^ 1]) + message[place + 1 :]


async def test_who_lacks_the_past_is_not_blamed_and_who_has_a_part_of_it_gives_that(tmp_path: Path) -> None:
    hub, whole = MemoryHub(), await whole_chain()
    part = await open_chain(GENESIS)
    await grow_like(part, whole)
    while await part.storage.prune(Prunable.BATCHES, below=6):
        pass
    earlier = await wanting(whole)
    async with (
        syncing_node(hub, "pruned", part, tmp_path) as pruned,
        filling(hub, await same_chain(whole), earlier, tmp_path) as node,
    ):
        await until(lambda: earlier.taken == [8, 7, 6])
        async with stranger(hub, "whole", HELLO, answering(await messages_of(whole))):
            await until(lambda: earlier.window.is_complete)
        assert node.faults() == pruned.faults() == {}
    assert earlier.taken == list(range(BASE - 1, 0, -1))


async def grow_like(chain: Chain, other: Chain) -> None:
    """Execute the batches of another chain."""
    for stored in await other.storage.batches(1, HEIGHT):
        judged = await chain.judge(decode_batch(stored.batch), proposed_in_round=None, judge_clock=False)
        await chain.finalise(judged, decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX))


async def test_nobody_is_asked_by_a_node_that_is_behind_or_wants_nothing(tmp_path: Path) -> None:
    hub, whole = MemoryHub(), await whole_chain()
    asked: list[bytes] = []

    async def note(stream: Stream) -> None:
        data = await stream.receive_message()
        asked.append(data or b"")

    async with stranger(hub, "giver", HELLO, note):
        async with filling(hub, await same_chain(whole), await wanting(whole), tmp_path, is_behind=True):
            await trio.sleep(0.05)
        done = await wanting(whole)
        done.window.is_complete = True
        async with filling(hub, await same_chain(whole), done, tmp_path):
            await trio.sleep(0.05)
    assert asked == []
