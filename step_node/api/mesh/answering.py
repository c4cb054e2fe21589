"""Answers under `/mesh`: in the envelope, or as a GeoJSON FeatureCollection for whoever asks for one by `Accept`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from fastapi import Request, Response
from pydantic_core import to_json

from mesh import TriangleId
from step_node.api.media_types import GEO_JSON, JSON, prefers_geo_json
from step_node.api.mesh.models import geometry_of, place_of
from step_node.api.mesh.walking import Work
from step_node.api.middleware.caching import UNCHANGING
from step_node.api.models.schema import TRIANGLE_PATTERN, Answer
from step_node.api.server.limits import MESH_OUTLINE_COST_MS, MESH_TRIANGLE_COST_MS
from step_node.clock import Clock
from step_node.proofs.timestamps import format_timestamp

_VARY: Final = {"Vary": "Accept"}

_POSITION: Final = {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}
_RING: Final = {"type": "array", "minItems": 4, "items": _POSITION}
_RINGS: Final = {"type": "array", "minItems": 1, "maxItems": 1, "items": _RING}
FEATURE_COLLECTION: Final[Mapping[str, Any]] = {
    "type": "object",
    "title": "FeatureCollection",
    "description": "RFC 7946. The members beside `features` are those of the answer in JSON.",
    "required": ["type", "features"],
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "id", "geometry", "properties"],
                "properties": {
                    "type": {"const": "Feature"},
                    "id": {"type": "string", "pattern": TRIANGLE_PATTERN},
                    "geometry": {
                        "oneOf": [
                            {
                                "type": "object",
                                "required": ["type", "coordinates"],
                                "properties": {"type": {"const": "Polygon"}, "coordinates": _RINGS},
                            },
                            {
                                "type": "object",
                                "required": ["type", "coordinates"],
                                "properties": {
                                    "type": {"const": "MultiPolygon"},
                                    "coordinates": {"type": "array", "minItems": 2, "maxItems": 2, "items": _RINGS},
                                },
                            },
                        ]
                    },
                    "properties": {"type": "object"},
                },
            },
        },
    },
}
"""As OpenAPI describes it."""

MESH_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {GEO_JSON: {"schema": FEATURE_COLLECTION}}},
}
GEOMETRY_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    **MESH_RESPONSES,
    304: {"description": "It is the one that `If-None-Match` names."},
}
"""Of routes whose answers never change."""


class Answering:
    """How the routes answer one request."""

    def __init__(self, request: Request, clock: Clock) -> None:
        self._clock = clock
        self.work = Work(request.scope)
        self.is_geo_json = prefers_geo_json(request.headers.get("accept", ""))

    async def places(self, triangles: Sequence[TriangleId], include_polygon: bool) -> AsyncIterator[dict[str, Any]]:
        """What a list says of each triangle (`place_of`), paid for; an outline only where it is shown as `polygon`."""
        outlines = MESH_OUTLINE_COST_MS if include_polygon or self.is_geo_json else 0.0
        await self.work.charge(len(triangles) * (MESH_TRIANGLE_COST_MS + outlines))
        for number, triangle in enumerate(triangles):
            await self.work.pause_at(number)
            yield place_of(triangle, include_polygon=include_polygon and not self.is_geo_json)

    def enveloped(self, result: Answer, *, never_changes: bool = False) -> Response:
        """`result` in the envelope."""
        body = result.model_dump_json(by_alias=True).encode()
        timestamp = format_timestamp(self._clock.now_ms())
        envelope = b'{"ok":true,"result":%b,"timestamp":"%b"}' % (body, timestamp.encode())
        return self._response(envelope, body, JSON, never_changes)

    async def features(
        self, result: Answer, described: Sequence[tuple[TriangleId, Answer]], *, never_changes: bool = False
    ) -> Response:
        """`result` as a FeatureCollection, whose features are these triangles with their descriptions as properties.

        The other members of `result` are members of the collection (RFC 7946 §6.1).
        """
        features = []
        for number, (triangle, description) in enumerate(described):
            await self.work.pause_at(number)
            properties = description.model_dump(mode="json", by_alias=True, exclude={"polygon"})
            geometry = geometry_of(triangle).model_dump(mode="json", by_alias=True)
            features.append({"type": "Feature", "id": triangle.text, "geometry": geometry, "properties": properties})
        members = result.model_dump(mode="json", by_alias=True, exclude=_SHOWN_AS_FEATURES)
        body = to_json({"type": "FeatureCollection", **members, "features": features})
        return self._response(body, body, GEO_JSON, never_changes)

    def _response(self, body: bytes, identity: bytes, media_type: str, never_changes: bool) -> Response:
        headers = dict(_VARY)
        if never_changes:
            headers |= {"ETag": f'"{hashlib.sha256(identity).hexdigest()[:32]}"', "Cache-Control": UNCHANGING}
        return Response(body, headers=headers, media_type=media_type)


_SHOWN_AS_FEATURES: Final = {
    "triangles", "children", "polygon", "metadata", "geometry", "components", "hierarchy", "centroid", "bbox"
}  # fmt: skip
"""Of a result, what the features show; and `bbox`, which in GeoJSON is what the features span (RFC 7946 §5)."""
