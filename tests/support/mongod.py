"""A real replica set for tests: import `mongodb_uri` into a conftest.py, and give each test a database of its own.

One throw-away mongod serves the whole test session. `STEP_TEST_MONGODB_URI` names another replica set to use.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
import trio

from step_node.testing.mongod import ThrowawayMongod


@pytest.fixture(scope="session")
def mongodb_uri() -> Iterator[str]:
    """The URI of a replica set that lasts for the test session."""
    named = os.environ.get("STEP_TEST_MONGODB_URI")
    if named:
        yield named
        return
    mongod = ThrowawayMongod()
    try:
        mongod.start()
        trio.run(mongod.ready)
        yield mongod.uri
    finally:
        mongod.discard()


def new_database_name() -> str:
    """A database that nothing else uses."""
    return f"step_test_{uuid.uuid4().hex}"
