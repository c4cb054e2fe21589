"""The Makefile's targets, and what `make nightly` does with those that take hours."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import nightly

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE)
PASSES = (sys.executable, "-c", "print('all is well')")
FAILS = (sys.executable, "-c", "import sys; print('seed 217 breaks agreement'); sys.exit(3)")


def test_every_target_says_in_the_help_what_it_does() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.findall(r"^  make ([a-z-]+) +\S", shown.stdout, re.MULTILINE) == TARGETS


def test_every_target_is_made_whether_or_not_a_file_has_its_name() -> None:
    (phony,) = re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.replace("\\\n", " ").split()) == set(TARGETS)


def test_every_step_of_the_night_is_a_target() -> None:
    (steps,) = re.findall(r"^NIGHTLY \?= (.*)$", MAKEFILE, re.MULTILINE)
    assert steps.split()
    assert set(steps.split()) <= set(TARGETS)


def test_the_makefile_asks_for_the_same_python_as_the_package() -> None:
    (low, high) = re.findall(r"\((3, \d+)\)", MAKEFILE)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert f">={low.replace(', ', '.')},<{high.replace(', ', '.')}" == wanted


def test_another_python_is_refused_with_what_to_do(tmp_path: Path) -> None:
    python = tmp_path / "python3.99"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    made = subprocess.run(
        ["make", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}", "setup"], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode != 0
    assert f"error: {python} is not Python 3.11, 3.12 or 3.13" in made.stderr
    assert "make PYTHON=python3.12" in made.stderr
    assert not (tmp_path / "venv").exists()


def test_a_night_goes_on_after_a_failure_and_tells_of_it(tmp_path: Path) -> None:
    said: list[str] = []
    steps = {"simulate": FAILS, "fuzz": PASSES}
    outcomes = nightly.play(steps, tmp_path / "logs", said.append, itertools.count().__next__)
    assert [(outcome.name, outcome.status, outcome.seconds) for outcome in outcomes] == [
        ("simulate", 3, 1),
        ("fuzz", 0, 1),
    ]
    assert "  seed 217 breaks agreement" in said
    assert (tmp_path / "logs" / "fuzz.log").read_text() == "all is well\n"
    rows = nightly.table(outcomes, steps).splitlines()
    assert rows[1:] == [
        f"simulate            1  FAILED (status 3): {tmp_path / 'logs' / 'simulate.log'}",
        "fuzz                1  passed",
    ]


def test_an_interrupted_night_says_what_was_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scripts.nightly.subprocess.run", interrupted)
    steps = {"simulate": PASSES, "fuzz": PASSES}
    outcomes = nightly.play(steps, tmp_path, lambda _line: None, itertools.count().__next__)
    assert [(outcome.name, outcome.status) for outcome in outcomes] == [("simulate", -2)]
    assert "fuzz                   not run" in nightly.table(outcomes, steps)


def test_the_status_of_a_night_is_that_of_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Makefile").write_text("good:\n\t@true\nbad:\n\t@false\n")
    assert nightly.main(["good"]) == 0
    assert nightly.main(["bad", "good"]) == 1
    assert nightly.main([]) == 2
