"""The active triangles of a region, at whatever level they are, from one snapshot of the state.

Theory. From the seeded level on, triangles tile: a place lies in one of the seeded level; if that is subdivided, in one
of its children, and so on, until one is active, or exhausted at the last level. Above the seeded level a triangle has a
record from its first moment, so the active ones there are records; at the seeded level one without a record is active.

All descendants of a triangle are one range of ids. So a region is covered with a few triangles, the records in their
ranges are read at once, and what is active among them and touches the region is the answer. A small region is covered
with triangles of a deeper level, or all that happened within kilometres would be read for a street; the ancestors of
these, any of which may be the active one, are read as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from mesh import LEVEL_MAX, Region, TriangleId, corners
from mesh.triangle_id import LEVEL_MASK
from step_node.api.mesh.walking import Page, Work, page_in
from step_node.ledger.records import Account, Triangle, TriangleState
from step_node.ledger.state import StateKeys, TriangleRanges
from step_node.storage.interface import StorageReads

COVER_MAX: Final = 16
"""Triangles that a small region is covered with; where more are needed, they are of a level above."""

RECORDS_MAX: Final = 2_000
"""Records that one answer reads; what lies beyond is on the next page."""


@dataclass(frozen=True, slots=True)
class LeafPage:
    """Active triangles by rising id, and the account asked for, of one snapshot; `next` as that of `Page`."""

    triangles: list[Triangle]
    next: TriangleId | None
    account: Account | None


async def leaves_in(
    storage: StorageReads,
    region: Region,
    *,
    seeded_level: int,
    start: TriangleId | None,
    limit: int,
    work: Work,
    account: bytes | None = None,
) -> LeafPage:
    """The first `limit` active triangles of the seeded level and above that touch the region, from `start` on.

    Fewer, if the work or the records are over before. Raises `StorageUnavailable`, and `ApiError` as `Work` does.
    """
    first_cell = None if start is None else _ancestor(start, seeded_level)
    cells = await page_in(region, seeded_level, start=first_cell, limit=limit, work=work)
    ranges = _merged(await _ranges_of(cells, region, work), 0 if start is None else start.integer)
    keys = StateKeys(
        accounts=frozenset() if account is None else frozenset({account}),
        ranges=TriangleRanges(tuple(ranges), RECORDS_MAX) if ranges else None,
    )
    state = await storage.load(keys)
    end = cells.next
    if len(state.in_ranges) == RECORDS_MAX:
        # There may be more behind the last one, which begins the next page.
        end = TriangleId.from_int(state.in_ranges[-1].id)
    candidates = _candidates(cells.triangles, state.in_ranges, seeded_level)
    begin = 0 if start is None else start.integer
    active: list[Triangle] = []
    for number, one in enumerate(candidates):
        if one.id < begin or one.state is not TriangleState.ACTIVE:
            continue
        if end is not None and one.id >= end.integer:
            break
        await work.pause_at(number)
        triangle = TriangleId.from_int(one.id)
        if triangle.level > seeded_level and not region.touches(corners(triangle)):
            continue
        if len(active) == limit:
            end = triangle
            break
        active.append(one)
    return LeafPage(active, end, None if account is None else state.accounts[account])


def _ancestor(triangle: TriangleId, level: int) -> TriangleId:
    """The triangle of `level` that holds it; itself at that level or before."""
    if triangle.level <= level:
        return triangle
    return TriangleId(triangle.face, level, triangle.path >> 2 * (triangle.level - level))


async def _ranges_of(cells: Page, region: Region, work: Work) -> list[tuple[int, int]]:
    """Where the records are that can matter."""
    cover, ancestors = cells.triangles, list[TriangleId]()
    while 0 < len(cover) <= COVER_MAX and cells.next is None and cover[0].level < LEVEL_MAX:
        finer = []
        for child in (child for triangle in cover for child in triangle.children):
            await work.look()
            if region.touches(corners(child)):
                finer.append(child)
        # A region that only touches a corner may by rounding touch none of the children.
        if not 0 < len(finer) <= COVER_MAX:
            break
        ancestors += cover
        cover = finer
    singles = [(triangle.integer, triangle.integer) for triangle in ancestors]
    return sorted(singles + [(triangle.integer, triangle.last_integer) for triangle in cover])


def _merged(ranges: Iterable[tuple[int, int]], begin: int) -> list[tuple[int, int]]:
    """Ranges from `begin` on, those that follow one another as one: what lies between can only be of lower levels."""
    merged: list[tuple[int, int]] = []
    for first, last in ranges:
        if last < begin:
            continue
        if merged and first - merged[-1][1] <= LEVEL_MASK:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((max(first, begin), last))
    return merged


def _candidates(cells: list[TriangleId], records: Iterable[Triangle], seeded_level: int) -> list[Triangle]:
    """The cells as they stand, and the records above their level, by rising id."""
    above = [one for one in records if one.id & LEVEL_MASK > seeded_level]
    at_the_level = {one.id: one for one in records if one.id & LEVEL_MASK == seeded_level}
    standing = [at_the_level.get(cell.integer) or Triangle(cell.integer) for cell in cells]
    return sorted(above + standing, key=lambda one: one.id)
