"""What an operator can turn off of the routes under `/mesh`: all that only maps ask for."""

from __future__ import annotations

from typing import Final

from fastapi import Depends, Request, params

from step_node.api.services import ApiServices
from step_node.api.submissions.intake import refuse_if_off
from step_node.home.switches import Switch

TRIANGLE_AT: Final = "/mesh/triangleAt"
"""Whoever proves asks this first, so it stays."""


def unless_switched_off(services: ApiServices) -> params.Depends:
    """A dependency of these routes: it raises `ApiError` while the operator has turned maps off."""

    async def refuse(request: Request) -> None:
        if request.url.path != TRIANGLE_AT:
            refuse_if_off(services.switches, Switch.MAPS)

    dependency: params.Depends = Depends(refuse)
    return dependency
