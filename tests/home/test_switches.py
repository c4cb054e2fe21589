"""Switches are kept before they are obeyed, and a file that cannot be read is not passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.errors import StepNodeError
from step_node.home.switches import FILE_BYTES_MAX, MEANINGS, ShareSet, Switch, Switches, Thrown

OFF = Thrown(is_on=False, who="root (uid 0, pid 7)", when_ms=1_700_000_000_000, why="a drill")


def test_each_switch_has_a_sentence_and_a_default() -> None:
    assert set(MEANINGS) == set(Switch)
    assert Switches().states() == {switch.value: MEANINGS[switch].is_on for switch in Switch}


def test_what_was_thrown_is_so_after_a_restart_with_who_when_and_why(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    Switches.open(path).throw(Switch.MAPS, OFF)
    again = Switches.open(path)
    assert not again.is_on(Switch.MAPS)
    assert again.is_on(Switch.INTAKE)
    assert again.thrown(Switch.MAPS) == OFF
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_intake_s_share_is_kept_beside_the_switches_and_neither_forgets_the_other(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    switches = Switches.open(path)
    assert (switches.intake_percent, switches.share_set) == (100, None)
    share = ShareSet(percent=10, who="guardrail supply", when_ms=1_700_000_000_000, why="height 7")
    switches.throw(Switch.MAPS, OFF)
    assert "intake_share" not in path.read_text(), "a release that knows no share reads it too"
    switches.set_share(share)
    switches.throw(Switch.EVENTS, OFF)
    again = Switches.open(path)
    assert (again.intake_percent, again.share_set) == (10, share)
    assert not again.is_on(Switch.MAPS)
    assert not again.is_on(Switch.EVENTS)


def test_a_share_is_lowered_and_never_raised_where_somebody_has_set_a_lower_one_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    switches = Switches.open(path)
    guardrail = ShareSet(percent=50, who="guardrail supply", when_ms=1)
    assert switches.lower_share(guardrail)
    assert not switches.lower_share(guardrail)
    operator = ShareSet(percent=0, who="root", when_ms=2)
    switches.set_share(operator)
    assert not switches.lower_share(guardrail)
    assert switches.share_set == Switches.open(path).share_set == operator
    with pytest.raises(OSError, match="nowhere"):
        Switches(tmp_path / "nowhere" / "switches.json").lower_share(guardrail)


def test_a_share_that_cannot_be_kept_stays_as_it_was(tmp_path: Path) -> None:
    switches = Switches.open(tmp_path / "nowhere" / "switches.json")
    with pytest.raises(OSError, match="nowhere"):
        switches.set_share(ShareSet(percent=0, who="root", when_ms=0))
    assert switches.intake_percent == 100


def test_a_switch_that_cannot_be_kept_stays_as_it_was(tmp_path: Path) -> None:
    switches = Switches.open(tmp_path / "nowhere" / "switches.json")
    with pytest.raises(OSError, match="nowhere"):
        switches.throw(Switch.INTAKE, OFF)
    assert switches.is_on(Switch.INTAKE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Invalid JSON"),
        (json.dumps({"switches": {"economy": OFF.model_dump()}}), "switches.economy"),
        (
            json.dumps({"switches": {}, "intake_share": {"percent": 42, "who": "x", "when_ms": 0}}),
            "intake_share.percent",
        ),
        (json.dumps({"switches": {"maps": {"is_on": "no"}}}), "switches.maps.is_on"),
        ("x" * (FILE_BYTES_MAX + 1), f"more than {FILE_BYTES_MAX} bytes"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start_and_says_what_to_do(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "switches.json"
    path.write_text(content)
    with pytest.raises(StepNodeError) as caught:
        Switches.open(path)
    assert said in str(caught.value)
    assert "move it away" in str(caught.value)
