"""Which triangles exist around a point, or are active in a box or at a level: each by one read of the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh import EARTH_RADIUS_M, Box, Disc, TriangleId, corners
from mesh.regions import distance_to_corners_rad
from mesh.triangle_id import LEVEL_MASK
from step_node.api.mesh.leaves import leaves_in
from step_node.api.mesh.walking import Work, nearest, page_in
from step_node.ledger.records import Account, Triangle, TriangleState
from step_node.ledger.state import StateKeys
from step_node.storage.interface import PAGE_MAX, StorageReads

NEARBY_LEAVES_MAX: Final = 500
"""Active triangles among which the nearest are looked for; where a disc has more, a smaller one is looked through."""

NEARBY_SHRINK: Final = 4
"""By how much its radius is smaller: it has a sixteenth of the area."""

WHOLE_EARTH: Final = Box.checked(-90.0, -180.0, 90.0, 180.0)


@dataclass(frozen=True, slots=True)
class Around:
    """At most `limit` triangles within `radius_m` of a point in degrees, and how `account` stands."""

    lat: float
    lon: float
    radius_m: float
    limit: int
    account: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """Triangles with their distances in metres, the nearest first; all nearer than `complete_within_m` are here."""

    nearest: list[tuple[float, Triangle]]
    complete_within_m: float
    account: Account | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """At most `limit` active triangles from `start` on: of a box, of a level, or both."""

    box: Box | None
    level: int | None
    start: TriangleId | None
    limit: int


async def existing(storage: StorageReads, triangle: TriangleId, seeded_level: int) -> Triangle | None:
    """The triangle as it stands; None if it does not exist. Raises `StorageUnavailable`."""
    state = await storage.load(StateKeys(triangles=frozenset({triangle.integer})))
    return _existing(triangle, state.triangles, seeded_level)


async def level_around(storage: StorageReads, around: Around, level: int, seeded_level: int, work: Work) -> Found:
    """Those of a level that exist. Raises `StorageUnavailable`, and `ApiError` as `Work` does."""
    # One more than asked for tells whether there are more.
    near = await nearest(around.lat, around.lon, level, within_m=around.radius_m, limit=around.limit + 1, work=work)
    is_cut = len(near) > around.limit or work.is_over
    complete_within_m = near[-1][0] if is_cut else around.radius_m
    near = near[: around.limit]
    state = await storage.load(
        StateKeys(accounts=_keys(around.account), triangles=frozenset(triangle.integer for _, triangle in near))
    )
    standing = [(distance_m, _existing(one, state.triangles, seeded_level)) for distance_m, one in near]
    found = [(distance_m, record) for distance_m, record in standing if record is not None]
    return Found(found, complete_within_m, _account(state.accounts, around.account))


async def active_around(storage: StorageReads, around: Around, seeded_level: int, work: Work) -> Found:
    """The active ones, from the seeded level on. Raises `StorageUnavailable`, and `ApiError` as `Work` does.

    Where the disc holds more than can be looked through, the answer is that of a smaller disc, read anew: at the latest
    of one that a few triangles of the last level cover.
    """
    radius_m = around.radius_m
    while True:
        disc = Disc.checked(around.lat, around.lon, radius_m)
        page = await leaves_in(
            storage,
            disc,
            seeded_level=seeded_level,
            start=None,
            limit=NEARBY_LEAVES_MAX,
            work=work,
            account=around.account,
        )
        if page.next is None or work.is_over:
            break
        radius_m /= NEARBY_SHRINK
    complete_within_m = radius_m if page.next is None else 0.0
    near: list[tuple[float, Triangle]] = []
    for number, record in enumerate(page.triangles):
        await work.pause_at(number)
        vertices = corners(TriangleId.from_int(record.id))
        near.append((distance_to_corners_rad(disc.centre, vertices) * EARTH_RADIUS_M, record))
    near.sort(key=lambda one: (one[0], one[1].id))
    if len(near) > around.limit:
        complete_within_m = min(complete_within_m, near[around.limit][0])
    return Found(near[: around.limit], complete_within_m, page.account)


async def active_page(
    storage: StorageReads, wanted: Wanted, seeded_level: int, work: Work
) -> tuple[Sequence[Triangle], TriangleId | None]:
    """Active triangles by rising id, and where the next page begins, if there is one.

    Raises `StorageUnavailable`, and `ApiError` as `Work` does.
    """
    level, start = wanted.level, wanted.start
    if level is not None and level <= seeded_level:
        page = await page_in(wanted.box or WHOLE_EARTH, level, start=start, limit=wanted.limit, work=work)
        state = await storage.load(StateKeys(triangles=frozenset(triangle.integer for triangle in page.triangles)))
        records = (state.triangles[triangle.integer] or Triangle(triangle.integer) for triangle in page.triangles)
        return [record for record in records if record.state is TriangleState.ACTIVE], page.next
    if wanted.box is not None:
        leaves = await leaves_in(
            storage, wanted.box, seeded_level=seeded_level, start=start, limit=wanted.limit, work=work
        )
        of_level = [one for one in leaves.triangles if level in (None, one.id & LEVEL_MASK)]
        return of_level, leaves.next
    limit = min(wanted.limit, PAGE_MAX - 1)
    after = 0 if start is None else start.integer - 1
    # Neither a box nor a level is refused before: here is one level above the seeded ones.
    found = await storage.active_triangles(level or 0, after=after, limit=limit + 1)
    return found[:limit], TriangleId.from_int(found[limit].id) if len(found) > limit else None


def _existing(triangle: TriangleId, records: Mapping[int, Triangle | None], seeded_level: int) -> Triangle | None:
    """Up to the seeded level all exist; above it, those that have a record, which they have from their first moment."""
    record = records[triangle.integer]
    return record or Triangle(triangle.integer) if triangle.level <= seeded_level else record


def _keys(account: bytes | None) -> frozenset[bytes]:
    return frozenset() if account is None else frozenset({account})


def _account(accounts: Mapping[bytes, Account | None], account: bytes | None) -> Account | None:
    return None if account is None else accounts[account]
