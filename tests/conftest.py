"""Settings for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
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


@pytest.fixture(autouse=True)
def _logging_is_left_as_it_was() -> Iterator[None]:
    """A test that sets up logging for this process breaks those that come after it, far from its own place."""
    before = structlog.get_config()
    yield
    assert structlog.get_config() == before, "the test set up logging for the whole process"
