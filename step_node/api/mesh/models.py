"""The bodies of answers under `/mesh`. Fields that existing STEP clients read have their names and forms (GeoJSON)."""

from __future__ import annotations

from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import Field, TypeAdapter

from mesh import TriangleId, area_m2, centroid, outline_geometry, side_lengths_m
from step_node.api.models.ledger import GeoJsonMultiPolygon, GeoJsonPolygon
from step_node.api.models.schema import Answer, StepText, TimestampText, TriangleText

ResultT = TypeVar("ResultT", bound=Answer)

DEGREES_DECIMALS: Final = 9
METRES_DECIMALS: Final = 2


def _is_none(value: object) -> bool:
    return value is None


_ABSENT: Any = Field(default=None, exclude_if=_is_none)
"""A field that was not asked for is left out."""

Geometry = GeoJsonPolygon | GeoJsonMultiPolygon

_GEOMETRY: TypeAdapter[Geometry] = TypeAdapter(Annotated[Geometry, Field(discriminator="type")])

Outline = Annotated[
    Geometry | None,
    Field(
        discriminator="type",
        description="Its outline on a flat map, a `MultiPolygon` where it crosses the antimeridian; only with "
        "`includePolygon=true`.",
    ),
]
State = Literal["active", "subdivided", "exhausted"]
LevelNumber = Annotated[int, Field(description="1 to 21.", examples=[10])]
Clicks = Annotated[int, Field(description="How many proofs are final in it.", examples=[4])]
Reward = Annotated[StepText, Field(description="What a proof in it earns, in STEP.")]
Truncated = Annotated[bool, Field(description="Whether there is more, from `nextCursor` on.")]
NextCursor = Annotated[TriangleText | None, Field(description="Hand it back as `cursor` for the next page, or null.")]


class MeshAnswer(Answer, Generic[ResultT]):
    """The envelope."""

    ok: Literal[True] = True
    result: ResultT
    timestamp: TimestampText


class GeoJsonPoint(Answer):
    """A GeoJSON point: [longitude, latitude]."""

    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float]


class FoundTriangle(Answer):
    """A triangle of a list: pure geometry."""

    triangle_id: TriangleText
    level: LevelNumber
    centroid: GeoJsonPoint
    polygon: Outline = _ABSENT


class NearTriangle(FoundTriangle):
    """One that lies near a point."""

    distance: float = Field(description="Metres from the point to the triangle; 0 inside it.", examples=[153.2])


class LedgerTriangle(FoundTriangle):
    """A triangle that exists, as it stands in the ledger."""

    state: State
    clicks: Clicks
    reward: Reward


class NearbyTriangle(LedgerTriangle):
    """One that lies near a point, as it stands in the ledger."""

    distance: float = Field(description="Metres from the point to the triangle; 0 inside it.", examples=[153.2])
    may_mine: Annotated[
        bool | None,
        Field(description="Whether the `account` may prove there now: it is active, and the time has come."),
    ] = _ABSENT
    may_mine_from: Annotated[
        TimestampText | None,
        Field(
            description="From when on the `account` may prove there, at its nearest point; absent if it is not active."
        ),
    ] = _ABSENT


class ChildTriangle(FoundTriangle):
    """A child."""

    child_index: int = Field(description="0 to 3; 3 is in the middle.", examples=[0])


class TriangleAtResult(Answer):
    """The triangle that holds a point; with `level=active` also how it stands."""

    triangle_id: TriangleText
    face: int = Field(description="0 to 19.", examples=[15])
    level: LevelNumber
    path: list[int] = Field(description="Its child digits from the face down.", examples=[[1, 3, 1]])
    centroid: GeoJsonPoint
    estimated_side_length: float = Field(description="Metres, the mean of its sides.", examples=[14120.5])
    polygon: Outline = _ABSENT
    state: Annotated[State | None, Field(description="Only with `level=active`.")] = _ABSENT
    clicks: Annotated[int | None, Field(description="Only with `level=active`.", examples=[4])] = _ABSENT
    reward: Annotated[StepText | None, Field(description="Only with `level=active`.")] = _ABSENT


class Metadata(Answer):
    """Its measures on the sphere of radius 6,371,000 m."""

    area: float = Field(description="Square metres.", examples=[86473212.1])
    perimeter: float = Field(description="Metres.", examples=[42361.5])
    centroid: GeoJsonPoint


class PolygonResult(Answer):
    """A triangle's outline."""

    triangle_id: TriangleText
    polygon: Annotated[Geometry, Field(discriminator="type")]
    metadata: Annotated[Metadata | None, Field(description="Only with `includeMetadata=true`.")] = _ABSENT


class ChildrenResult(Answer):
    """The four triangles one level down, whether they exist in the ledger or not."""

    parent: TriangleText
    children: list[ChildTriangle]


class ParentResult(Answer):
    """The triangle one level up."""

    child: TriangleText
    parent: TriangleText


