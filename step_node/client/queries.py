"""What can be asked of a node: for each question its path, its parameters, and how the answer is read.

The map's questions are answered with the node's own `result` object, whose fields each node describes at `/docs`: a map
wants all of them. Latitudes and longitudes are degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from step_node.client.answers import Account, ActiveTriangle, Json
from step_node.client.exchange import Request
from step_node.client.position import Position

T = TypeVar("T")

Level: TypeAlias = int | Literal["active"]
"""1 to 21, or whichever level is active at each place."""

BoundingBox: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north, degrees; west is greater than east across the antimeridian."""


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """One question; `of` reads its answer, and may raise KeyError, TypeError and ValueError."""

    of: Callable[[Json], T]
    path: str
    parameters: Mapping[str, object] = field(default_factory=dict)

    @property
    def request(self) -> Request:
        """As it is sent. Parameters that are None are left out."""
        return Request("GET", self.path, {name: _text(one) for name, one in self.parameters.items() if one is not None})


def whole(path: str, parameters: Mapping[str, object] | None = None) -> Query[Json]:
    """Any path, answered with the whole object."""
    return Query(lambda answer: answer, path, parameters or {})


def account(address: str) -> Query[Account]:
    """An account's balance, and more."""
    return Query(Account.of, f"/account/{_segment(address)}")


def account_proofs(address: str, *, limit: int | None = None, before: str | None = None) -> Query[Json]:
    """A page of an account's final proofs, newest first: `proofs`, and `nextCursor` for `before`."""
    return whole(f"/account/{_segment(address)}/proofs", {"limit": limit, "before": before})


def triangle(triangle_id: str) -> Query[Json]:
    """A triangle that exists: its state, clicks and reward."""
    return whole(f"/triangle/{_segment(triangle_id)}")


def batch(height: int) -> Query[Json]:
    """A finalised batch."""
    return whole(f"/batch/{int(height)}")


def proof_status(proof_id: str) -> Query[Json]:
    """What became of a proof, by its `status`."""
    return whole(f"/proof/status/{_segment(proof_id)}")


def operation(operation_id: str) -> Query[Json]:
    """What became of a transfer, or another operation, by its `status`."""
    return whole(f"/operation/{_segment(operation_id)}")


def receipt(proof_id: str) -> Query[Json]:
    """What shows to whoever has the genesis file that a proof is final, and what it earned."""
    return whole(f"/proof/{_segment(proof_id)}/receipt")


def triangle_at(lat: float, lon: float, level: Level, *, include_polygon: bool | None = None) -> Query[Json]:
    """The triangle that holds a point."""
    return _result("/mesh/triangleAt", {**_point(lat, lon), "level": level, "includePolygon": include_polygon})


def active_triangle(lat: float, lon: float) -> Query[ActiveTriangle]:
    """The active triangle that holds a point, in one request."""
    return Query(ActiveTriangle.of, "/mesh/triangleAt", {**_point(lat, lon), "level": "active"})


def polygon(triangle_id: str, *, include_metadata: bool | None = None) -> Query[Json]:
    """A triangle's outline, and with `include_metadata` its area, perimeter and centroid."""
    return _result(f"/mesh/polygon/{_segment(triangle_id)}", {"includeMetadata": include_metadata})


def children(triangle_id: str) -> Query[Json]:
    """The four triangles in it."""
    return _result(f"/mesh/children/{_segment(triangle_id)}")


def parent(triangle_id: str) -> Query[Json]:
    """The triangle around it."""
    return _result(f"/mesh/parent/{_segment(triangle_id)}")


def info(triangle_id: str) -> Query[Json]:
    """All that is known of a triangle."""
    return _result(f"/mesh/info/{_segment(triangle_id)}")


def search(
    bbox: BoundingBox, level: int, *, max_results: int | None = None, include_polygon: bool | None = None
) -> Query[Json]:
    """The triangles of a level that meet a box."""
    parameters = {"bbox": _box(bbox), "level": level, "maxResults": max_results, "includePolygon": include_polygon}
    return _result("/mesh/search", parameters)


def nearest(lat: float, lon: float, level: int, *, count: int | None = None) -> Query[Json]:
    """The triangles of a level whose centroids are nearest to a point."""
    return _result("/mesh/nearest", {**_point(lat, lon), "level": level, "count": count})


def nearby(lat: float, lon: float, radius_m: float, level: Level, *, account: str | None = None) -> Query[Json]:
    """The triangles within `radius_m` metres; with `account` also whether, and from when on, it may prove there."""
    return _result("/mesh/nearby", {**_point(lat, lon), "radius_m": radius_m, "level": level, "account": account})


def active(*, bbox: BoundingBox | None = None, level: int | None = None) -> Query[Json]:
    """The triangles that can be proven in now, those that cover a box or those of a level."""
    return _result("/mesh/active", {"bbox": None if bbox is None else _box(bbox), "level": level})


def mesh_stats(*, level: int | None = None) -> Query[Json]:
    """How many triangles of a level are untouched, active, subdivided and exhausted."""
    return _result("/mesh/stats", {"level": level})


def _result(path: str, parameters: Mapping[str, object] | None = None) -> Query[Json]:
    def of(answer: Json) -> Json:
        result = answer["result"]
        if not isinstance(result, dict):
            raise TypeError("result")
        return result

    return Query(of, path, parameters or {})


def _point(lat: float, lon: float) -> dict[str, object]:
    """As it is signed: to 7 decimals."""
    at = Position(lat, lon, 1.0).rounded()
    return {"lat": at.lat, "lon": at.lon}


def _box(bbox: BoundingBox) -> str:
    west, south, east, north = bbox
    return ",".join(_number(degrees) for degrees in (west, south, east, north))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(_text(one) for one in value)
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    """Plain digits: `repr` of a small number has an exponent, and of a whole one a `.0`."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _segment(value: Any) -> str:
    """A path's segment: what a caller hands in stays within it."""
    return quote(str(value), safe=":")
