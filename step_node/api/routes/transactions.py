"""Sending STEP, following an operation by its id, and what an account has done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.histories.pages import PAGE_DEFAULT, After, Before, Limit, PageAsked
from step_node.api.middleware.body import parse_json
from step_node.api.middleware.caching import UNCHANGING
from step_node.api.models.schema import EXAMPLE_PROOF_ID, HASH_PATTERN, hex_text
from step_node.api.models.transactions import (
    AccountTransactions,
    AppliedOperation,
    DroppedOperation,
    PendingOperation,
    TransactionEntry,
)
from step_node.api.routes.ledger import Address
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.api.submissions.submitting import count_submission
from step_node.explanations.details import Details
from step_node.operations.json_form import TransferForm, parse_operation
from step_node.operations.operation import OperationCode, OperationRefused
from step_node.proofs.proof import RefusalCode
from step_node.storage.interface import Place, Transaction
from step_node.storage.transactions import place_of

TRANSFER_CODES = (
    OperationCode.INVALID_OPERATION,
    OperationCode.BAD_SIGNATURE,
    OperationCode.WRONG_SEQUENCE,
    OperationCode.INSUFFICIENT_BALANCE,
    OperationCode.POOL_FULL,
)

OperationId = Annotated[
    str,
    Path(
        alias="operationId",
        pattern=HASH_PATTERN,
        description="The EIP-191 digest of the operation's line: 0x and 64 hex digits.",
        examples=[EXAMPLE_PROOF_ID],
    ),
]

_JSON = "application/json"


def transaction_routes(services: ApiServices) -> APIRouter:
    """`/account/transfer`, `/account/{address}/transactions` and `/operation/{operationId}`."""
    routes = api_router("ledger")
    storage = services.chain.storage.for_strangers()
    desk = services.operations

    async def applied_before(operation_id: bytes) -> Response | None:
        for applied in await storage.operations([operation_id]):
            answer = AppliedOperation.of(applied)
            return Response(answer.model_dump_json(by_alias=True, exclude_none=True), 200, media_type=_JSON)
        return None

    @routes.post(
        "/account/transfer",
        summary="Send STEP to another account",
        status_code=202,
        dependencies=[Depends(count_submission)],
        response_model=PendingOperation,
        response_description="It waits to be put into a batch.",
        responses={
            200: {"model": AppliedOperation, "description": "It was applied before: this is where it stands."},
            **refusals(
                RefusalCode.INVALID_PAYLOAD,
                *TRANSFER_CODES,
                RefusalCode.INTAKE_PAUSED,
                RequestCode.SWITCHED_OFF,
                *EVERYWHERE,
            ),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {_JSON: {"schema": TransferForm.model_json_schema(by_alias=True)}},
            }
        },
    )
    async def transfer(request: Request) -> Response:
        """Signed by the owner over a `STEP-TRANSFER-v1` line (protocol.md §4). Sending the same body again is safe: the
        answer is what became of it, and it is paid once."""
        services.intake.refuse_transfer_if_closed()
        try:
            operation = parse_operation("transfer", parse_json(await request.body()))
        except OperationRefused as malformed:
            raise ApiError.of(malformed) from malformed
        operation_id = desk.id_of(operation)
        if services.intake.account_left_out(operation.owner) is not None and desk.find_waiting(operation_id) is None:
            # Nothing new is taken from it, and what it has sent before is answered as ever.
            before = await applied_before(operation_id)
            if before is not None:
                return before
            services.intake.refuse_account_if_left_out(operation.owner)
        refused = await desk.submit(operation)
        if refused is None:
            pending = PendingOperation.of(operation, operation_id)
            return Response(pending.model_dump_json(by_alias=True), 202, media_type=_JSON)
        if refused.code is OperationCode.WRONG_SEQUENCE:
            before = await applied_before(operation_id)
            if before is not None:
                return before
        raise ApiError.of(refused)

    @routes.get(
        "/operation/{operationId}",
        summary="What became of an operation",
        responses=refusals(RequestCode.OPERATION_NOT_FOUND, *EVERYWHERE),
        response_model_exclude_none=True,
    )
    async def operation(
        operation_id_text: OperationId, response: Response
    ) -> AppliedOperation | PendingOperation | DroppedOperation:
        """Applied, on every node and for good; waiting on this node; or passed by, which this node remembers for a
        while. One that no node knows may be submitted again as it is."""
        operation_id = bytes.fromhex(operation_id_text[2:])
        waiting = desk.find_waiting(operation_id)
        why = desk.why_dropped(operation_id)
        # The store last: what has been applied since it was looked for among those that wait is found there.
        for applied in await storage.operations([operation_id]):
            response.headers["Cache-Control"] = UNCHANGING
            return AppliedOperation.of(applied)
        if waiting is not None:
            return PendingOperation.of(waiting, operation_id)
        if why is not None:
            return DroppedOperation.of(operation_id, why, now_ms=services.clock.now_ms())
        raise ApiError(
            RequestCode.OPERATION_NOT_FOUND,
            "operationId: waits for no batch on this node, and none that it keeps holds it; submit it again, which does"
            " no harm if it was applied",
            details=Details(value=operation_id_text),
        )

    @routes.get(
        "/account/{address}/transactions",
        summary="What an account has done and been sent",
        responses=refusals(*EVERYWHERE),
    )
    async def account_transactions(
        address: Address, limit: Limit = PAGE_DEFAULT, before: Before = None, after: After = None
    ) -> AccountTransactions:
        """Its proofs, transfers and operations about validators: newest first, or from `after` on. What becomes final
        while you page changes no later page."""
        key = bytes.fromhex(address[2:])

        async def history(limit: int, before: Place | None, after: Place | None) -> Sequence[Transaction]:
            return await storage.transactions(key, limit=limit, before=before, after=after)

        page = await PageAsked.of(limit, before, after).read(history, place_of)
        return AccountTransactions(
            account=hex_text(key),
            transactions=[TransactionEntry.of(one, key) for one in page.entries],
            next_cursor=page.next_cursor,
            latest_cursor=page.latest_cursor,
        )

    return routes
