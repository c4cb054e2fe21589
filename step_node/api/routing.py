"""Routers whose routes are found quickly.

FastAPI asks one route after another, each by its regular expression, and keeps included routers apart: with forty
routes that takes longer than to answer. So all routes stand in one list, and each looks at the beginning of a path
before anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, params
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from step_node.api.parameters import known_parameters_only


class QuickRoute(APIRoute):
    """A route that most paths are no match for at a glance."""

    def __init__(self, path: str, *arguments: Any, **settings: Any) -> None:
        super().__init__(path, *arguments, **settings)
        self._beginning = path.partition("{")[0]
        self._is_whole = self._beginning == path
        self.reserved: frozenset[str] = frozenset()
        """Paths that are routes of their own: `/account/transfer` is no account."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette's, whose words these are."""
        path: str = scope["path"]
        if self._is_whole:
            is_elsewhere = path != self._beginning
        else:
            is_elsewhere = not path.startswith(self._beginning) or path in self.reserved
        if is_elsewhere:
            return Match.NONE, {}
        return super().matches(scope)


def api_router(tag: str, *, prefix: str = "", dependencies: Sequence[params.Depends] = ()) -> APIRouter:
    """A router whose routes refuse parameters that they do not know, and depend on these besides."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=QuickRoute,
        dependencies=[Depends(known_parameters_only), *dependencies],
        # Client generators name their methods after this.
        generate_unique_id_function=lambda route: route.name,
    )


def add_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Give `app` the routes of routers made by `api_router`, which need nothing more of it."""
    routes = [route for router in routers for route in router.routes]
    quick = [route for route in routes if isinstance(route, QuickRoute)]
    reserved = frozenset(route.path for route in quick if "{" not in route.path)
    for route in quick:
        route.reserved = reserved
    app.router.routes.extend(routes)
