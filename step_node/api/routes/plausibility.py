"""How plausible the final proofs of an account, or in a triangle, are: signals that decide nothing, with figures."""

from __future__ import annotations

from typing import TypedDict

from fastapi import APIRouter
from pydantic.alias_generators import to_camel

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.models.plausibility import (
    AccountPlausibilityAnswer,
    PlausibilityReason,
    RegionReasonEntry,
    TrianglePlausibilityAnswer,
)
from step_node.api.models.schema import hex_text
from step_node.api.routes.ledger import Address, TriangleIdText, parse_triangle
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.api.submissions.intake import refuse_if_off
from step_node.economy.plausibility import IMPLAUSIBLE_BPS
from step_node.economy.trends import PeriodSignals
from step_node.explanations.details import Details
from step_node.home.switches import Switch
from step_node.offload import run_blocking
from step_node.proofs.proof import RefusalCode
from step_node.proofs.timestamps import format_timestamp


class _OfAPeriod(TypedDict):
    period_begins_at: str
    is_complete: bool
    complete_from_height: int | None


def plausibility_routes(services: ApiServices) -> APIRouter:
    """`/plausibility/accounts/{address}` and `/plausibility/triangles/{id}`."""
    routes = api_router("ledger", prefix="/plausibility")
    responses = refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE)

    def present() -> tuple[PeriodSignals, _OfAPeriod]:
        refuse_if_off(services.switches, Switch.PLAUSIBILITY)
        # With that off, nothing is computed.
        refuse_if_off(services.switches, Switch.TRENDING)
        found = services.trends.signals
        if found is None:
            raise ApiError(
                RefusalCode.NOT_READY,
                "this node is still computing the signals of plausibility; ask again in some seconds, or another node",
                details=Details(gate="economy"),
            )
        return found, {
            "period_begins_at": format_timestamp(found.begins_ms),
            "is_complete": found.is_complete,
            "complete_from_height": None if found.is_complete else found.complete_from_height,
        }

    @routes.get("/accounts/{address}", summary="How plausible an account's proofs are", responses=responses)
    async def account_plausibility(address: Address) -> AccountPlausibilityAnswer:
        """What the signals say of its final proofs of the last 48 hours, with their figures. An account without any has
        a score of 0 and no reasons."""
        of_period, common = present()
        key = bytes.fromhex(address[2:])
        score = of_period.signals.account(key)
        return AccountPlausibilityAnswer(
            account=hex_text(key),
            proofs=score.proofs,
            implausibility_bps=score.implausibility_bps,
            is_implausible=score.implausibility_bps >= IMPLAUSIBLE_BPS,
            reasons=[
                PlausibilityReason(
                    signal=reason.signal,
                    strength_bps=reason.strength_bps,
                    weight_bps=reason.weight_bps,
                    figures={to_camel(name): figure for name, figure in reason.figures.items()},
                )
                for reason in score.reasons
            ],
            **common,
        )

    @routes.get("/triangles/{id}", summary="How plausible the proofs in a triangle are", responses=responses)
    async def triangle_plausibility(id_text: TriangleIdText) -> TrianglePlausibilityAnswer:
        """What the signals say of the accounts with a final proof in it in the last 48 hours. Any triangle of any level
        may be asked for, whether it exists in the ledger or not."""
        of_period, common = present()
        triangle_id = parse_triangle(id_text)
        score = await run_blocking(of_period.signals.region, triangle_id)
        return TrianglePlausibilityAnswer(
            triangle_id=triangle_id.text,
            proofs=score.proofs,
            accounts=score.accounts,
            implausible_accounts=score.implausible_accounts,
            implausibility_bps=score.implausibility_bps,
            reasons=[
                RegionReasonEntry(
                    signal=reason.signal,
                    accounts=reason.accounts,
                    strength_bps=reason.strength_bps,
                    weight_bps=reason.weight_bps,
                )
                for reason in score.reasons
            ],
            **common,
        )

    return routes
