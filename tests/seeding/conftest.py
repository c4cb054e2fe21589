"""A display collection in each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from step_node.seeding.collection import Collection
from step_node.seeding.seeder import MongoTarget, SqliteTarget, Target, open_collection
from tests.support.mongod import mongodb_uri, new_database_name

__all__ = ["mongodb_uri"]


class Told:
    """Keeps what `seed` tells."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, int]] = []

    def begin(self, level: int, total: int, present: int) -> None:  # noqa: ARG002
        self.lines.append((level, present))

    def advance(self, level: int, present: int) -> None:
        self.lines.append((level, present))


@pytest.fixture(params=["sqlite", "mongodb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    if request.param == "sqlite":
        return SqliteTarget(tmp_path / "mesh.sqlite")
    return MongoTarget(request.getfixturevalue("mongodb_uri"), new_database_name())


@pytest.fixture
def collection(target: Target) -> Iterator[Collection]:
    opened = open_collection(target, create=True)
    yield opened
    opened.close()
