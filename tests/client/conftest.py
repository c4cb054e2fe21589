"""A node in memory, its API on a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.api.made_up_node import MadeUpNode, open_node
from tests.api.serving import serve


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[MadeUpNode]:
    """A node that finalises when told to."""
    async with open_node(tmp_path / "journal.sqlite") as node:
        yield node


@pytest.fixture
async def url(node: MadeUpNode) -> AsyncIterator[str]:
    """Where the node's API is served."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve, node)
        yield f"http://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()
