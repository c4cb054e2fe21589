"""The web app's sources and what is made of them: whether that is up to date, and making it anew."""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest

from tests.javascript.node import CLIENT, NODE, ROOT

WEB: Final = ROOT / "clients" / "web"
SERVED: Final = ROOT / "step_node" / "api" / "web"
SECONDS_MAX: Final = 300

has_packages: Final = (WEB / "node_modules").is_dir()
needs_packages: Final = pytest.mark.skipif(
    not has_packages,
    reason="clients/web/node_modules is not there: make setup-js, which wants npm's registry",
)
"""For what makes and checks the app; what was made is tested without."""


_SCRIPTS: Final = ("build.mjs", "bundling.mjs", "first-screen.mjs", "licences.mjs", "outlines.mjs", "page.mjs")


def run_in_app(*arguments: str | Path) -> str:
    """What Node prints, run in the app's folder. An exit status other than 0 fails the test, with all it said."""
    ran = subprocess.run([NODE, *arguments], cwd=WEB, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def sources_hash() -> str:
    """As `scripts/build.mjs` computes it: what the app is made of, by name and content."""
    folders = (WEB / "src", WEB / "static", CLIENT / "src")
    found = [path for folder in folders for path in sorted(path for path in folder.rglob("*") if path.is_file())]
    scripts = [WEB / "scripts" / name for name in _SCRIPTS]
    sha256 = hashlib.sha256()
    for path in (*found, WEB / "package-lock.json", *scripts):
        sha256.update(f"{path.relative_to(ROOT).as_posix()}\n".encode())
        sha256.update(path.read_bytes())
    return sha256.hexdigest()


def made_of() -> str | None:
    """Of which sources the served files say they were made; None if there are none."""
    try:
        told: dict[str, str] = json.loads((SERVED / "made-of.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return told["sha256"]


def make_if_stale() -> None:
    """Make the served files anew where the sources have changed, for the tests of a browser; once for all workers."""
    if not has_packages:
        return
    lock = Path(tempfile.gettempdir()) / f"step-web-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if made_of() != sources_hash():
            run_in_app("scripts/build.mjs")
