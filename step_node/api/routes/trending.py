"""What trends (docs/trending.md)."""

from __future__ import annotations

from math import cos
from typing import Annotated, Final

from blake3 import blake3
from fastapi import APIRouter, Query, Request, Response

from mesh import EARTH_RADIUS_M, LEVEL_MAX, LEVEL_MIN, Box
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.mesh.parameters import OptionalBbox, OptionalLevel, parse_bbox
from step_node.api.middleware.as_of import AS_OF_HEIGHT
from step_node.api.models.trending import TrendingAnswer, TrendingTriangle
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import MESH_LOOK_COST_MS, TRENDING_COST_MS_PER_MILLION_ROWS
from step_node.api.services import ApiServices
from step_node.api.submissions.intake import refuse_if_off
from step_node.economy.columns import HALF_LIFE_MS, WINDOW_MS
from step_node.economy.trends import TOUCHING_LOOKS_MAX, TRENDING_MAX, Area
from step_node.home.switches import Switch
from step_node.proofs.proof import RefusalCode
from step_node.proofs.timestamps import format_timestamp

LEVEL_DEFAULT: Final = 8
"""Where no box is given: triangles some 60 km wide."""

LIMIT_DEFAULT: Final = 20

ACROSS: Final = 32
"""Triangles that lie across a box, at least, at the level that is taken for it."""

FACE_SIDE_M: Final = 7_053_000.0
"""Of a triangle of level 1, about; at each further level half of it."""

_RESPONSES: Final = {
    304: {"description": "It is the one that `If-None-Match` names."},
    **refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE),
}

Limit = Annotated[int, Query(ge=1, le=TRENDING_MAX, description="How many triangles at most.")]


def trending_routes(services: ApiServices) -> APIRouter:
    """`/trending`."""
    routes = api_router("ledger")
    trends = services.trends

    @routes.get("/trending", summary="What trends", response_model=TrendingAnswer, responses=_RESPONSES)
    async def trending(
        request: Request, level: OptionalLevel = None, bbox: OptionalBbox = None, limit: Limit = LIMIT_DEFAULT
    ) -> Response:
        """The triangles of a level with the highest scores, everywhere or of those that touch a box, with each part of
        each score. Without a `level` it is one at which some 32 triangles lie across the box, or 8."""
        refuse_if_off(services.switches, Switch.TRENDING)
        area = None
        if bbox is not None:
            _, box = parse_bbox(bbox)
            area, level = Area(bbox, box), level or level_for(box)
        level = level or LEVEL_DEFAULT
        at = trends.now()
        if at is None:
            raise ApiError(
                RefusalCode.NOT_READY, "the node still reads the proofs of the last two days; ask again in some seconds"
            )
        if not trends.is_known(at, level, area):
            # Who draws a strip through many triangles has as many as may be looked at in vain.
            looks = 0 if area is None else min(at.rows, TOUCHING_LOOKS_MAX)
            cost_ms = at.rows * TRENDING_COST_MS_PER_MILLION_ROWS / 1_000_000 + looks * MESH_LOOK_COST_MS
            await bill_of(request.scope)["charge"](cost_ms)
        found = await trends.top(at, level, area)
        answer = TrendingAnswer(
            height=at.height,
            timestamp=format_timestamp(at.batch_time_ms) if at.height else None,
            level=level,
            half_life_ms=HALF_LIFE_MS,
            window_ms=WINDOW_MS,
            is_complete=at.is_complete,
            complete_from_height=None if at.is_complete else at.complete_from_height,
            triangles=[TrendingTriangle.of(region) for region in found[:limit]],
        )
        body = answer.model_dump_json(by_alias=True).encode()
        headers = {"ETag": f'"{blake3(body).hexdigest(length=16)}"', AS_OF_HEIGHT: str(at.height)}
        return Response(body, headers=headers, media_type="application/json")

    return routes


def level_for(box: Box) -> int:
    """The first level at which at least `ACROSS` triangles lie across the longer side of a box."""
    middle = (box.south + box.north) / 2
    across_m = EARTH_RADIUS_M * max(box.north - box.south, box.width * cos(middle)) / ACROSS
    level, side_m = LEVEL_MIN, FACE_SIDE_M
    while level < LEVEL_MAX and side_m > across_m:
        level, side_m = level + 1, side_m / 2
    return level
