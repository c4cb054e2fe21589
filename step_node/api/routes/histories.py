"""What has been finalised, page by page: the proofs of an account and of a triangle, and the batches."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from step_node.api.batches.answers import BatchAnswers
from step_node.api.batches.summaries import BatchPruned, BatchSummaries
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.histories.pages import PAGE_DEFAULT, After, Before, Limit, PageAsked
from step_node.api.histories.proofs_csv import CSV_ROWS_MAX, ProofsCsv
from step_node.api.models.ledger import BatchAnswer, BatchEntry, BatchesAnswer
from step_node.api.models.proofs import AccountProofs, HistoryEntry, TriangleProofEntry, TriangleProofs
from step_node.api.models.schema import hex_text
from step_node.api.routes.ledger import HEIGHT_MAX, Address, TriangleIdText, parse_triangle
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.services import ApiServices
from step_node.batch.summary import BatchSummary
from step_node.explanations.details import Details
from step_node.storage.interface import FinalisedProof, Place

_CSV: Final = {
    "description": "A line of names, then a line for each proof (RFC 4180).",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}


def history_routes(services: ApiServices) -> APIRouter:
    """The routes of listings."""
    routes = api_router("ledger")
    storage = services.chain.storage.for_strangers()
    summaries = BatchSummaries(storage)
    batch_answers = BatchAnswers(storage)

    @routes.get(
        "/account/{address}/proofs",
        summary="An account's finalised proofs",
        responses=refusals(*EVERYWHERE),
    )
    async def account_proofs(
        address: Address, limit: Limit = PAGE_DEFAULT, before: Before = None, after: After = None
    ) -> AccountProofs:
        """Newest first, or from `after` on. Proofs that are finalised while you page change no later page."""
        key = bytes.fromhex(address[2:])

        async def history(limit: int, before: Place | None, after: Place | None) -> list[FinalisedProof]:
            return list(await storage.account_proofs(key, limit=limit, before=before, after=after))

        page = await PageAsked.of(limit, before, after).read(history, _place_of_proof)
        return AccountProofs(
            account=hex_text(key),
            proofs=[HistoryEntry.of(one.proof, one.receipt) for one in page.entries],
            next_cursor=page.next_cursor,
            latest_cursor=page.latest_cursor,
        )

    @routes.get(
        "/account/{address}/proofs.csv",
        summary="An account's finalised proofs as a table",
        response_class=Response,
        responses={200: _CSV, **refusals(*EVERYWHERE)},
    )
    async def account_proofs_csv(
        address: Address,
        limit: Annotated[int, Query(ge=1, le=CSV_ROWS_MAX, description="How many lines at most.")] = CSV_ROWS_MAX,
        before: Before = None,
    ) -> Response:
        """Newest first, as of the moment of asking. Its last column is a cursor: that of the last line, handed back as
        `before`, gives the rest."""
        key = bytes.fromhex(address[2:])
        return await ProofsCsv.begin(storage, key, PageAsked.of(limit, before, None))

    @routes.get(
        "/triangle/{id}/proofs",
        summary="The finalised proofs in a triangle",
        responses=refusals(*EVERYWHERE),
    )
    async def triangle_proofs(
        id_text: TriangleIdText, limit: Limit = PAGE_DEFAULT, before: Before = None, after: After = None
    ) -> TriangleProofs:
        """Newest first, or from `after` on. Those in its children are not in it; a triangle that does not exist yet has
        none."""
        triangle = parse_triangle(id_text)

        async def history(limit: int, before: Place | None, after: Place | None) -> list[FinalisedProof]:
            return list(await storage.triangle_proofs(triangle.integer, limit=limit, before=before, after=after))

        page = await PageAsked.of(limit, before, after).read(history, _place_of_proof)
        return TriangleProofs(
            triangle_id=triangle.text,
            proofs=[TriangleProofEntry.of(one.proof, one.receipt) for one in page.entries],
            next_cursor=page.next_cursor,
            latest_cursor=page.latest_cursor,
        )

    @routes.get(
        "/batches",
        summary="The finalised batches",
        responses=refusals(RequestCode.BATCH_NOT_FOUND, *EVERYWHERE),
    )
    async def batches(
        request: Request,
        limit: Limit = PAGE_DEFAULT,
        from_height: Annotated[
            int | None,
            Query(alias="from", ge=1, le=HEIGHT_MAX, description="The first height, of a list that goes upward."),
        ] = None,
        before: Before = None,
        after: After = None,
    ) -> BatchesAnswer:
        """Newest first, or upward from a height or from `after` on."""
        charge = bill_of(request.scope)["charge"]
        asked = PageAsked.of(limit, before, after)
        if from_height is not None:
            above = (from_height - 1, 0)
            asked = PageAsked(limit, asked.before, above if asked.after is None else max(above, asked.after))
        head = services.chain.head.chain.height
        lowest = await storage.first_height() or 1
        first = lowest if asked.after is None else asked.after[0] + 1
        last = head if asked.before is None else min(head, asked.before[0] - 1)
        if first < lowest and first <= last:
            raise _not_kept(first, lowest)
        try:
            if asked.is_oldest_first:
                page_last = min(last, first + limit - 1)
                found = await summaries.between(first, page_last, charge)
                page = asked.page_of(found, _place_of_batch, more=page_last < last)
            else:
                page_first = max(first, last - limit + 1)
                found = await summaries.between(page_first, last, charge)
                page = asked.page_of(found[::-1], _place_of_batch, more=page_first > first)
        except BatchPruned:
            raise _not_kept(first, await storage.first_height() or 1) from None
        return BatchesAnswer(
            batches=[BatchEntry.of(summary) for summary in page.entries],
            next_cursor=page.next_cursor,
            latest_cursor=page.latest_cursor,
        )

    @routes.get(
        "/batch/latest",
        summary="The last finalised batch",
        response_model=BatchAnswer,
        responses=refusals(RequestCode.BATCH_NOT_FOUND, *EVERYWHERE),
    )
    async def latest_batch() -> Response:
        """As `/batch/{height}` of the height that `/status` tells; it is another one soon."""
        height = services.chain.head.chain.height
        found = await batch_answers.get(height) if height else None
        if found is None:
            raise ApiError(
                RequestCode.BATCH_NOT_FOUND,
                "height: no batch is finalised yet; ask later",
                details=Details(value=0, limit=0, unit="height", retryable=True),
            )
        return Response(found.body, headers={"ETag": found.tag}, media_type="application/json")

    return routes


def _place_of_proof(one: FinalisedProof) -> Place:
    return one.receipt.height, one.receipt.index


def _place_of_batch(summary: BatchSummary) -> Place:
    return summary.header.height, 0


def _not_kept(height: int, lowest: int) -> ApiError:
    return ApiError(
        RequestCode.BATCH_NOT_FOUND,
        f"height: {height} is not kept on this node, which has batches from height {lowest} on; ask one whose"
        " earliestHeight in /status is lower",
        details=Details(value=height, limit=lowest, unit="height"),
    )
