"""The rules in force, and what the validators agree on for later (protocol.md §6)."""

from __future__ import annotations

from fastapi import APIRouter

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.models.upgrade import ApprovalEntry, KnownRules, UpgradeAnswer, UpgradeEntry
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.ledger.rules import RULES, known_versions
from step_node.ledger.upgrades import first_possible_height
from step_node.proofs.timestamps import format_timestamp


def upgrade_routes(services: ApiServices) -> APIRouter:
    """`/upgrade`; validators approve by `/validator/approve-upgrade` (`routes.validators`)."""
    routes = api_router("validators")

    @routes.get("/upgrade", summary="The rules in force, and those that come next", responses=refusals(*EVERYWHERE))
    async def upgrade() -> UpgradeAnswer:
        """Which version of the rules holds, what is agreed on for later, and who has approved what."""
        head = services.chain.head
        protocol, epoch_batches = head.protocol, head.parameters.epoch_batches
        return UpgradeAnswer(
            height=head.chain.height,
            in_force=UpgradeEntry.of(protocol.in_force),
            agreed=None if protocol.agreed is None else UpgradeEntry.of(protocol.agreed),
            approvals=[ApprovalEntry.of(vote) for vote in protocol.votes],
            first_possible_height=first_possible_height(head.chain.height + 1, epoch_batches),
            epoch_batches=epoch_batches,
            known=[
                KnownRules(protocol_version=version, summary=RULES[version].summary) for version in known_versions()
            ],
            timestamp=format_timestamp(services.clock.now_ms()),
        )

    return routes
