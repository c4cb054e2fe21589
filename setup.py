"""Writes the commit into what is built (`step_node.build` reads it); all else is in pyproject.toml.

The commit is what git says of this folder or, where there is no repository (the image's build), `STEP_COMMIT`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCommit(build_py):
    """`build_py`, and `step_node/commit.txt` beside the modules. An editable installation asks git when it runs."""

    def run(self) -> None:
        super().run()
        commit = _commit()
        if commit and not self.editable_mode:
            target = Path(self.build_lib) / "step_node" / "commit.txt"
            target.write_text(commit + "\n", encoding="ascii")


def _commit() -> str:
    told = os.environ.get("STEP_COMMIT", "")
    if told:
        return told
    root = Path(__file__).parent
    if not (root / ".git").exists():
        return ""
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return asked.stdout.strip()


setup(cmdclass={"build_py": BuildWithCommit})
