"""Questions about the node itself, for operators and for the programs that watch it."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from step_node.amounts import step_text
from step_node.api.details import DetailsAnswer
from step_node.api.documentation import EVERYWHERE, refusals
from step_node.api.errors import RETRY_AFTER_SECONDS, envelope_response
from step_node.api.models.node import (
    ConsensusAnswer,
    DownAnswer,
    HealthAnswer,
    LiveAnswer,
    LoadAnswer,
    LoadSampleAnswer,
    NotReadyAnswer,
    PeerAnswer,
    ReadyAnswer,
    ReasonAnswer,
    StatusAnswer,
    ValidatorAnswer,
)
from step_node.api.models.schema import hex_text
from step_node.api.routing import api_router
from step_node.api.services import ApiServices
from step_node.api.status.health import HealthLevel, HealthReason
from step_node.api.status.node import NodeStatus, PeerStatus
from step_node.explanations.details import Details
from step_node.proofs.proof import RefusalCode
from step_node.proofs.timestamps import format_timestamp

_DOWN = {"model": DownAnswer, "description": "The node is down."}
_NOT_READY = {"model": NotReadyAnswer, "description": "Clients' traffic is better sent elsewhere."}
_METRICS = {"description": "In Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}


def node_routes(services: ApiServices) -> APIRouter:
    """`/status`, `/health` with its two shorter forms, and `/consensus`."""
    routes = api_router("node")

    @routes.get("/status", summary="Where the node stands", responses=refusals(*EVERYWHERE))
    async def status() -> StatusAnswer:
        """The last finalised height, the state of consensus above it, peers and validators."""
        return status_answer(services.status(), services.clock.now_ms())

    @routes.get("/status/history", summary="The load of the last hour", responses=refusals(*EVERYWHERE))
    async def history() -> LoadAnswer:
        """In samples of half a minute, from this node's memory: for more there is `/metrics`."""
        return LoadAnswer(
            samples=[LoadSampleAnswer.of(sample) for sample in services.load()],
            timestamp=format_timestamp(services.clock.now_ms()),
        )

    @routes.get(
        "/health",
        summary="Whether the node is well",
        response_model=HealthAnswer,
        responses={**refusals(*EVERYWHERE), 503: _DOWN},
    )
    async def health() -> Response | HealthAnswer:
        """200 while the node serves, with the reasons if its operator should look; 503 when it does not."""
        now_ms = services.clock.now_ms()
        now = format_timestamp(now_ms)
        found = services.health()
        reasons = [ReasonAnswer.of(reason) for reason in found.reasons]
        if found.level is not HealthLevel.DOWN:
            return HealthAnswer(status=found.level.value, ready=not found.not_ready, reasons=reasons, timestamp=now)
        message = _sentences(found.reasons)
        down = DownAnswer(
            code=RefusalCode.NOT_READY,
            message=message,
            details=_not_well(message, now_ms),
            timestamp=now,
            reasons=reasons,
        )
        return envelope_response(down)

    @routes.get("/health/live", summary="Whether the process is up", responses=refusals(*EVERYWHERE))
    async def live() -> LiveAnswer:
        """200 whenever the event loop turns, whatever else is wrong: ask this to decide on a restart."""
        return LiveAnswer(timestamp=format_timestamp(services.clock.now_ms()))

    @routes.get(
        "/health/ready",
        summary="Whether clients' traffic may be sent here",
        response_model=ReadyAnswer,
        responses={**refusals(*EVERYWHERE), 503: _NOT_READY},
    )
    async def ready() -> Response | ReadyAnswer:
        """200 while the store answers, the node is at the head of the chain, and a quorum is within reach; else 503,
        with what is wrong: ask this to decide where requests go."""
        now_ms = services.clock.now_ms()
        now = format_timestamp(now_ms)
        reasons = services.health().not_ready
        if not reasons:
            return ReadyAnswer(timestamp=now)
        message = _sentences(reasons)
        answer = NotReadyAnswer(
            code=RefusalCode.NOT_READY,
            message=message,
            details=_not_well(message, now_ms),
            timestamp=now,
            reasons=[ReasonAnswer.of(reason) for reason in reasons],
        )
        return envelope_response(answer)

    @routes.get("/consensus", summary="Where the height that is being decided stands", responses=refusals(*EVERYWHERE))
    async def consensus() -> ConsensusAnswer:
        """Round, step and proposer; whose votes are here, and whose are missing; what is locked and valid."""
        return ConsensusAnswer.of(services.consensus(), services.clock.now_ms())

    return routes


def metrics_routes(services: ApiServices) -> APIRouter:
    """`/metrics`, of the API or of a listener of its own."""
    routes = api_router("node")

    @routes.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: _METRICS, **refusals(*EVERYWHERE)},
    )
    async def metrics() -> Response:
        """Every metric has its meaning and unit in its HELP line."""
        return Response(generate_latest(services.metrics), media_type=CONTENT_TYPE_LATEST)

    return routes


def _sentences(reasons: Sequence[HealthReason]) -> str:
    return "; ".join(reason.message for reason in reasons)


def _not_well(message: str, now_ms: int) -> DetailsAnswer:
    return DetailsAnswer.of(
        RefusalCode.NOT_READY,
        message,
        Details(gate="health"),
        now_ms=now_ms,
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


def status_answer(status: NodeStatus, now_ms: int) -> StatusAnswer:
    """The answer about `status`."""
    address = status.validator_address
    return StatusAnswer(
        version=status.version,
        commit=status.commit,
        protocol_version=status.protocol_version,
        known_protocol_versions=list(status.known_protocol_versions),
        chain_id=status.chain_id,
        genesis_hash=hex_text(status.genesis_hash),
        peer_id=status.peer_id,
        p2p_addresses=list(status.p2p_addresses),
        validator_address=None if address is None else hex_text(address),
        height=status.height,
        batch_hash=hex_text(status.batch_hash),
        state_root=hex_text(status.state_root),
        batch_timestamp=format_timestamp(status.batch_timestamp_ms),
        round=status.round,
        state=status.state,
        syncing=status.syncing,
        mempool_proofs=status.mempool_proofs,
        earliest_height=status.earliest_height,
        histories_from=status.histories_from,
        peers=[_peer_answer(peer) for peer in status.peers],
        validators=[
            ValidatorAnswer(
                address=hex_text(one.address),
                stake=step_text(one.stake_ustep),
                is_self=one.is_self,
                peer_id=one.peer_id,
            )
            for one in status.validators
        ],
        switches=dict(status.switches),
        timestamp=format_timestamp(now_ms),
    )


def _peer_answer(peer: PeerStatus) -> PeerAnswer:
    return PeerAnswer(
        peer_id=peer.peer_id,
        address=peer.address,
        direction="outbound" if peer.outbound else "inbound",
        version=peer.version,
        protocol_versions=list(peer.protocol_versions),
        height=peer.height,
        validator=None if peer.validator is None else hex_text(peer.validator),
    )
