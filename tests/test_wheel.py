"""What is installed works without the checkout: the wheel has every file that the program reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from step_node.testing.chaos.scenario import SCENARIOS

ROOT = Path(__file__).parents[1]
PACKAGES = ("consensus", "mesh", "p2p", "step_node")


@pytest.mark.slow
def test_the_chaos_scenarios_are_in_the_wheel_and_found_from_anywhere(tmp_path: Path) -> None:
    source, built, elsewhere = tmp_path / "source", tmp_path / "built", tmp_path / "elsewhere"
    source.mkdir()
    elsewhere.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q"]
    subprocess.run([*pip, "-w", built, source], check=True, capture_output=True)
    (wheel,) = built.glob("step_node-*.whl")
    with ZipFile(wheel) as content:
        content.extractall(tmp_path / "installed")
    listed = subprocess.run(
        [sys.executable, "-c", "from step_node.cli.main import run; run()", "chaos", "--list"],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
        check=True,
        capture_output=True,
        text=True,
    )
    installed = tmp_path / "installed"
    for folder in ("step_node/api/viewer", "step_node/api/web", "step_node/testing/economy/scenarios"):
        assert _files(installed / folder) == _files(ROOT / folder) != set()
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names
    assert set(names) == {path.stem for path in SCENARIOS.glob("*.toml")}


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
