"""Questions about the mesh alone: pure geometry, answered without the ledger, the same for ever."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from mesh import EARTH_RADIUS_M, LEVEL_MAX, LEVEL_MIN
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.mesh.answering import GEOMETRY_RESPONSES, Answering
from step_node.api.mesh.models import (
    METRES_DECIMALS,
    ChildrenResult,
    ChildTriangle,
    FoundTriangle,
    MeshAnswer,
    NearestResult,
    NearTriangle,
    ParentResult,
    PolygonResult,
    SearchResult,
    geometry_of,
    metadata_of,
    place_of,
)
from step_node.api.mesh.parameters import (
    MAX_RESULTS_DEFAULT,
    NEAREST_DEFAULT,
    Bbox,
    Count,
    Cursor,
    IncludeMetadata,
    IncludePolygon,
    Latitude,
    Level,
    Longitude,
    MaxResults,
    TriangleIdText,
    parse_bbox,
    parse_cursor,
    parse_id,
)
from step_node.api.mesh.switched import unless_switched_off
from step_node.api.mesh.walking import nearest, page_in
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.proofs.proof import RefusalCode

_RESPONSES = {**GEOMETRY_RESPONSES, **refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE)}
_RESPONSES_OR_NONE = {
    **GEOMETRY_RESPONSES,
    **refusals(RefusalCode.TRIANGLE_NOT_FOUND, RequestCode.SWITCHED_OFF, *EVERYWHERE),
}
"""Of what not every triangle has."""


def geometry_routes(services: ApiServices) -> APIRouter:
    """The routes under `/mesh` that need no ledger."""
    routes = api_router("mesh", prefix="/mesh", dependencies=[unless_switched_off(services)])

    @routes.get(
        "/polygon/{id}",
        summary="A triangle's outline",
        response_model=MeshAnswer[PolygonResult],
        responses=_RESPONSES,
    )
    async def mesh_polygon(
        id_text: TriangleIdText, request: Request, include_metadata: IncludeMetadata = False
    ) -> Response:
        """A `Polygon`, or a `MultiPolygon` where the triangle crosses the antimeridian (RFC 7946 §3.1.9)."""
        triangle = parse_id(id_text)
        answering = Answering(request, services.clock)
        metadata = metadata_of(triangle) if include_metadata else None
        result = PolygonResult(triangle_id=triangle.text, polygon=geometry_of(triangle), metadata=metadata)
        if answering.is_geo_json:
            described = metadata or FoundTriangle(**place_of(triangle))
            return await answering.features(result, [(triangle, described)], never_changes=True)
        return answering.enveloped(result, never_changes=True)

    @routes.get(
        "/children/{id}",
        summary="The four triangles one level down",
        response_model=MeshAnswer[ChildrenResult],
        responses=_RESPONSES_OR_NONE,
    )
    async def mesh_children(
        id_text: TriangleIdText, request: Request, include_polygon: IncludePolygon = False
    ) -> Response:
        """They exist in the ledger only if they are seeded, or the triangle is subdivided."""
        triangle = parse_id(id_text)
        if triangle.level == LEVEL_MAX:
            raise ApiError(RefusalCode.TRIANGLE_NOT_FOUND, f"id: a triangle of level {LEVEL_MAX} has no children")
        answering = Answering(request, services.clock)
        children = [
            ChildTriangle(**place_of(child, include_polygon=include_polygon), child_index=index)
            for index, child in enumerate(triangle.children)
        ]
        result = ChildrenResult(parent=triangle.text, children=children)
        if answering.is_geo_json:
            described = list(zip(triangle.children, children, strict=True))
            return await answering.features(result, described, never_changes=True)
        return answering.enveloped(result, never_changes=True)

    @routes.get(
        "/parent/{id}",
        summary="The triangle one level up",
        response_model=MeshAnswer[ParentResult],
        responses=_RESPONSES_OR_NONE,
    )
    async def mesh_parent(id_text: TriangleIdText, request: Request) -> Response:
        """It holds the triangle, and three more."""
        triangle = parse_id(id_text)
        parent = triangle.parent
        if parent is None:
            raise ApiError(RefusalCode.TRIANGLE_NOT_FOUND, f"id: a triangle of level {LEVEL_MIN} has no parent")
        answering = Answering(request, services.clock)
        result = ParentResult(child=triangle.text, parent=parent.text)
        if answering.is_geo_json:
            described = FoundTriangle(**place_of(parent))
            return await answering.features(result, [(parent, described)], never_changes=True)
        return answering.enveloped(result, never_changes=True)

    @routes.get(
        "/search",
        summary="The triangles of a level that touch a box",
        response_model=MeshAnswer[SearchResult],
        responses=_RESPONSES,
    )
    async def mesh_search(
        bbox: Bbox,
        level: Level,
        request: Request,
        max_results: MaxResults = MAX_RESULTS_DEFAULT,
        include_polygon: IncludePolygon = False,
        cursor: Cursor = None,
    ) -> Response:
        """Pure geometry: they need not exist in the ledger. In the order of their ids, a page at a time."""
        sides, box = parse_bbox(bbox)
        start = parse_cursor(cursor)
        answering = Answering(request, services.clock)
        page = await page_in(box, level, start=start, limit=max_results, work=answering.work)
        found = [FoundTriangle(**place) async for place in answering.places(page.triangles, include_polygon)]
        result = SearchResult(
            bbox=sides,
            level=level,
            count=len(found),
            truncated=page.next is not None,
            next_cursor=None if page.next is None else page.next.text,
            triangles=found,
        )
        if answering.is_geo_json:
            described = list(zip(page.triangles, found, strict=True))
            return await answering.features(result, described, never_changes=True)
        return answering.enveloped(result, never_changes=True)

    @routes.get(
        "/nearest",
        summary="The triangles of a level that are nearest to a point",
        response_model=MeshAnswer[NearestResult],
        responses=_RESPONSES,
    )
    async def mesh_nearest(
        lat: Latitude,
        lon: Longitude,
        level: Level,
        request: Request,
        count: Count = NEAREST_DEFAULT,
        include_polygon: IncludePolygon = False,
    ) -> Response:
        """Nearness is the distance to the triangle itself: the first one holds the point. Pure geometry."""
        answering = Answering(request, services.clock)
        near = await nearest(lat, lon, level, within_m=EARTH_RADIUS_M * 4, limit=count, work=answering.work)
        triangles = [triangle for _, triangle in near]
        places = [place async for place in answering.places(triangles, include_polygon)]
        found = [
            NearTriangle(**place, distance=round(distance_m, METRES_DECIMALS))
            for place, (distance_m, _) in zip(places, near, strict=True)
        ]
        result = NearestResult(point=(lon, lat), level=level, count=len(found), triangles=found)
        if answering.is_geo_json:
            described = list(zip(triangles, found, strict=True))
            return await answering.features(result, described, never_changes=True)
        return answering.enveloped(result, never_changes=True)

    return routes
