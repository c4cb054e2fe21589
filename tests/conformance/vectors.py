"""The recorded examples: reading them, what has changed, and when they may be written anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "encodings.json"

WHAT_TO_DO = (
    "If others must still understand what was written before, mend the code. If the change is meant, say it in"
    " docs/protocol.md and in changelog.d/<name>.breaking.md (what changes, and what operators and the authors of"
    " clients and nodes have to do), and write the examples anew:"
    " .venv/bin/python -m tests.conformance --breaking <name>"
)


def recorded() -> dict[str, str]:
    """The examples as they were written last."""
    found: dict[str, str] = json.loads(VECTORS.read_text())
    return found


def broken(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The names of examples that are not there any more, or are others. A field more in a JSON answer is no break."""
    return [name for name in old if name not in new or not _is_kept(name, old[name], new[name])]


def write(new: Mapping[str, str], breaking: str | None) -> list[str]:
    """Write them; returns the names of those that break something. Raises SystemExit if that is said nowhere."""
    names = broken(recorded(), new) if VECTORS.exists() else []
    if names:
        fragment = ROOT / "changelog.d" / f"{breaking}.breaking.md"
        if breaking is None or not fragment.is_file():
            raise SystemExit(f"others rely on these, and they have changed: {', '.join(names)}. {WHAT_TO_DO}")
    VECTORS.write_text(json.dumps(new, indent=0, ensure_ascii=False) + "\n")
    return names


def _is_kept(name: str, old: str, new: str) -> bool:
    if old == new or not name.startswith("api/"):
        return old == new
    (old_status, _, old_body), (new_status, _, new_body) = old.partition(" "), new.partition(" ")
    return old_status == new_status and _extends(json.loads(old_body), json.loads(new_body))


def _extends(old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        # What an error says to people is no form.
        return all(key in new and (key == "message" or _extends(value, new[key])) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_extends, old, new))
    return type(old) is type(new) and bool(old == new)
