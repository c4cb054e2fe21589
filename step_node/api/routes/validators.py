"""Validators: who there are, what they have been slashed for, and the operations of their owners."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Depends, Request

from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.histories.pages import PAGE_DEFAULT, After, Before, Limit, PageAsked
from step_node.api.middleware.body import parse_json
from step_node.api.models.schema import hex_text
from step_node.api.models.validators import (
    EvidenceAnswer,
    OperationAnswer,
    SlashingEntry,
    ValidatorAnswer,
    ValidatorEntry,
    ValidatorsAnswer,
)
from step_node.api.routes.ledger import Address
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.api.submissions.submitting import count_submission
from step_node.explanations.details import Details
from step_node.operations.json_form import OPERATIONS, parse_operation
from step_node.operations.operation import OperationCode, OperationRefused, Register, ValidatorOperation, hot_address
from step_node.proofs.proof import RefusalCode

_SUMMARIES = {
    "register": "Register a validator",
    "unbond": "Have a validator leave the set",
    "withdraw": "Take back a stake that is free",
    "rotate-key": "Replace a validator's hot key",
    "set-address": "Change where a validator's node is found",
    "approve-upgrade": "Approve other rules from a height on",
    "cancel-upgrade": "Take back what a validator has approved",
}


def validator_routes(services: ApiServices) -> APIRouter:
    """The routes under `/validator`, `/validators` and `/evidence`."""
    routes = api_router("validators")
    storage = services.chain.storage.for_strangers()

    @routes.get("/validators", summary="All validators", responses=refusals(*EVERYWHERE))
    async def validators() -> ValidatorsAnswer:
        """Those in the set, and those that wait to join it, have left, or are jailed."""
        head = services.chain.head
        return ValidatorsAnswer(
            height=head.chain.height,
            quorum=services.chain.validators.quorum,
            validators=[ValidatorEntry.of(record) for record in head.validators],
        )

    @routes.get(
        "/validators/{address}",
        summary="A validator",
        responses=refusals(RefusalCode.INVALID_PAYLOAD, RequestCode.VALIDATOR_NOT_FOUND, *EVERYWHERE),
    )
    async def validator(address: Address) -> ValidatorAnswer:
        """By the address of its hot key; one that was rotated says so."""
        key = bytes.fromhex(address[2:])
        for record in services.chain.head.validators:
            if record.address == key:
                owner = await storage.account(record.owner)
                return ValidatorAnswer(
                    validator=ValidatorEntry.of(record), next_sequence=0 if owner is None else owner.operations
                )
        raise ApiError(RequestCode.VALIDATOR_NOT_FOUND, "address: is not a validator's", details=Details(value=address))

    @routes.get(
        "/evidence",
        summary="What validators have been slashed for",
        responses=refusals(RefusalCode.INVALID_PAYLOAD, *EVERYWHERE),
    )
    async def evidence(
        limit: Limit = PAGE_DEFAULT,
        before: Before = None,
        after: After = None,
    ) -> EvidenceAnswer:
        """Each slash as the finalised batch applied it, the same on every node. Newest first, or from `after` on."""
        page = await PageAsked.of(limit, before, after).read(storage.slashings, lambda one: (one.height, one.index))
        head = services.chain.head
        records = {record.address: record for record in head.validators}
        return EvidenceAnswer(
            slashings=[
                SlashingEntry.of(slashing, head.parameters, records.get(slashing.validator))
                for slashing in page.entries
            ],
            next_cursor=page.next_cursor,
            latest_cursor=page.latest_cursor,
        )

    for name in _SUMMARIES:
        _add_operation(routes, services, name)
    return routes


def _add_operation(routes: APIRouter, services: ApiServices, name: str) -> None:
    form_type = OPERATIONS[name][1]

    async def submit_operation(request: Request) -> OperationAnswer:
        """Signed by the stake's owner, and by the hot key where one comes into use (protocol.md §4). What rules come
        next may be signed by the hot key alone."""
        try:
            # None of these names is the transfer's.
            operation = cast(ValidatorOperation, parse_operation(name, parse_json(await request.body())))
            refused = await services.operations.submit(operation)
        except OperationRefused as malformed:
            raise ApiError.of(malformed) from malformed
        if refused is not None:
            raise ApiError.of(refused)
        return OperationAnswer(
            operation_id=hex_text(services.operations.id_of(operation)),
            validator=hex_text(_validator_of(operation)),
            sequence=operation.sequence,
        )

    submit_operation.__name__ = f"{name.replace('-', '_')}_validator"
    routes.add_api_route(
        f"/validator/{name}",
        submit_operation,
        methods=["POST"],
        status_code=202,
        dependencies=[Depends(count_submission)],
        summary=_SUMMARIES[name],
        response_description="It waits to be put into a batch.",
        responses=refusals(RefusalCode.INVALID_PAYLOAD, *OperationCode, *EVERYWHERE),
        openapi_extra={"requestBody": _body(form_type.model_json_schema(by_alias=True))},
    )


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _validator_of(operation: ValidatorOperation) -> bytes:
    return hot_address(operation.public_key) if isinstance(operation, Register) else operation.validator
