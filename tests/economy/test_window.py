"""Which rows are held after a height: the same however they came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from step_node.economy import window as window_module
from step_node.economy.columns import COLUMNS, PERIOD_MS, WINDOW_MS, ProofColumns
from step_node.economy.window import CHUNK_ROWS, ProofWindow
from step_node.errors import InvariantBroken

START_MS = 1_760_000_000_000 // PERIOD_MS * PERIOD_MS


def rows(count: int, *, height: int, batch_time_ms: int) -> ProofColumns:
    """`count` rows that are told apart by what they hold."""
    number = np.arange(count) + height * 100_000
    return ProofColumns(
        height=np.full(count, height, np.int64),
        batch_time_ms=np.full(count, batch_time_ms, np.int64),
        timestamp_ms=number.astype(np.int64),
        triangle=number.astype(np.uint64),
        lat=number.astype(np.float64),
        lon=number.astype(np.float64),
        accuracy_m=number.astype(np.float64),
        account=np.zeros((count, 20), np.uint8),
    )


Batches = Sequence[tuple[int, int]]
"""(milliseconds, rows) of the batches of a chain from height 1 on."""


def filled(batches: Batches, first: int = 1) -> ProofWindow:
    """A window that was given the batches from height `first` on."""
    window = ProofWindow()
    for height, (time_ms, count) in enumerate(batches, 1):
        if height >= first:
            columns = rows(count, height=height, batch_time_ms=time_ms)
            window.append(columns, height=height, batch_time_ms=time_ms)
    return window


def held(window: ProofWindow) -> list[int]:
    """The rows, by what tells them apart; all columns must agree on it."""
    columns = ProofColumns.joined(window.parts(window.first, window.end))
    assert len(columns) == len(window)
    for column in COLUMNS[2:7]:
        assert np.array_equal(getattr(columns, column).astype(np.int64), columns.timestamp_ms), column
    return [int(one) for one in columns.timestamp_ms]


def expected(batches: Batches, proofs_max: int) -> list[int]:
    """The rule of the module's docstring, written down once more."""
    period_ms = batches[-1][0] // PERIOD_MS * PERIOD_MS
    before, present = list[int](), list[int]()
    for height, (time_ms, count) in enumerate(batches, 1):
        if time_ms >= period_ms - WINDOW_MS:
            (present if time_ms >= period_ms else before).extend(height * 100_000 + one for one in range(count))
    return before[-proofs_max:] + present


CHAINS = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 1_000), st.integers(1, 2 * PERIOD_MS), st.integers(1, WINDOW_MS + PERIOD_MS)),
        st.integers(0, 7),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(chain=CHAINS, first=st.integers(1, 30), chunk=st.integers(2, 5), proofs_max=st.integers(1, 30))
def test_what_is_held_is_the_rule_of_the_chain_whether_it_came_in_time_or_was_fetched_afterwards(
    chain: list[tuple[int, int]], first: int, chunk: int, proofs_max: int
) -> None:
    batches, now_ms = list[tuple[int, int]](), START_MS
    for pause_ms, count in chain:
        now_ms += pause_ms
        batches.append((now_ms, count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_module, "CHUNK_ROWS", chunk)
        patch.setattr(window_module, "WINDOW_PROOFS_MAX", proofs_max)
        assert held(filled(batches)) == expected(batches, proofs_max)
        joined = filled(batches, min(first, len(batches)))
        while not joined.is_complete:
            height = joined.complete_from_height - 1
            time_ms, count = batches[height - 1]
            columns = rows(count, height=height, batch_time_ms=time_ms)
            joined.take_earlier(columns, height=height, batch_time_ms=time_ms)
        assert held(joined) == expected(batches, proofs_max)


@settings(max_examples=100, deadline=None)
@given(chain=CHAINS, cut=st.integers(1, 30), first=st.integers(1, 5))
def test_a_window_restored_from_its_rows_goes_on_as_the_one_that_never_stopped(
    chain: list[tuple[int, int]], cut: int, first: int
) -> None:
    batches, now_ms = list[tuple[int, int]](), START_MS
    for pause_ms, count in chain:
        now_ms += pause_ms
        batches.append((now_ms, count))
    first = min(first, len(batches))
    through, stopped = filled(batches, first), filled(batches[: max(cut, first)], first)
    kept = ProofColumns.joined(stopped.parts(stopped.first, stopped.end))
    restored = ProofWindow.restored(stopped.standing, kept)
    assert restored.standing == stopped.standing
    assert restored.period_first == max(stopped.period_first, stopped.first)
    for height in range(stopped.height + 1, len(batches) + 1):
        time_ms, count = batches[height - 1]
        restored.append(rows(count, height=height, batch_time_ms=time_ms), height=height, batch_time_ms=time_ms)
    assert restored.standing == through.standing
    assert held(restored) == held(through)


def test_a_window_that_began_late_says_so_until_nothing_is_missing_any_more() -> None:
    batches = [(START_MS, 1), (START_MS + 1, 1), (START_MS + PERIOD_MS, 1)]
    window = filled(batches, 2)
    assert (window.complete_from_height, window.is_complete) == (2, False)
    # A batch of before height 2 could still be held.
    assert window.append(ProofColumns.empty(), height=4, batch_time_ms=START_MS + WINDOW_MS)
    assert not window.is_complete
    assert window.append(ProofColumns.empty(), height=5, batch_time_ms=START_MS + WINDOW_MS + PERIOD_MS)
    assert window.is_complete


def test_the_rows_since_a_place_are_those_that_came_after_it_over_chunks_as_well() -> None:
    window = filled([(START_MS, CHUNK_ROWS - 1), (START_MS + 1, 2)])
    place = window.end
    for height, count in ((3, CHUNK_ROWS), (4, 0), (5, 3)):
        window.append(
            rows(count, height=height, batch_time_ms=START_MS + height),
            height=height,
            batch_time_ms=START_MS + height,
        )
    since = ProofColumns.joined(window.parts(place, window.end))
    assert len(since) == CHUNK_ROWS + 3
    assert set(since.height.tolist()) == {3, 5}
    assert window.parts(window.end, window.end) == []
    assert ProofColumns.joined(window.parts(place - 1, place + 1)).height.tolist() == [2, 3]


def test_what_was_given_stays_true_while_rows_leave_and_come() -> None:
    window = filled([(START_MS, 3)])
    before, views = held(window), window.parts(window.first, window.end)
    for height in range(2, 6):
        time_ms = START_MS + height * WINDOW_MS
        window.append(rows(2, height=height, batch_time_ms=time_ms), height=height, batch_time_ms=time_ms)
    assert ProofColumns.joined(views).timestamp_ms.tolist() == before
    assert len(window) == 2 + 2  # A batch that is exactly as old as the window is long is held.


@pytest.mark.parametrize("height", [1, 2, 4])
def test_a_batch_that_is_not_the_next_one_is_an_invariant_broken(height: int) -> None:
    window = filled([(START_MS, 1), (START_MS + 1, 1)])
    with pytest.raises(InvariantBroken, match=f"stands at height 2 and was given {height}"):
        window.append(ProofColumns.empty(), height=height, batch_time_ms=START_MS + 2)
    with pytest.raises(InvariantBroken, match="has all from height 1 on and was given height 0"):
        window.take_earlier(ProofColumns.empty(), height=0, batch_time_ms=START_MS - 1)
