"""The documents name only commands and options that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md", "configs/*.md") for path in ROOT.glob(pattern)
]
GROUPS = (
    "account",
    "admin",
    "backup",
    "config",
    "economy",
    "genesis",
    "keys",
    "mesh",
    "proof",
    "store",
    "upgrade",
    "validator",
)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_it_exists_with_its_options(command: Command, page: str) -> None:
    for line in re.findall(r"step-node ((?:[a-z][a-z-]* ?){1,2}[^`|\n>#]*)", (ROOT / page).read_text()):
        words = line.split()
        name = words[:2] if words[0] in GROUPS else words[:1]  # A group alone has a help text too.
        help_text = command(*name, "--help")
        assert help_text.exit_code == 0, line
        for option in re.findall(r"--[a-z-]+", line):
            assert option in help_text.stdout, line
