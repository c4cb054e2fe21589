"""Questions about the mesh alone: pure geometry, answered without the ledger."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from shapely.geometry import mapping

from mesh import LEVEL_MAX, LEVEL_MIN, locate, outline
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.models_ledger import TriangleAtAnswer, TriangleAtResult
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.proofs.timestamps import format_timestamp

Latitude = Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, description="Degrees.", examples=[47.3769])]
Longitude = Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, description="Degrees.", examples=[8.5417])]
Level = Annotated[int, Query(ge=LEVEL_MIN, le=LEVEL_MAX, description="1 (largest) to 21.", examples=[10])]
IncludePolygon = Annotated[bool, Query(alias="includePolygon", description="Also give its outline as GeoJSON.")]


def mesh_routes(services: ApiServices) -> APIRouter:
    """The routes under `/mesh`."""
    routes = api_router("mesh", prefix="/mesh")

    @routes.get(
        "/triangleAt",
        summary="The triangle that holds a point",
        responses=refusals(*EVERYWHERE),
        response_model_exclude_none=True,
    )
    async def triangle_at(
        lat: Latitude, lon: Longitude, level: Level, include_polygon: IncludePolygon = False
    ) -> TriangleAtAnswer:
        """Exactly one triangle of each level holds a point: the same that the validators find (protocol.md §1)."""
        triangle = locate(lat, lon, level)
        return TriangleAtAnswer(
            result=TriangleAtResult(
                triangle_id=triangle.text,
                level=triangle.level,
                polygon=mapping(outline(triangle)) if include_polygon else None,
            ),
            timestamp=format_timestamp(services.clock.now_ms()),
        )

    return routes
