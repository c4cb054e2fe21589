"""How many proofs may wait: it follows what the chain has shown, and forgets it in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from step_node.mempool.backlog import BACKLOG_PROOFS_MIN, BACKLOG_SECONDS, RETRY_SECONDS_MAX, WINDOW_MS, Backlog


class MadeUpTime:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


def test_an_idle_chain_and_one_that_stands_still_leave_room_for_three_batches() -> None:
    now = MadeUpTime()
    backlog = Backlog(now)
    assert backlog.room(0) == BACKLOG_PROOFS_MIN
    assert backlog.room(BACKLOG_PROOFS_MIN - 1) == 1
    assert backlog.room(BACKLOG_PROOFS_MIN) == backlog.room(1_000_000) == 0
    for _ in range(100):
        now.now_ms += 1_000
        backlog.note_finalised(0)
        backlog.note_finalised(7)
    assert backlog.room(0) == BACKLOG_PROOFS_MIN
    now.now_ms += WINDOW_MS
    assert backlog.per_second() == 0


def test_a_chain_that_keeps_up_with_much_is_given_much_and_no_longer_when_it_stops() -> None:
    now = MadeUpTime()
    backlog = Backlog(now)
    for _ in range(10):
        now.now_ms += 500
        backlog.note_finalised(1_000)
    assert backlog.per_second() == 2_000
    assert backlog.room(0) == BACKLOG_SECONDS * 2_000
    assert backlog.retry_seconds(8_000) == 2
    assert backlog.retry_seconds(1) == 1
    now.now_ms += WINDOW_MS - 1
    assert backlog.per_second() == 200
    now.now_ms += 1
    assert backlog.room(0) == BACKLOG_PROOFS_MIN
    assert backlog.retry_seconds(1) == RETRY_SECONDS_MAX


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 1_000)), max_size=60))
def test_the_rate_is_that_of_the_window_and_of_nothing_else(batches: list[tuple[int, int]]) -> None:
    now = MadeUpTime()
    backlog = Backlog(now)
    noted: list[tuple[int, int]] = []
    for pause_ms, proofs in batches:
        now.now_ms += pause_ms
        backlog.note_finalised(proofs)
        noted.append((now.now_ms, proofs))
        expected = sum(proofs for at_ms, proofs in noted if at_ms > now.now_ms - WINDOW_MS)
        assert backlog.per_second() == expected * 1_000 / WINDOW_MS
        assert 1 <= backlog.retry_seconds(2_500) <= RETRY_SECONDS_MAX
