"""Who got how much in an epoch, and how evenly (docs/fairness.md)"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.histories.cursor import encode_cursor
from step_node.api.histories.pages import PAGE_DEFAULT, Before, Limit, PageAsked
from step_node.api.middleware.caching import FINAL_HERE
from step_node.api.models.fairness import FairnessDriftAnswer, FairnessEpoch, FairnessListAnswer
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import SENDING_COST_MS_PER_KIB
from step_node.api.services import ApiServices
from step_node.api.submissions.intake import refuse_if_off
from step_node.economy.fairness.drift import compared_with
from step_node.economy.fairness.fold import epoch_of, heights_of
from step_node.economy.fairness.kept import KeptReport, Lacking
from step_node.economy.fairness.report import FairnessReport
from step_node.explanations.details import Details
from step_node.home.switches import Switch
from step_node.proofs.timestamps import format_timestamp

EPOCH_MAX: Final = 2**62
"""Beyond every height, and so far below what a store takes that an epoch can be counted on from it."""

Epoch = Annotated[int, Path(ge=1, le=EPOCH_MAX, description="The first one ends at height `epochBatches`.")]

_UNCHANGED: Final = {"description": "It is the one that `If-None-Match` names."}


def fairness_routes(services: ApiServices) -> APIRouter:
    """The list of reports, and each of them."""
    routes = api_router("ledger")
    reporter = services.fairness
    epoch_batches = services.chain.parameters.epoch_batches

    @routes.get(
        "/fairness",
        summary="How evenly the last epochs paid",
        responses=refusals(RequestCode.SWITCHED_OFF, *EVERYWHERE),
    )
    async def fairness_list(limit: Limit = PAGE_DEFAULT, before: Before = None) -> FairnessListAnswer:
        """The headline figures of each epoch that has a report on this node, and how far they are from those before."""
        refuse_if_off(services.switches, Switch.FAIRNESS)
        asked = PageAsked.of(limit, before, None)
        last = EPOCH_MAX if asked.before is None else asked.before[0]
        found = await reporter.headlines(before=last, limit=limit + 1)
        told = (await reporter.with_drift(found))[:limit]
        running = epoch_of(services.chain.next_height, epoch_batches)
        return FairnessListAnswer(
            epochs=[FairnessEpoch.with_drift(headline, drift) for headline, drift in told],
            next_cursor=encode_cursor(told[-1][0].epoch, 0) if len(found) > limit else None,
            epoch_batches=epoch_batches,
            running_epoch=running,
            running_ends_at=heights_of(running, epoch_batches)[1],
            timestamp=format_timestamp(services.clock.now_ms()),
        )

    @routes.get(
        "/fairness/{epoch}",
        summary="Who got how much in an epoch",
        response_model=FairnessReport,
        responses={
            200: {"description": "The report, whose SHA-256 is its `reportHash`."},
            304: _UNCHANGED,
            **refusals(RequestCode.REPORT_NOT_FOUND, RequestCode.SWITCHED_OFF, *EVERYWHERE),
        },
    )
    async def fairness_report(request: Request, epoch: Epoch) -> Response:
        """The report's canonical JSON (RFC 8785), and nothing else: wherever it is given, it is the same bytes.

        Made of the epoch's batches and their receipts alone, so that whoever has them makes the same report. `ETag` is
        its SHA-256.
        """
        refuse_if_off(services.switches, Switch.FAIRNESS)
        report = await reporter.report(epoch)
        if report is None or not report.canonical_json:
            raise _not_found(epoch, report, await reporter.first_epoch())
        # Of a thousand validators it has 250 KB.
        await bill_of(request.scope)["charge"](SENDING_COST_MS_PER_KIB * len(report.canonical_json) / 1024)
        return _final(report.canonical_json, f"0x{report.hash.hex()}")

    @routes.get(
        "/fairness/{epoch}/drift",
        summary="How far an epoch is from those before it",
        response_model=FairnessDriftAnswer,
        responses={
            304: _UNCHANGED,
            **refusals(RequestCode.REPORT_NOT_FOUND, RequestCode.SWITCHED_OFF, *EVERYWHERE),
        },
    )
    async def fairness_drift(epoch: Epoch) -> Response:
        """Made of the reports of the epoch and of the ten before it. A node that lacks one of them tells no drift, so
        that all that do tell the same; the message says which report is its first.
        """
        refuse_if_off(services.switches, Switch.FAIRNESS)
        drift = await reporter.drift_of_epoch(epoch)
        if drift is None:
            report, first = await reporter.report(epoch), await reporter.first_epoch()
            if report is None or not report.canonical_json:
                raise _not_found(epoch, report, first)
            raise _drift_not_found(epoch, first)
        answer = FairnessDriftAnswer.of(epoch, drift).model_dump_json(by_alias=True).encode()
        return _final(answer, hashlib.sha256(answer).hexdigest())

    def _not_found(epoch: int, kept: KeptReport | None, first: int | None) -> ApiError:
        first_height, last_height = heights_of(epoch, epoch_batches)
        head = services.chain.head.chain.height
        details = Details(value=epoch, limit=first, unit="epoch")
        if not reporter.makes_reports:
            reason = f"this chain has no reports: its epochs have {epoch_batches} batches, too many for one"
        elif kept is not None and kept.lacking is Lacking.TOO_MANY_ACCOUNTS:
            reason = f"{epoch} has no report on any node: too many accounts were paid in it"
        elif kept is not None and kept.lacking is Lacking.UNSOUND:
            reason = f"{epoch} has no report: what its receipts say cannot be; ask /guardrails what the ledger has done"
        elif last_height > head:
            reason = (
                f"{epoch} has not ended yet: it has the heights {first_height} to {last_height}, the last is {head}"
            )
            details = Details(value=epoch, limit=head // epoch_batches, unit="epoch", retryable=True)
        elif reporter.is_to_come(epoch):
            reason = f"{epoch} has ended, and its report is being made; ask again in some seconds"
            details = Details(value=epoch, limit=first or 0, unit="epoch", retryable=True)
        else:
            has = "has none yet" if first is None else f"has them from epoch {first} on"
            reason = f"{epoch} has no report on this node, which {has}; ask one that has followed the chain for longer"
        return ApiError(RequestCode.REPORT_NOT_FOUND, f"epoch: {reason}", details=details)

    return routes


def _final(body: bytes, tag: str) -> Response:
    headers = {"ETag": f'"{tag}"', "Cache-Control": FINAL_HERE}
    return Response(body, headers=headers, media_type="application/json")


def _drift_not_found(epoch: int, first: int | None) -> ApiError:
    compared = compared_with(epoch)
    reason = (
        f"the drift of {epoch} is told by who has the reports of {compared[0]} to {epoch}, and this node lacks one of"
        f" them: its first is that of {first}; ask one that has followed the chain for longer"
    )
    details = Details(value=epoch, limit=first, unit="epoch")
    return ApiError(RequestCode.REPORT_NOT_FOUND, f"epoch: {reason}", details=details)
