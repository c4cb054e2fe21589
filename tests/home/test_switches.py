"""Switches are kept before they are obeyed, and a file that cannot be read is not passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.errors import StepNodeError
from step_node.home.switches import FILE_BYTES_MAX, MEANINGS, Switch, Switches, Thrown

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
