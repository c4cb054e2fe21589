"""The events of a batch, told as it becomes final and read again from the store."""

from __future__ import annotations

import pytest

from step_node.feed.events import EventKind, TimedChange
from step_node.feed.feed import LOCAL_EVENTS_MAX, RECENT_BATCHES_MAX, Feed
from step_node.feed.history import read_events
from step_node.proofs.proof import Refusal, RefusalCode
from step_node.storage.interface import NoChain
from step_node.storage.memory import MemoryStorage
from tests.support.chains import build, commit_for, make_genesis, open_chain, validator_names
from tests.support.operations import set_address, unbond
from tests.support.proofs import START_MS, signed_proof

REFUSAL = Refusal(RefusalCode.TRIANGLE_EXHAUSTED, "triangleId: is subdivided")


def make_feed(name: str = "node", height: int = 0) -> Feed:
    return Feed(name=name, began_ms=START_MS, height=height)


async def test_a_batch_is_told_in_the_order_in_which_it_is_applied_and_read_again_the_same() -> None:
    names = validator_names(4)
    storage = MemoryStorage()
    chain = await open_chain(make_genesis(4, epoch_batches=1), storage=storage)
    feed = make_feed()
    feed.followers = 1
    proofs = [signed_proof(f"walker-{number}", timestamp_ms=START_MS) for number in range(11)]
    proposer = chain.validators.proposer(1, 0).address
    judged = await chain.build(
        proofs,
        round_number=0,
        proposer=proposer,
        operations=[unbond(names[0], names[0], 0), set_address(names[1], names[1], 0, "/memory/elsewhere")],
    )
    assert judged is not None
    await chain.finalise(judged, commit_for(judged.batch, names))
    feed.finalised(judged)
    events = await feed.events_at(1, storage)
    assert events is not None
    kinds = [event.kind for event in events]
    assert kinds == [
        *[EventKind.OPERATION_APPLIED] * 2,
        *[EventKind.PROOF_FINALISED] * 11,
        EventKind.TRIANGLE_SUBDIVIDED,  # by the eleventh click
        *[EventKind.VALIDATOR] * 2,
        EventKind.BATCH,
    ]
    lives = [event.told.change.kind.value for event in events if isinstance(event.told, TimedChange)]
    assert sorted(lives) == ["left", "moved"]
    assert await read_events(1, storage) == events
    assert await read_events(2, storage) is None


async def test_the_last_batches_are_kept_only_while_somebody_follows() -> None:
    storage, empty = MemoryStorage(), MemoryStorage()
    chain = await open_chain(storage=storage)
    feed = make_feed()
    (name,) = validator_names(1)

    async def go_on() -> None:
        proof = signed_proof(f"walker-{feed.height}", lat=feed.height, timestamp_ms=START_MS)
        judged = await build(chain, [proof])
        await chain.finalise(judged, commit_for(judged.batch, [name]))
        feed.finalised(judged)

    await go_on()
    with pytest.raises(NoChain):
        await feed.events_at(1, empty)
    feed.followers = 1
    for _ in range(RECENT_BATCHES_MAX + 2):
        await go_on()
    for height in range(feed.height - RECENT_BATCHES_MAX + 1, feed.height + 1):
        assert await feed.events_at(height, empty) == await read_events(height, storage)
    with pytest.raises(NoChain):
        await feed.events_at(feed.height - RECENT_BATCHES_MAX, empty)
    feed.followers = 0
    await go_on()
    with pytest.raises(NoChain):
        await feed.events_at(feed.height - 1, empty)


def test_local_events_are_numbered_and_the_oldest_are_let_go() -> None:
    feed = make_feed()
    proof = signed_proof("alice", timestamp_ms=START_MS)
    feed.accepted([proof], START_MS)
    feed.dropped([(proof, REFUSAL)], START_MS + 1)
    assert [event.kind for event in feed.local_since(0, 10)] == [EventKind.PROOF_ACCEPTED, EventKind.PROOF_DROPPED]
    assert [event.kind for event in feed.local_since(1, 10)] == [EventKind.PROOF_DROPPED]
    assert feed.local_since(2, 10) == []
    feed.accepted([proof] * LOCAL_EVENTS_MAX, START_MS)
    assert (feed.local_kept_from, feed.local_count) == (2, LOCAL_EVENTS_MAX + 2)
    with pytest.raises(ValueError, match="up to 2 are kept no more; 1 have been seen"):
        feed.local_since(1, 10)


def test_each_run_of_each_node_has_a_name_of_its_own() -> None:
    runs = {make_feed().run, make_feed("other").run, Feed(name="node", began_ms=START_MS + 1, height=0).run}
    assert len(runs) == 3
    assert make_feed().run == make_feed().run
