"""Questions about the mesh as it stands in the ledger. Each answer is of one snapshot of the state."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from mesh import EARTH_RADIUS_M, LEVEL_MAX, LEVEL_MIN, TriangleId, locate
from step_node.amounts import step_text
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.mesh.answering import GEOMETRY_RESPONSES, MESH_RESPONSES, Answering
from step_node.api.mesh.mining import may_mine_from_ms
from step_node.api.mesh.models import (
    METRES_DECIMALS,
    ActiveResult,
    Components,
    Hierarchy,
    InfoResult,
    LedgerTriangle,
    LevelStats,
    Measures,
    MeshAnswer,
    NearbyResult,
    NearbyTriangle,
    State,
    StatsResult,
    TriangleAtResult,
    geometry_of,
    mean_side_m,
    metadata_of,
    point_of,
)
from step_node.api.mesh.parameters import (
    ACTIVE,
    MAX_RESULTS_DEFAULT,
    NEARBY_DEFAULT,
    Cursor,
    IncludePolygon,
    Latitude,
    LevelOrActive,
    Longitude,
    MaxResults,
    OptionalAccount,
    OptionalBbox,
    OptionalLevel,
    RadiusM,
    TriangleIdText,
    parse_bbox,
    parse_cursor,
    parse_id,
    parse_level_or_active,
    refused,
)
from step_node.api.mesh.standing import Around, Wanted, active_around, active_page, existing, level_around
from step_node.api.mesh.switched import unless_switched_off
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.chain.active_triangle import Column, column_at
from step_node.explanations.details import Details
from step_node.ledger.level_counts import CountsByLevel, LevelCounts, existing_triangles, mesh_triangles
from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.records import Account, Triangle, TriangleState
from step_node.ledger.rules import next_reward_ustep, rules_of
from step_node.ledger.state_gates import clicks_max
from step_node.parameters import Parameters
from step_node.proofs.proof import RefusalCode
from step_node.proofs.timestamps import format_timestamp

_STATES: Final[dict[TriangleState, State]] = {
    TriangleState.ACTIVE: "active",
    TriangleState.SUBDIVIDED: "subdivided",
    TriangleState.EXHAUSTED: "exhausted",
}
_RESPONSES = {**MESH_RESPONSES, **refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE)}


def ledger_mesh_routes(services: ApiServices) -> APIRouter:
    """The routes under `/mesh` that read the ledger."""
    routes = api_router("mesh", prefix="/mesh", dependencies=[unless_switched_off(services)])
    storage = services.chain.storage.for_strangers()
    parameters = services.chain.parameters

    def standing_of(record: Triangle) -> dict[str, Any]:
        return {
            "state": _STATES[record.state],
            "clicks": record.clicks,
            "reward": step_text(next_reward_ustep(services.chain.head.protocol, record)),
        }

    @routes.get(
        "/triangleAt",
        summary="The triangle that holds a point",
        response_model=MeshAnswer[TriangleAtResult],
        responses={**GEOMETRY_RESPONSES, **refusals(RefusalCode.TRIANGLE_EXHAUSTED, *EVERYWHERE)},
    )
    async def triangle_at(
        lat: Latitude,
        lon: Longitude,
        level: LevelOrActive,
        request: Request,
        include_polygon: IncludePolygon = False,
    ) -> Response:
        """Exactly one triangle of each level holds a point: the same that the validators find (protocol.md §1). With
        `level=active` it is the one to prove in: the largest that is active, with its state."""
        number = parse_level_or_active(level)
        standing: dict[str, Any] = {}
        if number is None:
            column = await column_at(storage, lat, lon)
            active = column.active
            if active is None:
                raise _used_up(column)
            triangle, standing = active.triangle, standing_of(active.record)
        else:
            triangle = locate(lat, lon, number)
        answering = Answering(request, services.clock)
        result = TriangleAtResult(
            triangle_id=triangle.text,
            face=triangle.face,
            level=triangle.level,
            path=list(triangle.digits),
            centroid=point_of(triangle),
            estimated_side_length=mean_side_m(triangle),
            polygon=geometry_of(triangle) if include_polygon else None,
            **standing,
        )
        if answering.is_geo_json:
            return await answering.features(result, [(triangle, result)], never_changes=number is not None)
        return answering.enveloped(result, never_changes=number is not None)

    @routes.get(
        "/info/{id}",
        summary="All about a triangle",
        response_model=MeshAnswer[InfoResult],
        responses=_RESPONSES,
    )
    async def mesh_info(id_text: TriangleIdText, request: Request) -> Response:
        """Its geometry and relations, and how it stands in the ledger."""
        triangle = parse_id(id_text)
        parent = triangle.parent
        found = await existing(storage, triangle, parameters.seeded_level)
        metadata = metadata_of(triangle)
        result = InfoResult(
            triangle_id=triangle.text,
            components=Components(face=triangle.face, level=triangle.level, path=list(triangle.digits)),
            geometry=Measures(
                polygon=geometry_of(triangle),
                centroid=metadata.centroid,
                area=metadata.area,
                perimeter=metadata.perimeter,
                estimated_side_length=mean_side_m(triangle),
            ),
            hierarchy=Hierarchy(
                parent=None if parent is None else parent.text,
                children=None if triangle.level == LEVEL_MAX else [child.text for child in triangle.children],
            ),
            exists=found is not None,
            **standing_of(found or Triangle(triangle.integer)) | ({} if found else {"state": None}),
        )
        answering = Answering(request, services.clock)
        if answering.is_geo_json:
            return await answering.features(result, [(triangle, result)])
        return answering.enveloped(result)

    @routes.get(
        "/nearby",
        summary="The triangles around a point, as they stand",
        response_model=MeshAnswer[NearbyResult],
        responses=_RESPONSES,
    )
    async def mesh_nearby(
        lat: Latitude,
        lon: Longitude,
        radius_m: RadiusM,
        level: LevelOrActive,
        request: Request,
        account: OptionalAccount = None,
        max_results: MaxResults = NEARBY_DEFAULT,
        include_polygon: IncludePolygon = False,
    ) -> Response:
        """The nearest first: those of a level that exist; or with `level=active` the active ones, from `SEEDED_LEVEL`
        on, of which each place has one at most. With `account` also whether and from when on it may prove there, by
        what is final."""
        number = parse_level_or_active(level)
        answering = Answering(request, services.clock)
        around = Around(lat, lon, radius_m, max_results, None if account is None else bytes.fromhex(account[2:]))
        seeded_level = parameters.seeded_level
        if number is None:
            found = await active_around(storage, around, seeded_level, answering.work)
        else:
            found = await level_around(storage, around, number, seeded_level, answering.work)
        triangles = [TriangleId.from_int(record.id) for _, record in found.nearest]
        places = [place async for place in answering.places(triangles, include_polygon)]
        now_ms = services.clock.now_ms()
        shown = [
            NearbyTriangle(
                **place,
                **standing_of(record),
                distance=round(distance_m, METRES_DECIMALS),
                **({} if account is None else _mining(found.account, record, now_ms, parameters)),
            )
            for place, (distance_m, record) in zip(places, found.nearest, strict=True)
        ]
        result = NearbyResult(
            point=(lon, lat),
            radius_m=radius_m,
            level=ACTIVE if number is None else number,
            count=len(shown),
            truncated=found.complete_within_m < radius_m,
            complete_within_m=round(found.complete_within_m, METRES_DECIMALS),
            triangles=shown,
        )
        if answering.is_geo_json:
            return await answering.features(result, list(zip(triangles, shown, strict=True)))
        return answering.enveloped(result)

    @routes.get(
        "/active",
        summary="Active triangles of a box, or of a level",
        response_model=MeshAnswer[ActiveResult],
        responses=_RESPONSES,
    )
    async def mesh_active(
        request: Request,
        bbox: OptionalBbox = None,
        level: OptionalLevel = None,
        max_results: MaxResults = MAX_RESULTS_DEFAULT,
        include_polygon: IncludePolygon = False,
        cursor: Cursor = None,
    ) -> Response:
        """With `bbox` those that touch it, from `SEEDED_LEVEL` on, of which each place has one at most; with `level`
        those of the level; with both, those of the level that touch the box. In the order of their ids."""
        if bbox is None and level is None:
            raise refused("bbox, level: give one of them, or both")
        sides, box = (None, None) if bbox is None else parse_bbox(bbox)
        answering = Answering(request, services.clock)
        wanted = Wanted(box, level, parse_cursor(cursor), max_results)
        records, following = await active_page(storage, wanted, parameters.seeded_level, answering.work)
        triangles = [TriangleId.from_int(record.id) for record in records]
        places = [place async for place in answering.places(triangles, include_polygon)]
        shown = [LedgerTriangle(**place, **standing_of(record)) for place, record in zip(places, records, strict=True)]
        result = ActiveResult(
            bbox=sides,
            level=level,
            count=len(shown),
            truncated=following is not None,
            next_cursor=None if following is None else following.text,
            triangles=shown,
        )
        if answering.is_geo_json:
            return await answering.features(result, list(zip(triangles, shown, strict=True)))
        return answering.enveloped(result)

    @routes.get(
        "/stats",
        summary="What has happened at each level",
        response_model=MeshAnswer[LevelStats | StatsResult],
        responses=refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE),
    )
    async def mesh_stats(request: Request, level: OptionalLevel = None) -> Response:
        """Of one level, or of all. The figures are kept as batches are finalised: nothing is counted when you ask."""
        counts = await storage.level_counts()
        levels = range(LEVEL_MIN, LEVEL_MAX + 1) if level is None else (level,)
        protocol = services.chain.head.protocol
        found = [_stats(one, counts, parameters.seeded_level, protocol) for one in levels]
        return Answering(request, services.clock).enveloped(found[0] if level else StatsResult(levels=found))

    return routes


def _mining(account: Account | None, record: Triangle, now_ms: int, parameters: Parameters) -> dict[str, Any]:
    if record.state is not TriangleState.ACTIVE:
        return {"may_mine": False}
    from_ms = may_mine_from_ms(account, TriangleId.from_int(record.id), parameters)
    return {"may_mine": from_ms <= now_ms, "may_mine_from": format_timestamp(max(from_ms, now_ms))}


def _stats(level: int, counts: CountsByLevel, seeded_level: int, protocol: ProtocolRecord) -> LevelStats:
    of_level = counts.get(level, LevelCounts())
    total = existing_triangles(level, counts, seeded_level)
    mean_area_m2 = 4 * pi * EARTH_RADIUS_M**2 / mesh_triangles(level)
    return LevelStats(
        level=level,
        triangle_count=mesh_triangles(level),
        total=total,
        touched=of_level.touched,
        active=total - of_level.subdivided - of_level.exhausted,
        subdivided=of_level.subdivided,
        exhausted=of_level.exhausted,
        clicks=of_level.clicks,
        reward=step_text(rules_of(protocol).proof_reward_ustep(level, 1)),
        # Of an equilateral triangle with that area.
        estimated_side_length=round(sqrt(4 * mean_area_m2 / sqrt(3)), METRES_DECIMALS),
    )


def _used_up(column: Column) -> ApiError:
    last = column.standings[-1].record
    return ApiError(
        RefusalCode.TRIANGLE_EXHAUSTED,
        f"level: no triangle is active here: level {LEVEL_MAX} is used up",
        details=Details(
            field="level",
            value=last.clicks,
            limit=clicks_max(LEVEL_MAX),
            unit="clicks",
            state=_STATES[last.state],
        ),
    )