class Components(Answer):
    """What its id is made of."""

    face: int = Field(description="0 to 19.", examples=[15])
    level: LevelNumber
    path: list[int] = Field(description="Its child digits from the face down.", examples=[[1, 3, 1]])


class Measures(Answer):
    """Where it is, and how large."""

    polygon: Annotated[Geometry, Field(discriminator="type")]
    centroid: GeoJsonPoint
    area: float = Field(description="Square metres.", examples=[86473212.1])
    perimeter: float = Field(description="Metres.", examples=[42361.5])
    estimated_side_length: float = Field(description="Metres, the mean of its sides.", examples=[14120.5])


class Hierarchy(Answer):
    """Its relations."""

    parent: TriangleText | None = Field(description="Null at level 1.")
    children: list[TriangleText] | None = Field(description="Null at level 21.")


class InfoResult(Answer):
    """All about a triangle."""

    triangle_id: TriangleText
    components: Components
    geometry: Measures
    hierarchy: Hierarchy
    exists: bool = Field(description="Whether it is in the ledger: seeded, or its parent is subdivided.")
    state: State | None = Field(description="Null if it does not exist.")
    clicks: Clicks
    reward: Reward


class SearchResult(Answer):
    """The triangles that touch a box."""

    bbox: tuple[float, float, float, float]
    level: LevelNumber
    count: int = Field(description="How many are on this page.", examples=[42])
    truncated: Truncated
    next_cursor: NextCursor
    triangles: list[FoundTriangle]


class NearestResult(Answer):
    """The triangles nearest to a point."""

    point: tuple[float, float] = Field(description="[longitude, latitude].")
    level: LevelNumber
    count: int = Field(examples=[10])
    triangles: list[NearTriangle]


class NearbyResult(Answer):
    """The triangles around a point, the nearest first."""

    point: tuple[float, float] = Field(description="[longitude, latitude].")
    radius_m: Annotated[float, Field(alias="radius_m", examples=[2000])]
    level: int | Literal["active"]
    count: int = Field(examples=[3])
    truncated: bool = Field(description="Whether there are more within `radius_m`.")
    complete_within_m: float = Field(description="All triangles nearer than this are listed.", examples=[2000])
    triangles: list[NearbyTriangle]


class ActiveResult(Answer):
    """Active triangles."""

    bbox: Annotated[tuple[float, float, float, float] | None, Field(description="If one was given.")] = _ABSENT
    level: Annotated[int | None, Field(description="If one was given.", examples=[10])] = _ABSENT
    count: int = Field(description="How many are on this page, which may be none though others follow.", examples=[42])
    truncated: Truncated
    next_cursor: NextCursor
    triangles: list[LedgerTriangle]


class LevelStats(Answer):
    """What has happened at a level."""

    level: LevelNumber
    triangle_count: int = Field(description="Triangles of the mesh.", examples=[5242880])
    total: int = Field(description="Of these, how many exist in the ledger.", examples=[5242880])
    touched: int = Field(description="Of these, how many were ever proven in.", examples=[17])
    active: int = Field(examples=[5242878])
    subdivided: int = Field(examples=[2])
    exhausted: int = Field(examples=[0])
    clicks: int = Field(description="Final proofs.", examples=[54])
    reward: StepText = Field(description="What the first proof in a triangle of it earns, in STEP.")
    estimated_side_length: float = Field(description="Metres, the mean over the level.", examples=[12400.5])


class StatsResult(Answer):
    """One level, or all."""

    total_levels: Literal[21] = 21
    levels: list[LevelStats]


def place_of(triangle: TriangleId, *, include_polygon: bool = False) -> dict[str, Any]:
    """The fields of a `FoundTriangle`."""
    place: dict[str, Any] = {"triangle_id": triangle.text, "level": triangle.level, "centroid": point_of(triangle)}
    return place | {"polygon": geometry_of(triangle)} if include_polygon else place


def metadata_of(triangle: TriangleId) -> Metadata:
    """Its measures."""
    return Metadata(
        area=round(area_m2(triangle), METRES_DECIMALS),
        perimeter=round(sum(side_lengths_m(triangle)), METRES_DECIMALS),
        centroid=point_of(triangle),
    )


def point_of(triangle: TriangleId) -> GeoJsonPoint:
    """Its centroid."""
    longitude, latitude = centroid(triangle)
    return GeoJsonPoint(coordinates=(round(longitude, DEGREES_DECIMALS), round(latitude, DEGREES_DECIMALS)))


def geometry_of(triangle: TriangleId) -> Geometry:
    """Its outline."""
    return _GEOMETRY.validate_python(outline_geometry(triangle))


def mean_side_m(triangle: TriangleId) -> float:
    """The mean length of its sides."""
    return round(sum(side_lengths_m(triangle)) / 3, METRES_DECIMALS)
