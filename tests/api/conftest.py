"""A node without peers, and a client of its API in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from step_node.api.app import create_app
from step_node.storage.memory import MemoryStorage
from tests.api.made_up_node import MadeUpNode, open_node


@pytest.fixture
def storage() -> MemoryStorage:
    """The store under the node; a module of tests may name another."""
    return MemoryStorage()


@pytest.fixture
async def node(tmp_path: Path, storage: MemoryStorage) -> AsyncIterator[MadeUpNode]:
    """A node that finalises when told to."""
    async with open_node(tmp_path / "journal.sqlite", storage=storage) as node:
        yield node


@pytest.fixture
async def client(node: MadeUpNode) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the node's API. What the application raises is left to the application's own handlers."""
    transport = httpx.ASGITransport(create_app(node.services()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        yield client
