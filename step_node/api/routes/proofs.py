"""Submitting proofs, asking what became of them, and what a client must know to make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import trio
from fastapi import APIRouter, Path, Query, Request, Response

from mesh import LEVEL_MAX
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import RETRY_AFTER_SECONDS, ApiError, RequestCode
from step_node.api.middleware.body import BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX
from step_node.api.middleware.caching import UNCHANGING
from step_node.api.models.proofs import (
    DroppedStatus,
    FinalisedStatus,
    PendingAnswer,
    ProofConfig,
    RefusedSubmission,
    RewardedAnswer,
    SubmissionOutcomes,
)
from step_node.api.models.schema import EXAMPLE_PROOF_ID, HASH_PATTERN, hex_text
from step_node.api.routing import api_router
from step_node.api.server.bill import bill_of
from step_node.api.server.limits import SUBMISSION_COST_MS, SUBMISSIONS_COST_MS_PER_KIB
from step_node.api.services import ApiServices
from step_node.api.submissions.batch import BATCH_SUBMISSIONS_MAX, SUBMISSIONS_CONTENT, Read, parse_submissions
from step_node.api.submissions.single import SUBMISSION_SCHEMA
from step_node.api.submissions.submitting import Submitting
from step_node.explanations.codes import BY_CODE, PATIENCE_STATUSES
from step_node.explanations.details import Details
from step_node.ledger.state_gates import EXHAUSTION_CLICKS, SUBDIVISION_CLICKS
from step_node.mempool.admission import Answer
from step_node.mempool.outcomes import Dropped, Finalised, Pending
from step_node.mempool.pool import ACCOUNT_PROOFS_MAX
from step_node.offload import run_blocking
from step_node.proofs.canonical_line import PROOF_VERSION
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof
from step_node.proofs.timestamps import format_timestamp

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


def proof_routes(services: ApiServices, submitting: Submitting) -> APIRouter:
    """The routes under `/proof`."""
    routes = api_router("proofs", prefix="/proof")

    @routes.post(
        "/submit",
        summary="Submit a signed location proof",
        response_model=RewardedAnswer,
        response_description="The proof is final, now or since it was submitted before: this is what it earned.",
        responses={202: _PENDING, **refusals(*_GATE_CODES, RequestCode.INTAKE_SHED, *EVERYWHERE)},
        openapi_extra={"requestBody": _SUBMISSION},
    )
    async def submit_proof(
        request: Request,
        wait_ms: int = Query(
            submitting.wait_ms_default,
            ge=0,
            le=services.wait_ms_max,
            description="How long to wait for finality, in milliseconds, before the answer is 202.",
        ),
    ) -> Response:
        """Submitting the same proof again is safe: the answer is what became of it, and it is paid once."""
        return await submitting.one(await request.body(), wait_ms, request.scope)

    @routes.post(
        "/submit-batch",
        summary="Submit many signed location proofs",
        response_model=SubmissionOutcomes,
        response_description="What became of each, in order. With `Retry-After` if some may be submitted again.",
        responses=refusals(RefusalCode.MEMPOOL_FULL, RefusalCode.INTAKE_PAUSED, RequestCode.INTAKE_SHED, *EVERYWHERE),
        openapi_extra={"requestBody": {"required": True, "content": SUBMISSIONS_CONTENT}},
    )
    async def submit_batch(
        request: Request,
        wait_ms: int = Query(
            0,
            ge=0,
            le=services.wait_ms_max,
            description="How long to wait for finality of all of them, in milliseconds.",
        ),
    ) -> Response:
        """Each is judged by itself, as if it had been submitted alone. If all are refused for the moment, so is the
        request; submitting the same body again is safe."""
        arrived_at = trio.current_time()
        bill = bill_of(request.scope)
        submitting.refuse_if_busy()
        body = await request.body()
        await bill["charge"](len(body) / 1024 * SUBMISSIONS_COST_MS_PER_KIB)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        read = await run_blocking(parse_submissions, body, media_type)
        proofs = [each for each in read if isinstance(each, SignedProof)]
        await bill["charge"](len(proofs) * SUBMISSION_COST_MS)
        answers = await submitting.admit(proofs, len(read), wait_ms, request.scope)
        outcomes = _outcomes_in_order(read, answers)
        _count(outcomes, trio.current_time() - arrived_at)
        retryable = [each for each in outcomes if isinstance(each, Refusal) and _is_retryable(each)]
        retry_seconds = max(
            RETRY_AFTER_SECONDS,
            services.admission.busy_seconds(),
            *(submitting.retry_seconds(each, request.scope) for each in retryable[:1]),
        )
        if len(retryable) == len(outcomes):
            raise ApiError.of(retryable[0], retry_after_seconds=retry_seconds)
        # A thousand take 10 ms.
        now_ms = services.clock.now_ms()
        answered = await run_blocking(_outcomes_json, read, outcomes, now_ms, retry_seconds)
        headers = {"Retry-After": str(retry_seconds)} if retryable else None
        return Response(answered, headers=headers, media_type="application/json")

    def _count(outcomes: Sequence[Answer], duration_seconds: float) -> None:
        for outcome in outcomes:
            match outcome:
                case Finalised():
                    services.counters.submission_answered("finalised", duration_seconds)
                case Pending():
                    services.counters.submission_answered("pending", duration_seconds)
                case Dropped(refusal) | (Refusal() as refusal):
                    services.counters.proof_refused(refusal.code, "api")
                    services.counters.submission_answered("refused", duration_seconds)

    @routes.get(
        "/status/{proofId}",
        summary="What became of a proof",
        response_description="`status` tells which of the three it is.",
        responses=refusals(RequestCode.PROOF_NOT_FOUND, *EVERYWHERE),
    )
    async def proof_status(
        proof_id_text: ProofId,
        response: Response,
        wait_ms: int = Query(
            0,
            ge=0,
            le=services.wait_ms_max,
            description="How long to wait for a proof that is pending to be decided, in milliseconds.",
        ),
    ) -> FinalisedStatus | DroppedStatus | PendingAnswer:
        """Ask the node that the proof was submitted to: only it is sure to know of one that waits or was dropped."""
        proof_id = bytes.fromhex(proof_id_text[2:])
        match await services.admission.outcome(proof_id, wait_ms=wait_ms):
            case Finalised(receipt):
                response.headers["Cache-Control"] = UNCHANGING
                return FinalisedStatus.of(receipt)
            case Dropped(refusal):
                return DroppedStatus.of(proof_id, refusal, now_ms=services.clock.now_ms())
            case Pending():
                return PendingAnswer(proof_id=hex_text(proof_id))
            case None:
                raise ApiError(
                    RequestCode.PROOF_NOT_FOUND,
                    "proofId: this node has neither accepted nor finalised such a proof",
                    details=Details(value=proof_id_text),
                )

    @routes.get(
        "/config",
        summary="The rules that proofs are judged by",
        response_description="The chain's parameters as far as they concern clients, and this node's limits.",
        responses=refusals(*EVERYWHERE),
    )
    async def proof_config(request: Request) -> ProofConfig:
        """They are fixed in the chain's genesis, except for those from `WAIT_MS_DEFAULT` on, which are this node's."""
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
            wait_ms_default=submitting.wait_ms_default,
            wait_ms_max=services.wait_ms_max,
            body_bytes_max=BODY_BYTES_MAX,
            batch_body_bytes_max=BATCH_BODY_BYTES_MAX,
            batch_submissions_max=BATCH_SUBMISSIONS_MAX,
            submissions_per_minute=bill_of(request.scope)["quota"].limit or None,
            account_submissions_per_minute=services.account_quotas.limit or None,
        )

    return routes


def _outcomes_in_order(read: Sequence[Read], answers: Sequence[Answer]) -> list[Answer]:
    """What became of each submission: the refusal that it was read as, or what admission said of its proof."""
    of_proofs = iter(answers)
    return [each if isinstance(each, Refusal) else next(of_proofs) for each in read]


def _is_retryable(refusal: Refusal) -> bool:
    return BY_CODE[refusal.code].status in PATIENCE_STATUSES


def _outcomes_json(read: Sequence[Read], outcomes: Sequence[Answer], now_ms: int, retry_seconds: int) -> str:
    told = [_told(each, outcome, now_ms, retry_seconds) for each, outcome in zip(read, outcomes, strict=True)]
    return SubmissionOutcomes(outcomes=told).model_dump_json(by_alias=True)


def _told(
    read: Read, outcome: Answer, now_ms: int, retry_seconds: int
) -> FinalisedStatus | PendingAnswer | DroppedStatus | RefusedSubmission:
    if isinstance(read, Refusal):
        return RefusedSubmission.of(None, read, now_ms=now_ms, retry_after_seconds=retry_seconds)
    proof_id = hex_text(read.proof_id)
    match outcome:
        case Finalised(receipt):
            return FinalisedStatus.of(receipt)
        case Pending():
            return PendingAnswer(proof_id=proof_id)
        case Dropped(refusal):
            return DroppedStatus.of(read.proof_id, refusal, now_ms=now_ms)
        case Refusal() as refusal:
            return RefusedSubmission.of(read.proof_id, refusal, now_ms=now_ms, retry_after_seconds=retry_seconds)
