"""A page of a history, as a client asks for it and gets it: `limit`, `before`, `after`, and the cursors of the answer.

Newest first, or with `after` alone oldest first. `nextCursor` leads to the next page in the same direction, handed back
as the parameter that was used (`before`, if none was). `latestCursor` is of the newest entry that the client knows now:
handed back as `after` at any later time, it gives what has come since, without gap or repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import Field, WithJsonSchema

from step_node.api.errors import ApiError
from step_node.api.histories.cursor import CURSOR_PATTERN, decode_cursor, encode_cursor
from step_node.explanations.details import Details, shown
from step_node.proofs.proof import RefusalCode
from step_node.storage.interface import Place

PAGE_DEFAULT: Final = 20
PAGE_MAX: Final = 100
"""Entries of one page of a listing; a larger `limit` is refused."""

EntryT = TypeVar("EntryT")

Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many entries at most.")]
Before = Annotated[
    str | None,
    # Only described so: `decode_cursor` says what is wrong.
    WithJsonSchema({"type": "string", "pattern": CURSOR_PATTERN}),
    Query(description="The `nextCursor` of the page before this one: entries older than that."),
]
After = Annotated[
    str | None,
    WithJsonSchema({"type": "string", "pattern": CURSOR_PATTERN}),
    Query(
        description="The `latestCursor` of an earlier answer, or the `nextCursor` of the page before this one: entries"
        " newer than that, oldest first unless `before` is given as well."
    ),
]

NextCursor = Annotated[
    str | None,
    Field(
        description="Hand it back for the next page, as `after` where only that was given, else as `before`; null on"
        " the last page.",
        examples=["AAAAAAAAACoAAAAA"],
    ),
]
LatestCursor = Annotated[
    str,
    Field(
        description="Hand it back as `after`, at any later time, for what is newer than all that you know.",
        examples=["AAAAAAAAACoAAAAA"],
    ),
]


@dataclass(frozen=True, slots=True)
class PageAsked:
    """Which page of a history a client wants. Each of `before` and `after` is a (height, index), or None."""

    limit: int
    before: Place | None
    after: Place | None

    @classmethod
    def of(cls, limit: int, before: str | None, after: str | None) -> PageAsked:
        """By the parameters of a request. Raises `ApiError` INVALID_PAYLOAD naming the one that is wrong."""
        return cls(limit, _place("before", before), _place("after", after))

    @property
    def is_oldest_first(self) -> bool:
        """The direction."""
        return self.after is not None and self.before is None

    async def read(
        self, history: Callable[..., Awaitable[Sequence[EntryT]]], place_of: Callable[[EntryT], Place]
    ) -> Page[EntryT]:
        """The page of `history`, a listing of `StorageReads`. Raises `StorageUnavailable`."""
        # One more than asked for tells whether there is another page.
        found = await history(limit=self.limit + 1, before=self.before, after=self.after)
        return self.page_of(found[: self.limit], place_of, more=len(found) > self.limit)

    def page_of(self, entries: Sequence[EntryT], place_of: Callable[[EntryT], Place], *, more: bool) -> Page[EntryT]:
        """The page with these entries; `more`: there are others beyond them."""
        newest = self.after or NOTHING
        if entries:
            newest = place_of(entries[-1] if self.is_oldest_first else entries[0])
        return Page(
            entries,
            next_cursor=encode_cursor(*place_of(entries[-1])) if more and entries else None,
            latest_cursor=encode_cursor(*newest),
        )


NOTHING: Final[Place] = (0, 0)
"""Before all entries: the first batch has height 1."""


@dataclass(frozen=True, slots=True)
class Page(Generic[EntryT]):
    """Entries, and the cursors of the answer with them."""

    entries: Sequence[EntryT]
    next_cursor: str | None
    latest_cursor: str


def _place(name: str, cursor: str | None) -> Place | None:
    if cursor is None:
        return None
    try:
        return decode_cursor(cursor)
    except ValueError as error:
        raise ApiError(RefusalCode.INVALID_PAYLOAD, f"{name}: {error}", details=Details(value=shown(cursor))) from error
