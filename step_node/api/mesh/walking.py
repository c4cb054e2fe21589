"""Searches of the mesh in pieces: each has its bound, and lets the event loop go on every few milliseconds.

What a search costs shows only while it is under way, so whoever asks pays for it then (`Work`), and not by its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import trio
from starlette.types import Scope

from mesh import EARTH_RADIUS_M, Region, TriangleId, triangles_by_distance, triangles_in
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import MESH_LOOK_COST_MS

LOOKS_MAX: Final = 4_000
"""Triangles that one answer's search looks at; what lies beyond is on the next page. Along edges of the mesh many may
have to be looked at for each one found."""

LOOKS_PER_PIECE: Final = 128
"""Looks between two pauses for the event loop: some two milliseconds."""

SHAPES_PER_PIECE: Final = 16
"""Triangles that are drawn or tested between two pauses."""


class Work:
    """What one request has had done: it pauses, and pays."""

    def __init__(self, scope: Scope) -> None:
        self._charge = bill_of(scope)["charge"]
        self.looks = 0

    @property
    def is_over(self) -> bool:
        """Whether it may look no further."""
        return self.looks >= LOOKS_MAX

    async def look(self) -> None:
        """A triangle has been looked at. Raises `ApiError` if whoever asks cannot pay."""
        self.looks += 1
        if self.looks % LOOKS_PER_PIECE == 0:
            await self.charge(LOOKS_PER_PIECE * MESH_LOOK_COST_MS)
            await trio.lowlevel.checkpoint()

    async def charge(self, cost_ms: float) -> None:
        """So much more is about to be done. Raises `ApiError` if whoever asks cannot pay."""
        await self._charge(cost_ms)

    async def pause_at(self, number: int) -> None:
        """Let the event loop go on, if that is the turn of this number of a list of shapes."""
        if number % SHAPES_PER_PIECE == SHAPES_PER_PIECE - 1:
            await trio.lowlevel.checkpoint()


@dataclass(frozen=True, slots=True)
class Page:
    """Triangles by rising id. All of the region below `next` are here or on earlier pages; None: there are no more."""

    triangles: list[TriangleId]
    next: TriangleId | None


async def page_in(region: Region, level: int, *, start: TriangleId | None, limit: int, work: Work) -> Page:
    """The first `limit` triangles of `level` that touch the region, from `start` on: fewer, if the work is over."""
    found: list[TriangleId] = []
    walk: Iterator[tuple[TriangleId, bool]] = triangles_in(region, level, start=0 if start is None else start.integer)
    begun_at = work.looks
    for triangle, touches in walk:
        # What is opened on the way down to `start` does not count as looked at, or a page might not come beyond it.
        is_beyond = start is None or triangle >= start
        if is_beyond and (len(found) == limit or (work.is_over and work.looks > begun_at)):
            return Page(found, triangle)
        await work.look()
        if touches:
            found.append(triangle)
    return Page(found, None)


async def nearest(
    lat: float, lon: float, level: int, *, within_m: float, limit: int, work: Work
) -> list[tuple[float, TriangleId]]:
    """The `limit` triangles of `level` nearest to a point, no farther than `within_m`, with their distances in metres.

    Nearest first. Fewer, if the work is over before. Raises `ApiError` as `Work` does.
    """
    found: list[tuple[float, TriangleId]] = []
    for near in triangles_by_distance(lat, lon, level):
        await work.look()
        if near is not None:
            distance_rad, triangle = near
            if distance_rad * EARTH_RADIUS_M > within_m:
                break
            found.append((distance_rad * EARTH_RADIUS_M, triangle))
        if len(found) == limit or work.is_over:
            break
    return found
