"""What is checked after every batch, and how that stands."""

from __future__ import annotations

from fastapi import APIRouter

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import RequestCode
from step_node.api.models.guardrails import GuardrailEntry, GuardrailsAnswer
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.api.submissions.intake import refuse_if_off
from step_node.home.switches import Switch
from step_node.proofs.timestamps import format_timestamp


def guardrail_routes(services: ApiServices) -> APIRouter:
    """`/guardrails`."""
    routes = api_router("node")

    @routes.get(
        "/guardrails",
        summary="What is checked after every batch",
        responses=refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE),
    )
    async def guardrails() -> GuardrailsAnswer:
        """Each with its figure and its bound, and since when it is broken, by this node's own reckoning."""
        refuse_if_off(services.switches, Switch.GUARDRAILS)
        return GuardrailsAnswer(
            height=services.chain.head.chain.height,
            guardrails=[GuardrailEntry.of(reading) for reading in services.guardrails()],
            intake_percent=services.switches.intake_percent,
            timestamp=format_timestamp(services.clock.now_ms()),
        )

    return routes
