"""One client's way through the feed, step by step, without a connection."""

from __future__ import annotations

import pytest

from step_node.api.events.follower import (
    BEHIND_BATCHES_MAX,
    RESUMED_BATCHES_MAX,
    TURN_BYTES_MAX,
    TURN_LOCAL_EVENTS_MAX,
    Follower,
    TooSlow,
)
from step_node.api.events.texts import LOCAL_TEXTS_MAX, EventTexts
from step_node.feed.events import EventKind
from step_node.feed.feed import LOCAL_EVENTS_MAX, Feed
from step_node.feed.filters import EventFilter
from step_node.feed.position import LocalPosition, Position, parse_position
from step_node.storage.memory import MemoryStorage
from tests.support.chains import build, commit_for, open_chain, validator_names
from tests.support.proofs import START_MS, signed_proof

ALL = EventFilter()
LOCAL = EventFilter(kinds=frozenset({EventKind.PROOF_ACCEPTED}))
FINAL = EventFilter(kinds=frozenset(EventKind) - {EventKind.PROOF_ACCEPTED, EventKind.PROOF_DROPPED})


class Followed:
    """A feed over a chain that goes on when it is told to."""

    def __init__(self, storage: MemoryStorage, name: str = "node") -> None:
        self.storage = storage
        self.feed = Feed(name=name, began_ms=START_MS, height=0)
        self.texts = EventTexts(self.feed, storage)

    async def grow(self, *sizes: int) -> None:
        """Batches of so many proofs each."""
        chain = await open_chain(storage=self.storage)
        for size in sizes:
            start = chain.head.chain.height * 40
            proofs = [
                signed_proof(f"{number}", lat=-80 + number % 160, lon=number % 170, timestamp_ms=START_MS)
                for number in range(start, start + size)
            ]
            judged = await build(chain, proofs)
            await chain.finalise(judged, commit_for(judged.batch, validator_names(1)))
            self.feed.finalised(judged)

    def follower(self, wanted: EventFilter = ALL, since: Position | None = None) -> Follower:
        return Follower(self.feed, self.texts, wanted, since)


@pytest.fixture
def followed() -> Followed:
    return Followed(MemoryStorage())


async def read_all(follower: Follower) -> tuple[list[str], bytes]:
    """The ids of all that there is, and the whole text."""
    text = b""
    while follower.has_news():
        text += (await follower.take()).text
    return [line[4:].decode() for line in text.split(b"\n") if line.startswith(b"id: ")], text


async def test_a_stream_that_is_cut_anywhere_goes_on_there(followed: Followed) -> None:
    await followed.grow(3, 1, 5)
    ids, text = await read_all(followed.follower(FINAL, Position(1)))
    assert ids == [f"1.{n}" for n in range(1, 5)] + ["2.1", "2.2"] + [f"3.{n}" for n in range(1, 7)]
    for cut, last_id in enumerate(ids):
        rest, rest_text = await read_all(followed.follower(FINAL, parse_position(last_id)))
        assert rest == ids[cut + 1 :]
        assert text.endswith(rest_text)


async def test_a_large_batch_comes_in_pieces_and_can_be_cut_between_them(followed: Followed) -> None:
    await followed.grow(200)
    follower = followed.follower(FINAL, Position(1))
    first = await follower.take()
    assert TURN_BYTES_MAX <= len(first.text) < 2 * TURN_BYTES_MAX
    assert follower.position.height == 1
    middle = follower.position
    assert first.text.rpartition(b"id: 1.")[2].partition(b"\n")[0] == str(middle.index).encode()
    rest, _ = await read_all(followed.follower(FINAL, middle))
    assert rest == [f"1.{n}" for n in range(middle.index + 1, 202)]


async def test_a_client_that_begins_now_sees_nothing_that_was(followed: Followed) -> None:
    await followed.grow(2)
    followed.feed.accepted([signed_proof("alice")], START_MS)
    follower = followed.follower()
    assert not follower.has_news()
    assert follower.position == Position(2, 0, LocalPosition(followed.feed.run, 1))


async def test_events_of_the_chain_come_while_local_ones_flood_and_the_other_way_round(followed: Followed) -> None:
    follower = followed.follower(ALL)
    followed.feed.accepted([signed_proof("alice")] * (TURN_LOCAL_EVENTS_MAX + 1), START_MS)
    await followed.grow(1)
    ids, text = await read_all(follower)
    assert text.count(b"event: proof_accepted") == TURN_LOCAL_EVENTS_MAX + 1
    assert text.count(b"event: batch") == 1
    assert len(ids) == len(set(ids)) == TURN_LOCAL_EVENTS_MAX + 3


async def test_what_is_let_go_is_a_gap_for_who_comes_back_and_the_end_for_who_follows(followed: Followed) -> None:
    feed = followed.feed
    follower = followed.follower(LOCAL)
    feed.accepted([signed_proof("alice")] * (LOCAL_EVENTS_MAX + 1), START_MS)
    with pytest.raises(TooSlow):
        await follower.take()
    back = followed.follower(LOCAL, Position(1, 0, LocalPosition(feed.run, 0)))
    ids, text = await read_all(back)
    assert text.startswith(b"id: ")
    assert b"so many proofs have been accepted since" in text
    assert text.count(b"event: proof_accepted") == LOCAL_EVENTS_MAX
    assert ids[-1] == f"1.0-{feed.run}.{LOCAL_EVENTS_MAX + 1}"
    whole = followed.follower(LOCAL, Position(1, 0, LocalPosition(feed.run, 1)))
    _, text = await read_all(whole)
    assert text.count(b"event: proof_accepted") == LOCAL_EVENTS_MAX
    assert b"event: gap" not in text


async def test_who_comes_back_from_far_may_lag_and_who_follows_may_not(followed: Followed) -> None:
    follower = followed.follower(FINAL)
    await followed.grow(*[1] * 5)
    followed.feed.height = BEHIND_BATCHES_MAX + 5
    with pytest.raises(TooSlow):
        await follower.take()
    far = followed.follower(FINAL, Position(1))
    await far.begin()
    assert b"event: batch" in (await far.take()).text


async def test_no_more_is_read_back_than_the_bound(followed: Followed) -> None:
    await followed.grow(1)
    followed.feed.height = RESUMED_BATCHES_MAX + 1
    follower = followed.follower(FINAL, Position(1))
    await follower.begin()
    assert follower.position == Position(2)
    assert follower.has_news()


async def test_texts_are_made_once_for_all_and_the_oldest_go(followed: Followed) -> None:
    await followed.grow(3, 2)
    first = await followed.texts.batch(1)
    assert await followed.texts.batch(1) is first
    assert await followed.texts.batch(3) is None
    assert first is not None
    assert len(first.texts) == len(first.events) == 4
    followed.feed.accepted([signed_proof("alice")] * (LOCAL_TEXTS_MAX + 1), START_MS)
    events = followed.feed.local_since(0, LOCAL_TEXTS_MAX + 1)
    texts = [followed.texts.local(number, event) for number, event in enumerate(events, start=1)]
    assert followed.texts.local(LOCAL_TEXTS_MAX + 1, events[-1]) is texts[-1]
    assert followed.texts.local(1, events[0]) is not texts[0]
