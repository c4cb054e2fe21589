"""A page of a history, as a query of a collection that has a height and an index in each document."""

from __future__ import annotations

from typing import Any

from pymongo import ASCENDING, DESCENDING

from step_node.storage.mongo_documents import Document
from step_node.storage.mongo_driver import Driver, settled
from step_node.storage.pages import Page


class MongoPage(Page):
    """One as a query."""

    __slots__ = ()

    @property
    def height_last(self) -> int | None:
        """The last height that it can be about; None for the first page, which begins at the head."""
        return None if self.before is None else self.before[0]

    async def find(self, entries: Any, of: Document, session: Driver) -> list[Document]:
        """Those documents of the collection `entries` that `of` selects and that are on the page, in its order."""
        edges = [("$lt", self.before), ("$gt", self.after)]
        conditions: list[Document] = [of] if of else []
        conditions += [_beyond(operator, *edge) for operator, edge in edges if edge is not None]
        which: Document = {"$and": conditions} if conditions else {}
        direction = ASCENDING if self.is_oldest_first else DESCENDING
        cursor = entries.find(which, session=session).sort([("height", direction), ("index", direction)])
        found: list[Document] = await settled(cursor.limit(self.limit).to_list(length=None))
        return found


def _beyond(operator: str, height: int, index: int) -> Document:
    return {"$or": [{"height": {operator: height}}, {"height": height, "index": {operator: index}}]}
