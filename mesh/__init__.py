"""The triangle mesh: ids, exact location, display geometry, search. Pure (protocol.md §1).

`locate`, `contains`, `unit_vector` and `within_distance` decide consensus and have the same bits everywhere.
`polygon`, `outline`, `centroid`, `area_m2`, `side_lengths_m`, the regions and the searches are for display.
"""

from mesh.descendants import descendants, descendants_corners, descendants_text
from mesh.descent import corners
from mesh.distance import EARTH_RADIUS_M, within_distance
from mesh.geometry import area_m2, centroid, polygon, side_lengths_m
from mesh.location import contains, locate
from mesh.location_arrays import contains_array, locate_array
from mesh.outline import OUTLINE_TOLERANCE_SHARE, outline, outline_geometry
from mesh.regions import Box, Disc, Region
from mesh.search import (
    BOUNDING_BOX_LIMIT_MAX,
    NEAREST_COUNT_MAX,
    TooManyTrianglesError,
    nearest_triangles,
    triangles_by_distance,
    triangles_in,
    triangles_in_bounding_box,
)
from mesh.triangle_id import FACE_COUNT, LEVEL_MAX, LEVEL_MIN, TriangleId, TriangleIdError
from mesh.trigonometry import Vector, unit_vector

__all__ = [
    "BOUNDING_BOX_LIMIT_MAX",
    "EARTH_RADIUS_M",
    "FACE_COUNT",
    "LEVEL_MAX",
    "LEVEL_MIN",
    "NEAREST_COUNT_MAX",
    "OUTLINE_TOLERANCE_SHARE",
    "Box",
    "Disc",
    "Region",
    "TooManyTrianglesError",
    "TriangleId",
    "TriangleIdError",
    "Vector",
    "area_m2",
    "centroid",
    "contains",
    "contains_array",
    "corners",
    "descendants",
    "descendants_corners",
    "descendants_text",
    "locate",
    "locate_array",
    "nearest_triangles",
    "outline",
    "outline_geometry",
    "polygon",
    "side_lengths_m",
    "triangles_by_distance",
    "triangles_in",
    "triangles_in_bounding_box",
    "unit_vector",
    "within_distance",
]
