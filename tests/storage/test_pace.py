"""Long work beside a running node: its pauses follow from what it has cost, and from nothing else."""

from __future__ import annotations

import time

import pytest

from step_node.storage.pace import PAUSE_SECONDS_MAX, Pace


def test_a_pause_is_as_long_as_the_share_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([10.0, 10.5, 10.5, 99.0])
    monkeypatch.setattr(time, "thread_time", lambda: next(spent))
    pace = Pace(0.2)
    assert pace.pause_seconds() == pytest.approx(0.5 * 4)
    assert pace.pause_seconds() == 0.0
    assert pace.pause_seconds() == PAUSE_SECONDS_MAX


def test_who_has_a_core_to_itself_makes_no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = iter([10.0, 10.5])
    monkeypatch.setattr(time, "thread_time", lambda: next(spent))
    assert Pace(1.0).pause_seconds() == 0.0


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1])
def test_a_share_is_a_part_of_a_core(share: float) -> None:
    with pytest.raises(ValueError, match="share: must be above 0 and at most 1"):
        Pace(share)
