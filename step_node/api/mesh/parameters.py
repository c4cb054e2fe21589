"""The parameters of the routes under `/mesh`: what they may be, as OpenAPI describes them, and how they are read."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Path, Query

from mesh import LEVEL_MAX, LEVEL_MIN, Box, TriangleId, TriangleIdError
from step_node.api.errors import ApiError
from step_node.api.models.schema import (
    ADDRESS_PATTERN,
    BBOX_FORMAT,
    BBOX_PATTERN,
    EXAMPLE_ADDRESS,
    EXAMPLE_TRIANGLE,
    TRIANGLE_FORMAT,
    TRIANGLE_PATTERN,
)
from step_node.proofs.proof import RefusalCode

MAX_RESULTS_MAX: Final = 1_000
"""Triangles that one answer lists at most; a larger `maxResults` is refused."""
MAX_RESULTS_DEFAULT: Final = 500
NEAREST_DEFAULT: Final = 10
NEAREST_MAX: Final = 100
"""The same for the nearest."""
NEARBY_DEFAULT: Final = 100
RADIUS_M_MAX: Final = 1_000_000
"""How far around a point one may look; a larger `radius_m` is refused."""

ACTIVE: Final = "active"

_LEVEL_PATTERN: Final = "^([1-9]|1[0-9]|2[01])$"
_LEVEL_OR_ACTIVE_PATTERN: Final = "^([1-9]|1[0-9]|2[01]|active)$"
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,2})(?:\.[0-9]{1,20})?"
_IN_A_BBOX: Final = re.compile(rf"{_NUMBER}(?:[eE][+-]?[0-9]{{1,3}})?", re.ASCII)

Latitude = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="Degrees.", examples=[47.3769])]
Longitude = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="Degrees.", examples=[8.5417])]
Level = Annotated[int, Query(ge=LEVEL_MIN, le=LEVEL_MAX, description="1 (largest) to 21.", examples=[10])]
OptionalLevel = Annotated[
    int | None, Query(ge=LEVEL_MIN, le=LEVEL_MAX, description="1 (largest) to 21.", examples=[10])
]
# These are only described by their patterns: what reads them says which rule a text breaks.
LevelOrActive = Annotated[
    str,
    Query(
        description="1 (largest) to 21; or `active`.",
        examples=["10"],
        json_schema_extra={"pattern": _LEVEL_OR_ACTIVE_PATTERN},
    ),
]
IncludePolygon = Annotated[bool, Query(alias="includePolygon", description="Also give outlines as GeoJSON.")]
IncludeMetadata = Annotated[
    bool, Query(alias="includeMetadata", description="Also give its area, perimeter and centroid.")
]
_BBOX_DESCRIPTION: Final = (
    "`west,south,east,north` in degrees. It runs east from west to east: west > east crosses the antimeridian."
)
Bbox = Annotated[
    str,
    Query(
        description=_BBOX_DESCRIPTION,
        examples=["8.4,47.3,8.7,47.5"],
        json_schema_extra={"pattern": BBOX_PATTERN, "format": BBOX_FORMAT},
    ),
]
OptionalBbox = Annotated[
    str | None,
    Query(
        description=_BBOX_DESCRIPTION,
        examples=["8.4,47.3,8.7,47.5"],
        json_schema_extra={"pattern": BBOX_PATTERN, "format": BBOX_FORMAT},
    ),
]
MaxResults = Annotated[
    int, Query(alias="maxResults", ge=1, le=MAX_RESULTS_MAX, description="How many triangles at most.")
]
Count = Annotated[int, Query(ge=1, le=NEAREST_MAX, description="How many triangles at most.")]
RadiusM = Annotated[
    float,
    Query(gt=0, le=RADIUS_M_MAX, allow_inf_nan=False, description="How far around, in metres.", examples=[2000]),
]
Cursor = Annotated[
    str | None,
    Query(
        description="The `nextCursor` of the page before this one.",
        examples=[EXAMPLE_TRIANGLE],
        json_schema_extra={"pattern": TRIANGLE_PATTERN, "format": TRIANGLE_FORMAT},
    ),
]
OptionalAccount = Annotated[
    str | None,
    Query(
        pattern=ADDRESS_PATTERN,
        description="Also say whether, and from when on, this account may prove there.",
        examples=[EXAMPLE_ADDRESS],
    ),
]
TriangleIdText = Annotated[
    str,
    Path(
        alias="id",
        description="A triangle in its text form.",
        examples=[EXAMPLE_TRIANGLE],
        json_schema_extra={"pattern": TRIANGLE_PATTERN, "format": TRIANGLE_FORMAT},
    ),
]


def refused(message: str) -> ApiError:
    """The refusal of a parameter: `field: rule`."""
    return ApiError(RefusalCode.INVALID_PAYLOAD, message)


def parse_id(text: str) -> TriangleId:
    """The triangle in a path. Raises `ApiError`."""
    try:
        return TriangleId.parse(text)
    except TriangleIdError as error:
        raise refused(f"id: {error}") from error


def parse_cursor(text: str | None) -> TriangleId | None:
    """The triangle at which a page begins, in a `nextCursor`; None for the first page. Raises `ApiError`."""
    if text is None:
        return None
    try:
        return TriangleId.parse(text)
    except TriangleIdError as error:
        raise refused(f"cursor: must be the nextCursor of an earlier page; {error}") from error


def parse_level_or_active(text: str) -> int | None:
    """A level; None for `active`. Raises `ApiError`."""
    if text == ACTIVE:
        return None
    if re.fullmatch(_LEVEL_PATTERN[1:-1], text, re.ASCII) is None:
        raise refused(f"level: must be an integer from {LEVEL_MIN} to {LEVEL_MAX}, or active")
    return int(text)


def parse_bbox(text: str) -> tuple[tuple[float, float, float, float], Box]:
    """West, south, east and north in degrees, and the box that they are of. Raises `ApiError`."""
    parts = text.split(",")
    if len(parts) != 4 or any(_IN_A_BBOX.fullmatch(part) is None for part in parts):
        raise refused("bbox: must be west,south,east,north: four numbers of degrees, with commas between them")
    west, south, east, north = map(float, parts)
    try:
        return (west, south, east, north), Box.checked(south, west, north, east)
    except ValueError as error:
        raise refused(f"bbox: {str(error).replace(':', '', 1)}") from error
