"""The fragments of the changelog: each has a name that says what it is, and a sentence that somebody can read."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FRAGMENTS = ROOT / "changelog.d"
TYPES = [
    kind["directory"]
    for kind in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["towncrier"]["type"]
]
TEXT_CHARACTERS_MAX = 800


def _problems(name: str, text: str) -> list[str]:
    """What is wrong with a fragment, in words for whoever wrote it."""
    problems = []
    if not re.fullmatch(rf"[a-z0-9]+(-[a-z0-9]+)*\.({'|'.join(TYPES)})\.md", name):
        problems.append(f"{name}: must be <short-name>.<type>.md, the type one of {', '.join(TYPES)}")
    if not re.match(r"[A-Z`]", text) or not text.rstrip().endswith("."):
        problems.append(f"{name}: must be a sentence or two, from a capital letter to a full stop, without a bullet")
    if len(text) > TEXT_CHARACTERS_MAX or "\n\n" in text.rstrip():
        problems.append(f"{name}: must be one paragraph of at most {TEXT_CHARACTERS_MAX} characters")
    return problems


def _fragments() -> list[Path]:
    return [path for path in sorted(FRAGMENTS.iterdir()) if path.name not in ("README.md", "_template.md.jinja")]


def test_every_fragment_is_well_formed() -> None:
    problems = [_problems(path.name, path.read_text(encoding="utf-8")) for path in _fragments()]
    assert [problem for some in problems for problem in some] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bans.fix.md", "A sentence."),
        ("bans.fixed.txt", "A sentence."),
        ("Bans By Height.fixed.md", "A sentence."),
        ("fixed.md", "A sentence."),
        ("bans.fixed.md", ""),
        ("bans.fixed.md", "- A bullet."),
        ("bans.fixed.md", "No full stop"),
        ("bans.fixed.md", "One paragraph.\n\nAnd another."),
        ("bans.fixed.md", "A" * TEXT_CHARACTERS_MAX + "."),
    ],
)
def test_a_fragment_that_is_not_is_told_so(name: str, text: str) -> None:
    assert len(_problems(name, text)) == 1


def test_the_changelog_takes_in_every_fragment() -> None:
    built = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "next"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = " ".join(built.split())
    assert [path.name for path in _fragments() if " ".join(path.read_text().split()) not in lines] == []


def test_the_page_on_fragments_explains_every_type() -> None:
    assert re.findall(r"^\| `(\w+)` \|", (FRAGMENTS / "README.md").read_text(), re.MULTILINE) == TYPES
