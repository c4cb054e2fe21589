"""The old server's database, read once from end to end; nothing is written to it.

A single server has no snapshots that last that long, so it must stand still meanwhile: the documents are counted before
and after, and as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Protocol

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from pymongo import ASCENDING, MongoClient
from pymongo.errors import InvalidName, PyMongoError
from pymongo.uri_parser import parse_uri

from step_node.errors import StepNodeError
from step_node.importing.documents import Document

ACCOUNTS: Final = "accounts"
TRIANGLES: Final = "triangles"
EVENTS: Final = "triangle_events"

PAGE_DOCUMENTS: Final = 1_000
SERVER_SELECTION_TIMEOUT_MS: Final = 5_000
DOCUMENT_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="replace"
)
"""Dates out of Python's range, and text that is no UTF-8, are a document's fault and not the end."""

_FIELDS: Final = {
    ACCOUNTS: ("balance",),
    TRIANGLES: ("level", "state", "clicks", "childrenIds", "lastClickAt"),
    EVENTS: (
        "account",
        "nonce",
        "timestamp",
        "eventType",
        "triangleId",
        "payload.lat",
        "payload.lon",
        "payload.reward",
    ),
}


class ImportFailed(StepNodeError):
    """The import cannot go on; the message says why, and what to do."""


class Source(Protocol):
    """Where documents come from, in pages, in the order of their ids."""

    def count(self, collection: str) -> int:
        """How many documents the collection has now."""
        ...

    def pages(self, collection: str) -> Iterator[Sequence[Document]]:
        """All of its documents."""
        ...


class MongoSource:
    """A database of MongoDB, standalone or a replica set. Raises `ImportFailed`."""

    def __init__(self, uri: str, database: str | None) -> None:
        with _meaningful_errors():
            name = database or parse_uri(uri)["database"]
            if name is None:
                raise ImportFailed("the URI names no database (mongodb://HOST/NAME): say --database NAME")
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                uri, serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MS, appname="step-node genesis import"
            )
            try:
                self._database = self._client.get_database(name, codec_options=DOCUMENT_OPTIONS)
            except InvalidName:
                self._client.close()
                raise

    def __enter__(self) -> MongoSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def count(self, collection: str) -> int:
        with _meaningful_errors():
            return self._database[collection].count_documents({}, hint="_id_") if self._has(collection) else 0

    def pages(self, collection: str) -> Iterator[Sequence[Document]]:
        with _meaningful_errors():
            fields = dict.fromkeys(_FIELDS[collection], True)
            found = self._database[collection].find({}, fields, sort=[("_id", ASCENDING)], batch_size=PAGE_DOCUMENTS)
            page: list[Document] = []
            for document in found:
                page.append(document)
                if len(page) == PAGE_DOCUMENTS:
                    yield page
                    page = []
            if page:
                yield page

    def _has(self, collection: str) -> bool:
        return collection in self._database.list_collection_names(filter={"name": collection})


def whole(source: Source, collection: str, progress: Callable[[str, int, int], None]) -> Iterator[Sequence[Document]]:
    """The documents of a collection. Raises `ImportFailed` if it has changed meanwhile."""
    before, read = source.count(collection), 0
    for page in source.pages(collection):
        yield page
        read += len(page)
        progress(collection, read, before)
    after = source.count(collection)
    if not before == read == after:
        raise ImportFailed(
            f"{collection}: {before} documents before it was read, {read} read, {after} after: the old server still"
            " writes to it. Stop it, and begin again"
        )


@contextmanager
def _meaningful_errors() -> Iterator[None]:
    try:
        yield
    except InvalidBSON as error:
        raise ImportFailed(
            f"a document cannot be read: {error}: look for damage with MongoDB's own validate"
        ) from error
    except (PyMongoError, InvalidName, ValueError) as error:
        raise ImportFailed(f"MongoDB: {error}") from error
