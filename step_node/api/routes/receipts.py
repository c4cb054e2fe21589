"""Receipts for those who do not want to believe a node: see docs/receipts.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from blake3 import blake3
from fastapi import APIRouter, Request, Response

from step_node.api.batches.receipts import LinksTooLong, LinksUnknown, ReceiptMaker
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.middleware.caching import UNCHANGING
from step_node.api.routes.proofs import ProofId
from step_node.api.routes.transactions import OperationId
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.explanations.details import Details
from step_node.mempool.outcomes import Dropped, Finalised, Pending
from step_node.offload import run_blocking
from step_node.receipts.document import (
    RECEIPT_BYTES_MAX,
    OperationReceipt,
    ProofReceipt,
    ReceiptDocument,
    receipt_cbor,
    receipt_json,
)
from step_node.receipts.making import BatchReceipts

JSON: Final = "application/json"
CBOR: Final = "application/cbor"

_RECEIPT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The receipt, as one file; CBOR where `Accept` asks for it.",
        "content": {CBOR: {"schema": {"type": "string", "format": "binary"}}},
    },
    304: {"description": "It is the one that `If-None-Match` names."},
}


def receipt_routes(services: ApiServices) -> APIRouter:
    """The routes that give receipts."""
    routes = api_router("proofs")
    storage = services.chain.storage.for_strangers()
    maker = ReceiptMaker(storage, trust=services.chain.genesis.trust(), links_to=services.links_to)

    @routes.get(
        "/proof/{proofId}/receipt",
        summary="What shows to anybody that a proof is final, and what it paid",
        response_model=ProofReceipt,
        responses={
            **_RECEIPT,
            **refusals(RequestCode.PROOF_NOT_FOUND, RequestCode.RECEIPT_NOT_FOUND, *EVERYWHERE),
        },
    )
    async def proof_receipt(proof_id_text: ProofId, request: Request) -> Response:
        """One file that is verified with the chain's genesis file alone. It never changes: keep it.

        Another node's may have other validators' signatures; all of them hold.
        """
        proof_id = bytes.fromhex(proof_id_text[2:])
        found = await storage.receipts([proof_id])
        if not found:
            raise await _not_final(proof_id, proof_id_text)
        what = f"proofId: the proof is final at height {found[0].height}"
        receipts = await _all_of(found[0].height, what, proof_id_text)
        return await _answer(request, lambda: receipts.of_proof(proof_id), what, proof_id_text)

    @routes.get(
        "/operation/{operationId}/receipt",
        summary="What shows to anybody that an operation is final, and what it left its owner",
        response_model=OperationReceipt,
        responses={
            **_RECEIPT,
            **refusals(RequestCode.OPERATION_NOT_FOUND, RequestCode.RECEIPT_NOT_FOUND, *EVERYWHERE),
        },
    )
    async def operation_receipt(operation_id_text: OperationId, request: Request) -> Response:
        """Of a transfer, or of any other operation: one file, as for a proof."""
        operation_id = bytes.fromhex(operation_id_text[2:])
        found = await storage.operations([operation_id])
        if not found:
            raise _not_applied(operation_id, operation_id_text)
        index = found[0].index
        what = f"operationId: the operation is final at height {found[0].height}"
        receipts = await _all_of(found[0].height, what, operation_id_text)
        return await _answer(request, lambda: receipts.of_operation(index), what, operation_id_text)

    def _not_applied(operation_id: bytes, operation_id_text: str) -> ApiError:
        if services.operations.find_waiting(operation_id) is not None:
            return ApiError(
                RequestCode.RECEIPT_NOT_FOUND,
                "operationId: the operation waits to be final; ask again when it is",
                details=Details(value=operation_id_text, retryable=True),
            )
        return ApiError(
            RequestCode.OPERATION_NOT_FOUND,
            "operationId: waits for no batch on this node, and none that it keeps holds it",
            details=Details(value=operation_id_text),
        )

    async def _not_final(proof_id: bytes, proof_id_text: str) -> ApiError:
        match await services.admission.outcome(proof_id):
            case Pending() | Finalised():
                return ApiError(
                    RequestCode.RECEIPT_NOT_FOUND,
                    "proofId: the proof waits to be final; ask again when its status says so",
                    details=Details(value=proof_id_text, retryable=True),
                )
            case Dropped(refusal):
                return ApiError(
                    RequestCode.RECEIPT_NOT_FOUND,
                    f"proofId: the proof was dropped, as {refusal.code}, and will never be final",
                    details=Details(value=proof_id_text),
                )
            case None:
                return ApiError(
                    RequestCode.PROOF_NOT_FOUND,
                    "proofId: this node has neither accepted nor finalised such a proof",
                    details=Details(value=proof_id_text),
                )

    async def _all_of(height: int, what: str, id_text: str) -> BatchReceipts:
        try:
            receipts = await maker.of_batch(height)
        except LinksUnknown:
            why = "cannot show how the validators of that height have come from those of genesis"
        except LinksTooLong:
            raise _too_long(what, id_text) from None
        else:
            if receipts is not None:
                return receipts
            why = f"keeps batches from height {services.status().earliest_height} on"
        raise ApiError(
            RequestCode.RECEIPT_NOT_FOUND,
            f"{what}, but this node {why}; ask another one",
            details=Details(value=id_text),
        )

    return routes


def _too_long(what: str, id_text: str, *, way_out: str = "") -> ApiError:
    return ApiError(
        RequestCode.RECEIPT_NOT_FOUND,
        f"{what}, but the validators have changed so often since genesis that its receipt would have more than the"
        f" {RECEIPT_BYTES_MAX} bytes that are read{way_out}",
        details=Details(value=id_text),
    )


async def _answer(request: Request, make: Callable[[], ReceiptDocument], what: str, id_text: str) -> Response:
    """The receipt in the form that is asked for; made on a thread, as the path through a full batch takes 2 ms."""
    media_type = CBOR if _wants_cbor(request.headers.get("accept", "")) else JSON
    body = await run_blocking(_encoded, make, media_type)
    if len(body) > RECEIPT_BYTES_MAX:
        raise _too_long(what, id_text, way_out="" if media_type == CBOR else f"; as {CBOR} it is half as long")
    tag = f'"{blake3(body).hexdigest(length=16)}"'
    headers = {"ETag": tag, "Cache-Control": UNCHANGING, "Vary": "Accept"}
    return Response(body, headers=headers, media_type=media_type)


def _encoded(make: Callable[[], ReceiptDocument], media_type: str) -> bytes:
    return receipt_cbor(make()) if media_type == CBOR else receipt_json(make())


def _wants_cbor(accept: str) -> bool:
    """Whether CBOR is named, and not after JSON, in the order of a client's wishes."""
    named = [entry.partition(";")[0].strip().lower() for entry in accept.split(",")]
    return CBOR in named and (JSON not in named or named.index(CBOR) < named.index(JSON))
