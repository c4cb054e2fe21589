"""Submitting proofs, asking what became of them, and what a client must know to make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import trio
from fastapi import APIRouter, Path, Query, Request, Response

from mesh import LEVEL_MAX
from step_node.api.body import BODY_BYTES_MAX
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import ApiError, RequestCode
from step_node.api.limits import COST_EXTENSION
from step_node.api.models_proofs import DroppedStatus, FinalisedStatus, PendingAnswer, ProofConfig, RewardedAnswer
from step_node.api.schema import EXAMPLE_PROOF_ID, HASH_PATTERN, hex_text
from step_node.api.services import ApiServices
from step_node.api.submission import SUBMISSION_SCHEMA, parse_submission
from step_node.ledger.state import Receipt
from step_node.ledger.state_gates import EXHAUSTION_CLICKS, SUBDIVISION_CLICKS
from step_node.mempool.outcomes import Dropped, Finalised, Pending
from step_node.mempool.pool import ACCOUNT_PROOFS_MAX
from step_node.proofs.canonical_line import PROOF_VERSION
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.proofs.timestamps import format_timestamp

WAIT_MS_DEFAULT: Final = 5_000
"""How long a submission waits for finality when the client does not say (protocol.md §2)."""

UNKNOWN_SOURCE: Final = "unknown"
"""The source of what comes from no address, as from a test's client."""

ProofId = Annotated[
    str,
    Path(alias="proofId", pattern=HASH_PATTERN, description="0x and 64 hex digits.", examples=[EXAMPLE_PROOF_ID]),
]

_PENDING = {
    "model": PendingAnswer,
    "description": "The proof is accepted and on the node's disk, but not final yet; ask for its status.",
}
_SUBMISSION = {"required": True, "content": {"application/json": {"schema": SUBMISSION_SCHEMA}}}
_GATE_CODES = tuple(code for code in RefusalCode if code not in EVERYWHERE)
_NOBODY_COUNTS: Final[dict[str, Callable[[], None]]] = {"give_back": lambda: None}
"""For a server that charges nothing."""


def proof_routes(services: ApiServices) -> APIRouter:
    """The routes under `/proof`."""
    routes = APIRouter(prefix="/proof", tags=["proofs"])

    @routes.post(
        "/submit",
        summary="Submit a signed location proof",
        response_model=RewardedAnswer,
        response_description="The proof is final, now or since it was submitted before: this is what it earned.",
        responses={202: _PENDING, **refusals(*_GATE_CODES, *EVERYWHERE)},
        openapi_extra={"requestBody": _SUBMISSION},
    )
    async def submit_proof(
        request: Request,
        wait_ms: int = Query(
            min(WAIT_MS_DEFAULT, services.wait_ms_max),
            ge=0,
            le=services.wait_ms_max,
            description="How long to wait for finality, in milliseconds, before the answer is 202.",
        ),
    ) -> Response | RewardedAnswer:
        """Submitting the same proof again is safe: the answer is what became of it, and it is paid once."""
        arrived_at = trio.current_time()
        try:
            proof = parse_submission(await request.body())
            receipt = await _submit(proof, wait_ms, request)
        except ApiError as error:
            services.counters.proof_refused(error.code, "api")
            services.counters.submission_answered("refused", trio.current_time() - arrived_at)
            raise
        if receipt is not None:
            services.counters.submission_answered("finalised", trio.current_time() - arrived_at)
            return RewardedAnswer.of(receipt)
        services.counters.submission_answered("pending", trio.current_time() - arrived_at)
        pending = PendingAnswer(proof_id=hex_text(proof.proof_id))
        return Response(pending.model_dump_json(by_alias=True), 202, media_type="application/json")

    async def _submit(proof: SignedProof, wait_ms: int, request: Request) -> Receipt | None:
        source = UNKNOWN_SOURCE if request.client is None else request.client.host
        cost = request.scope.get("extensions", {}).get(COST_EXTENSION, _NOBODY_COUNTS)
        match await services.admission.submit(proof, wait_ms=wait_ms, source=source, taken_in=cost["give_back"]):
            case Finalised(receipt):
                return receipt
            case Pending():
                return None
            case Dropped(refusal) | (Refusal() as refusal):
                raise ApiError.of(refusal)

    @routes.get(
        "/status/{proofId}",
        summary="What became of a proof",
        response_description="`status` tells which of the three it is.",
        responses=refusals(RequestCode.PROOF_NOT_FOUND, *EVERYWHERE),
    )
    async def proof_status(proof_id_text: ProofId) -> FinalisedStatus | DroppedStatus | PendingAnswer:
        """Ask the node that the proof was submitted to: only it is sure to know of one that waits or was dropped."""
        proof_id = bytes.fromhex(proof_id_text[2:])
        match await services.admission.outcome(proof_id):
            case Finalised(receipt):
                return FinalisedStatus.of(receipt)
            case Dropped(refusal):
                return DroppedStatus(proof_id=hex_text(proof_id), code=refusal.code, message=refusal.message)
            case Pending():
                return PendingAnswer(proof_id=hex_text(proof_id))
            case None:
                raise ApiError(
                    RequestCode.PROOF_NOT_FOUND, "proofId: this node has neither accepted nor finalised such a proof"
                )

    @routes.get(
        "/config",
        summary="The rules that proofs are judged by",
        response_description="The chain's parameters as far as they concern clients, and this node's limits.",
        responses=refusals(*EVERYWHERE),
    )
    async def proof_config() -> ProofConfig:
        """They are fixed in the chain's genesis, except for the three last, which each node sets for itself."""
        parameters = services.chain.parameters
        return ProofConfig(
            timestamp=format_timestamp(services.clock.now_ms()),
            chain_id=services.chain.chain_id,
            proof_version=PROOF_VERSION,
            gps_max_accuracy_m=parameters.gps_max_accuracy_m,
            proof_speed_limit_mps=parameters.speed_limit_mps,
            proof_speed_horizon_ms=parameters.speed_horizon_ms,
            proof_moratorium_ms=parameters.moratorium_ms,
            proof_clock_drift_ms=parameters.clock_drift_ms,
            proof_max_age_ms=parameters.proof_max_age_ms,
            account_waiting_proofs_max=ACCOUNT_PROOFS_MAX,
            seeded_level=parameters.seeded_level,
            level_max=LEVEL_MAX,
            subdivision_clicks=SUBDIVISION_CLICKS,
            exhaustion_clicks=EXHAUSTION_CLICKS,
            batch_interval_ms=parameters.batch_interval_ms,
            wait_ms_default=min(WAIT_MS_DEFAULT, services.wait_ms_max),
            wait_ms_max=services.wait_ms_max,
            body_bytes_max=BODY_BYTES_MAX,
        )

    return routes
