"""A plan that follows an old server, and an import of documents in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from step_node.chain.genesis import GenesisPlan
from step_node.importing.importer import Imported, import_database
from step_node.importing.report import Report
from step_node.snapshot.initial_state import read_initial_state
from step_node.storage.interface import StoredRecord
from tests.importing.old_database import ListSource, OldServer, clicked_server
from tests.support.mongod import mongodb_uri
from tests.support.proofs import START_MS

__all__ = ["mongodb_uri"]

PLAN = GenesisPlan(chain_id="follows", genesis_time_ms=START_MS)

Collections: TypeAlias = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Outcome:
    """What an import has given."""

    imported: Imported
    report: Report
    lines: list[str]
    path: Path

    @property
    def records(self) -> list[StoredRecord]:
        pages = read_initial_state(self.path, self.imported.plan, self.imported.state)
        return [record for page in pages for record in page]

    @property
    def kinds(self) -> set[str]:
        return set(self.report.counts)


def import_(collections: Collections, folder: Path, plan: GenesisPlan = PLAN) -> Outcome:
    folder.mkdir(parents=True, exist_ok=True)
    text = StringIO()
    report = Report(text)
    source = ListSource(collections)
    imported = import_database(source, plan, folder, report, lambda _what, _done, _total: None)
    return Outcome(imported, report, text.getvalue().splitlines(), folder / "state.bin")


@pytest.fixture(scope="session")
def server() -> OldServer:
    """A hundred accounts that have clicked five times each, until a minute before the chain begins."""
    return clicked_server(100, ends_ms=START_MS - 60_000)


@pytest.fixture
def collections(server: OldServer) -> Collections:
    return {name: [dict(one) for one in documents] for name, documents in server.collections().items()}


@pytest.fixture
def do_import(tmp_path: Path) -> Callable[..., Outcome]:
    return lambda collections, plan=PLAN: import_(collections, tmp_path, plan)
