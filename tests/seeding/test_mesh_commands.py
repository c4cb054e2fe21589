"""`step-node mesh seed` and its companions, as a person runs them, and killed as no person would."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import trio

from step_node.seeding.levels import triangle_count
from tests.cli.conftest import Command, Start, command, start

__all__ = ["command", "start"]


def _written(path: Path, level: int) -> int:
    """How many triangles count; 0 before there is a file."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        try:
            row = connection.execute("SELECT written FROM levels WHERE level = ?", (level,)).fetchone()
        except sqlite3.OperationalError:  # It is being made.
            return 0
    return 0 if row is None else int(row[0])


async def _until_begun(process: subprocess.Popen[str], path: Path, level: int) -> None:
    with trio.fail_after(120):
        while _written(path, level) == 0:
            assert process.poll() is None, "it has ended already"
            await trio.sleep(0.01)


def test_a_dry_run_says_what_it_would_take_and_makes_nothing(command: Command, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'mesh.sqlite'}"
    ran = command("mesh", "seed", "--levels", "1-10", "--store", store, "--dry-run", "--json")
    assert ran.exit_code == 0
    levels = json.loads(ran.stdout)["levels"]
    assert sum(one["triangles"] for one in levels) == 6_990_500
    assert all(one["estimated_bytes"] > 0 and one["estimated_seconds"] > 0 for one in levels)
    assert list(tmp_path.iterdir()) == []


def test_a_collection_from_seeding_to_export(command: Command, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'mesh.sqlite'}"
    assert "level" in command("mesh", "seed", "--levels", "1-3", "--store", store).stdout
    stats = json.loads(command("mesh", "stats", "--store", store, "--json").stdout)
    assert [one["present"] for one in stats["levels"]] == [20, 80, 320]
    verified = command("mesh", "verify", "--store", store, "--json")
    assert [one["problems"] for one in json.loads(verified.stdout)["levels"]] == [[], [], []]
    output = tmp_path / "mesh.geojson"
    options = ("--store", store, "--levels", "1", "--output", output)
    assert command("mesh", "export", "--format", "geojson", *options).exit_code == 0
    assert len(json.loads(output.read_text())["features"]) == 20
    assert command("mesh", "export", "--format", "geojson", *options).exit_code == 1, "it would overwrite a file"
    lines = command("mesh", "export", "--format", "ndjson", "--store", store).stdout.splitlines()
    assert [json.loads(line)["level"] for line in lines] == [1] * 20 + [2] * 80 + [3] * 320
    assert command("mesh", "unseed", "--level", 2, "--store", store).stdout == "level 2: 80 triangles taken away\n"
    refused = command("mesh", "verify", "--levels", "1-3", "--store", store)
    assert refused.exit_code == 1
    assert "level 2 is not seeded; do so with `step-node mesh seed`" in refused.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--store", "mysql:x"), "--store"),
        (("--store", "sqlite:"), "--store"),
        (("--store", "sqlite:x", "--database", "y"), "--store"),
        (("--mongodb-uri", "mongodb://127.0.0.1"), "--database"),
        (("--mongodb-uri", "127.0.0.1", "--database", "y"), "--mongodb-uri"),
    ],
)
def test_a_store_that_is_none_is_wrong_usage(command: Command, options: tuple[str, ...], named: str) -> None:
    refused = command("mesh", "stats", *options)
    assert refused.exit_code == 2
    assert named in refused.stderr


def test_a_collection_that_is_not_there_is_an_error_that_says_how_to_make_it(command: Command, tmp_path: Path) -> None:
    refused = command("mesh", "stats", "--store", f"sqlite:{tmp_path / 'none.sqlite'}")
    assert refused.exit_code == 1
    assert "make it with `step-node mesh seed" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.slow
async def test_interrupted_and_killed_it_is_gone_on_with(start: Start, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mesh.sqlite"
    arguments = ("mesh", "seed", "--levels", "6-7", "--store", f"sqlite:{path}")
    interrupted = start(*arguments)
    await _until_begun(interrupted, path, 6)
    interrupted.send_signal(signal.SIGINT)
    _, told = interrupted.communicate(timeout=120)
    assert interrupted.returncode == 130
    assert "the same command goes on from there" in told
    killed = start(*arguments)
    await _until_begun(killed, path, 7)
    killed.kill()
    killed.communicate(timeout=120)
    assert 0 < _written(path, 7) < triangle_count(7)
    assert command(*arguments).exit_code == 0
    verified = json.loads(command("mesh", "verify", "--store", f"sqlite:{path}", "--json").stdout)
    sound = {one["level"]: [told for told in one["problems"] if "look-up" not in told] for one in verified["levels"]}
    assert sound == {6: [], 7: []}
