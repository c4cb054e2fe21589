"""docs/security-checklist.md: what it names is there, and its commands show what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security-checklist.md").read_text(encoding="utf-8")
CLAIM = re.compile(r"^\| ([^|]+) \| ([^|]+) \| `([^`|]+)` \|$", re.MULTILINE)
CLAIMED = PAGE.partition("\n## A node that runs\n")[0]
CLAIMS = CLAIM.findall(CLAIMED)
"""Of each row: the claim, where it is held, and the command that shows it."""

RUN_ELSEWHERE = ("make hostile", f"pytest {Path(__file__).relative_to(ROOT)}")
"""What has a target of its own that takes long, and this file itself."""

PIN = re.compile(r"^[A-Za-z0-9_.-]+==\S+", re.MULTILINE)
SECONDS_MAX = 900.0


def test_every_row_has_a_command_and_names_tests_that_exist() -> None:
    rows = [line for line in CLAIMED.splitlines() if line.startswith("| ") and not line.startswith("| claim ")]
    assert len(CLAIMS) == len(rows) > 30
    named = [word for _, _, command in CLAIMS for word in shlex.split(command) if word.startswith("tests/")]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_has_the_hash_of_its_file(lock: Path) -> None:
    text = re.sub(r"\\\n\s*", " ", lock.read_text(encoding="utf-8"))
    pins = [line for line in text.splitlines() if PIN.match(line)]
    assert pins
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


@pytest.mark.long
@pytest.mark.parametrize("command", [command for _, _, command in CLAIMS if command not in RUN_ELSEWHERE])
def test_each_claim_is_shown_by_its_command(command: str) -> None:
    program, *arguments = shlex.split(command)
    binaries = Path(sys.executable).parent
    words = (
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
        if program == "pytest"
        else [str(binaries / program)]
    )
    ended = subprocess.run(
        [*words, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout[-4_000:]}\n{ended.stderr[-4_000:]}"
