"""The keystores of a home, under whatever names."""

from __future__ import annotations

from pathlib import Path

from step_node.home.paths import NodeHome

KEYSTORES_MAX = 32
"""Keystores of one home that are looked at, in the order of their names; others are passed over."""


def keystores_in(home: NodeHome) -> list[Path]:
    """The keystores of a home, in the order of their names, `KEYSTORES_MAX` at most."""
    folder = home.validator_keystore.parent
    return sorted(path for path in folder.glob("*.json") if path.is_file())[:KEYSTORES_MAX]
