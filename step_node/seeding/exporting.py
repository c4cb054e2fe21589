"""The collection as text, a triangle at a time, so that memory does not grow with it.

`ndjson` is the documents as they are stored, one a line, which `mongoimport` reads. `geojson` is one FeatureCollection
for flat maps: its outlines are those of `mesh.outline_geometry`, bent where a great circle is and cut at the
antimeridian (RFC 7946 §3.1.9).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum

from mesh import TriangleId, outline_geometry
from step_node.seeding.collection import Collection
from step_node.seeding.triangles import Record


class ExportFormat(StrEnum):
    """What `mesh export` writes."""

    NDJSON = "ndjson"
    GEOJSON = "geojson"


def exported(collection: Collection, levels: Sequence[int], form: ExportFormat) -> Iterator[str]:
    """The text in pieces: levels in this order, triangles in the order of their ids."""
    found = (record for level in levels for record in collection.records(level))
    if form is ExportFormat.NDJSON:
        for record in found:
            yield f"{json.dumps(record.document(), separators=(',', ':'))}\n"
        return
    yield '{"type":"FeatureCollection","features":['
    separator = "\n"
    for record in found:
        yield separator + json.dumps(_feature(record), separators=(",", ":"))
        separator = ",\n"
    yield "\n]}\n"


def _feature(record: Record) -> dict[str, object]:
    return {
        "type": "Feature",
        "id": record.triangle_id,
        "geometry": outline_geometry(TriangleId.from_int(record.triangle)),
        "properties": {
            "level": record.level,
            "parent": None if record.parent is None else TriangleId.from_int(record.parent).text,
            "centroid": record.centroid,
        },
    }
