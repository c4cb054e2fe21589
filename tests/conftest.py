"""Settings for every test."""

from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes depends on the machine, not on the code; and a failure must be the same everywhere.
settings.register_profile("step", parent=settings(), deadline=None, derandomize=True)
settings.load_profile("step")

UNTRACED = ("api", "cli", "fuzz", "integration", "mesh", "network", "p2p", "storage", "testing")
"""Folders of tests that take long by themselves: commands, sockets, servers, many examples. Tracing doubles that."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them `costly`."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).parts[0] in UNTRACED:
            item.add_marker(pytest.mark.costly)
