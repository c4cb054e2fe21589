"""A recorded track becomes proofs that the chain lets through, and each one that it does not is accounted for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import unit_vector, within_distance
from step_node.cli.track_files import TrackPoint
from step_node.cli.walk_command import default_rules
from step_node.cli.walk_plan import plan_walk
from step_node.cli.walking import LATE_MS_MAX, WalkAccount, walk
from step_node.client import Finalised, Position, Refused, StepClient
from tests.cli.conftest import Command

NOW_MS = 1_769_860_800_000
RULES = default_rules()
DEGREE_M = 111_195.0


def track(*points: tuple[float, float], lon: float = 8.5417) -> list[TrackPoint]:
    """Points due north of one another: seconds since the first, and metres from it."""
    return [
        TrackPoint(47.0 + metres / DEGREE_M, lon, int(seconds * 1000), f"line {number}")
        for number, (seconds, metres) in enumerate(points, start=1)
    ]


def test_points_are_proven_a_moratorium_apart() -> None:
    plan = plan_walk(track(*((second, second * 1.4) for second in range(31))), RULES)
    assert [step.after_ms for step in plan.steps] == [0, 10_000, 20_000, 30_000]
    assert (plan.too_soon, plan.too_fast, plan.seconds) == (27, (), 30.0)
    assert plan.fastest_mps == pytest.approx(1.4, rel=0.01)
    assert plan.speed_up_max == pytest.approx(10.7, rel=0.01)


def test_what_the_speed_rule_would_refuse_is_left_out_and_named() -> None:
    plan = plan_walk(track((0, 0), (10, 100), (20, 300), (30, 310)), RULES)
    assert [step.point.place for step in plan.steps] == ["line 1", "line 2", "line 4"]
    assert [point.place for point in plan.too_fast] == ["line 3"]
    assert plan.speed_up_max is None


def test_sped_up_the_same_way_is_faster_and_points_are_rarer() -> None:
    walked = track(*((second, second * 1.4) for second in range(0, 301, 5)))
    assert [step.after_ms for step in plan_walk(walked, RULES, speed_up=10).steps] == [0, 10_000, 20_000, 30_000]
    hurried = plan_walk(walked, RULES, speed_up=11)
    assert len(hurried.steps) == 1
    assert hurried.too_fast


def test_after_the_horizon_a_flight_is_no_matter_of_speed() -> None:
    plan = plan_walk(track((0, 0), (3_601, 1_000_000)), RULES)
    assert len(plan.steps) == 2


def test_points_without_a_fix_are_left_out() -> None:
    nowhere = TrackPoint(0.0, -0.0, 5_000, "line 9")
    plan = plan_walk([nowhere, *track((10, 0), (20, 14))], RULES)
    assert plan.without_fix == 1
    assert [step.after_ms for step in plan.steps] == [0, 10_000]


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(-300, 300)), min_size=1, max_size=30),
    st.floats(0.1, 50),
)
def test_every_plan_keeps_the_chains_rules_and_accounts_for_every_point(
    moves: list[tuple[float, float]], speed_up: float
) -> None:
    at_seconds, at_metres, points = 0.0, 0.0, []
    for seconds, metres in moves:
        at_seconds, at_metres = at_seconds + seconds, at_metres + metres
        points.append((at_seconds, at_metres))
    plan = plan_walk(track(*points), RULES, speed_up=speed_up)
    assert len(plan.steps) + plan.too_soon + len(plan.too_fast) == len(points)
    for before, after in pairwise(plan.steps):
        elapsed_ms = after.after_ms - before.after_ms
        assert elapsed_ms >= RULES.moratorium_ms
        one, other = (unit_vector(step.point.lat, step.point.lon) for step in (before, after))
        assert within_distance(one, other, RULES.speed_limit_mps * elapsed_ms / 1000)


@dataclass
class FakeClient:
    """Takes a while for each proof, by a clock of its own, and refuses those of `refused` (by their number)."""

    seconds_each: float = 1.0
    refused: frozenset[int] = frozenset()
    now: float = 0.0
    asked: list[Position] = field(default_factory=list)

    @property
    def session(self) -> Any:
        return SimpleNamespace(now_ms=lambda: NOW_MS + round(self.now * 1000))

    def prove(self, position: Position) -> Finalised:
        number = len(self.asked)
        self.asked.append(position)
        assert position.taken_at_ms is not None
        assert position.taken_at_ms <= self.session.now_ms()
        self.now += self.seconds_each
        if number in self.refused:
            raise Refused("TOO_FAST", "lat, lon: too far", {"distanceM": 7}, status=422, url="http://a")
        return Finalised(f"0x{number}", Decimal("0.001953"), "T", 10, 1, Decimal(1), number + 1, NOW_MS)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1.0
        self.now += seconds


def walked(client: FakeClient, *points: tuple[float, float]) -> WalkAccount:
    account = WalkAccount()
    plan = plan_walk(track(*points), RULES)
    walk(cast(StepClient, client), plan, account, accuracy_m=5.0, sleep=client.sleep)
    return account


def test_each_point_is_proven_at_its_time_and_refusals_are_kept_with_their_reasons() -> None:
    client = FakeClient(refused=frozenset({1}))
    account = walked(client, (0, 0), (10, 14), (25.5, 28))
    assert [position.taken_at_ms for position in client.asked] == [NOW_MS, NOW_MS + 10_000, NOW_MS + 25_500]
    assert account.earned == Decimal("0.003906")
    ((code, ((step, error),)),) = account.refused.items()
    assert (code, step.point.place, error.details) == ("TOO_FAST", "line 2", {"distanceM": 7})


def test_a_walk_that_falls_behind_moves_back_and_is_never_faster_than_the_track() -> None:
    client = FakeClient(seconds_each=17.0)
    walked(client, (0, 0), (10, 14), (20, 28), (50, 42))
    times = [cast(int, position.taken_at_ms) - NOW_MS for position in client.asked]
    assert times == [0, 17_000, 34_000, 64_000]
    slightly = FakeClient(seconds_each=10 + LATE_MS_MAX / 1000)
    walked(slightly, (0, 0), (10, 14), (40, 28))
    assert [cast(int, position.taken_at_ms) - NOW_MS for position in slightly.asked] == [0, 10_000, 40_000]


@pytest.fixture
def gpx(tmp_path: Path) -> Path:
    """A walk of a minute due north at 1.4 m/s, a point each second, with one leap."""
    points = "".join(
        f'<trkpt lat="{47 + (500 if second == 40 else second * 1.4) / DEGREE_M}" lon="8.5">'
        f"<time>{datetime.fromtimestamp(second, UTC).isoformat()}</time></trkpt>\n"
        for second in range(61)
    )
    path = tmp_path / "walk.gpx"
    path.write_text(f"<gpx>\n{points}</gpx>")
    return path


def test_a_dry_run_says_what_would_be_proven_and_needs_no_node_and_no_key(command: Command, gpx: Path) -> None:
    result = command("walk", "--gpx", gpx, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "61 points: 6 proofs, in 0 min 51 s" in result.stdout
    assert "1 are left out: too fast for the chain's speed rule" in result.stdout
    assert "line 42: trkpt" in result.stdout
    told = json.loads(command("walk", "--gpx", gpx, "--dry-run", "--json").stdout)
    assert (told["points"], told["proofs"], told["left_out"]["too_fast"]) == (61, 6, ["line 42: trkpt"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--speed-up", "0", "--dry-run"), "--speed-up"),
        (("--speed-up", "1_0", "--dry-run"), "--speed-up"),
        (("--accuracy", "0", "--dry-run"), "--accuracy: must be a number of metres above 0"),
        (("--url", "localhost", "--dry-run"), "--url: localhost: must be an address such as"),
        ((), "key"),
    ],
)
def test_a_wrong_option_is_named(command: Command, gpx: Path, options: tuple[str, ...], message: str) -> None:
    result = command("walk", "--gpx", gpx, *options)
    assert result.exit_code in (1, 2)
    assert message in result.stderr.replace("\n", " ")


def test_a_wrong_track_is_named_with_its_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "wrong.gpx").write_text('<gpx>\n<trkpt lat="1" lon="2"/></gpx>')
    result = command("walk", "--gpx", tmp_path / "wrong.gpx", "--dry-run")
    assert result.exit_code == 1
    assert f"{tmp_path / 'wrong.gpx'}: line 2: trkpt: time: is missing" in result.stderr
