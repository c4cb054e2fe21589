"""What of the feed somebody wants: kinds, accounts, triangles with all that lies in them, a box on the map."""

from __future__ import annotations

from dataclasses import dataclass

from mesh import LEVEL_MAX, TriangleId
from mesh.triangle_id import LEVEL_BITS
from step_node.feed.events import LOCAL_KINDS, EventKind, FeedEvent


@dataclass(frozen=True, slots=True)
class Box:
    """A box on the map with its edges, in degrees. Where `west` is above `east` it crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    def holds(self, lat: float, lon: float) -> bool:
        """Whether the point is in it."""
        if not self.south <= lat <= self.north:
            return False
        if self.west <= self.east:
            return self.west <= lon <= self.east
        return lon >= self.west or lon <= self.east


@dataclass(frozen=True, slots=True)
class TriangleRange:
    """A triangle and all below it: their integer forms are those from `first` to `last`, and no other's is."""

    first: int
    last: int

    @classmethod
    def below(cls, triangle: TriangleId) -> TriangleRange:
        """The range of `triangle`."""
        path_bits = LEVEL_BITS + 2 * (LEVEL_MAX - triangle.level)
        return cls(triangle.integer, (triangle.integer >> path_bits << path_bits) + (1 << path_bits) - 1)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """An event passes that is of one of `kinds`, and about one of `accounts`, in one of `triangles` and in `box`,
    wherever one of these is given. An event that is nowhere passes no place, and one about nobody no account."""

    kinds: frozenset[EventKind] = frozenset(EventKind)
    accounts: frozenset[bytes] = frozenset()
    triangles: tuple[TriangleRange, ...] = ()
    box: Box | None = None

    @property
    def wants_local(self) -> bool:
        """Whether anything passes that only this node can tell of."""
        return not self.kinds.isdisjoint(LOCAL_KINDS)

    @property
    def wants_final(self) -> bool:
        """Whether anything of the chain passes."""
        return not self.kinds <= LOCAL_KINDS

    def passes(self, event: FeedEvent) -> bool:
        """Whether it is wanted."""
        if event.kind not in self.kinds:
            return False
        if self.accounts and self.accounts.isdisjoint(event.accounts):
            return False
        triangle = event.triangle
        if self.triangles and (
            triangle is None or not any(one.first <= triangle <= one.last for one in self.triangles)
        ):
            return False
        return self.box is None or (event.point is not None and self.box.holds(*event.point))
