"""Which build of the program this is: its version, and the commit that it was made of.

A wheel and an image have the commit in a file of the package, which `setup.py` writes while it builds; a checkout asks
git. Where neither tells, the commit is unknown, and the version stands alone.
"""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

import step_node

COMMIT_FILE: Final = "commit.txt"
"""In the package, of a build."""

UNKNOWN: Final = "unknown"

COMMIT_DIGITS: Final = 12

GIT_SECONDS_MAX: Final = 5.0

_COMMIT: Final = re.compile(r"[0-9a-f]{12,64}")


@lru_cache(maxsize=1)
def commit() -> str:
    """The first 12 hex digits of the commit, or `unknown`."""
    package = Path(step_node.__file__).parent
    try:
        told = (package / COMMIT_FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        told = _of_checkout(package.parent)
    return told[:COMMIT_DIGITS] if _COMMIT.fullmatch(told) else UNKNOWN


def release() -> str:
    """The version with the commit, as PEP 440 writes a local one: `0.1.0+g0123456789ab`; or the version alone."""
    found = commit()
    return step_node.__version__ if found == UNKNOWN else f"{step_node.__version__}+g{found}"


def _of_checkout(root: Path) -> str:
    # Only where the package stands in a checkout of its own: one in site-packages may lie inside of somebody else's.
    if not (root / ".git").exists() or not (root / "setup.py").exists():
        return UNKNOWN
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS_MAX)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN
    return asked.stdout.strip()
