"""A proof's way over whole nodes, as a receiver of OTLP over HTTP sees it: one trace, whichever node tells of it."""

from __future__ import annotations

import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from p2p.memory import MemoryHub
from step_node.api.app import create_app
from step_node.errors import StepNodeError
from step_node.home.config import TelemetryConfig
from step_node.node import trace_export
from step_node.node.trace_export import open_traces
from step_node.proof_traces import SpanName, submission_span_id_of, trace_id_of
from tests.api.made_up_node import Walker
from tests.integration.test_nodes_in_memory import reach
from tests.support.chains import make_genesis, validator_names
from tests.support.http_receiver import http_receiver
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import signed_proof


async def test_one_proof_is_one_trace_over_all_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=step")
    genesis, hub = make_genesis(2, **QUICK), MemoryHub()
    with http_receiver() as receiver:
        settings = TelemetryConfig(traces_endpoint=f"http://127.0.0.1:{receiver.port}/v1/traces", traces_ratio=1.0)
        async with AsyncExitStack() as stack:
            nodes = []
            for name in validator_names(2):
                traces = await stack.enter_async_context(open_traces(settings, peer_id=name, chain_id=genesis.chain_id))
                nodes.append(
                    await stack.enter_async_context(running_node(hub, name, genesis, tmp_path / name, traces=traces))
                )
            api = httpx.ASGITransport(create_app(nodes[0].services(wait_ms_max=30_000)))
            async with httpx.AsyncClient(transport=api, base_url="http://node") as client:
                submission = Walker(7).proof(time.time_ns() // 1_000_000)
                answer = await client.post("/proof/submit?wait_ms=30000", json=submission)
            assert answer.status_code == 200, answer.text
            await reach(nodes, 1)
        # Each node has sent what waited when it stopped.
        told = [(path, ExportTraceServiceRequest.FromString(body)) for path, body in receiver.received]
    assert {path for path, _ in told} == {"/v1/traces"}
    assert {headers["x-tenant"] for headers in receiver.headers} == {"step"}
    proof_id = bytes.fromhex(answer.json()["proofId"][2:])
    spans = {}
    for _, request in told:
        for of_resource in request.resource_spans:
            resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            assert resource["service.name"] == "step-node"
            assert resource["step.chain_id"] == genesis.chain_id
            for scope in of_resource.scope_spans:
                for span in scope.spans:
                    spans[resource["service.instance.id"], span.name] = span
    taker, other = validator_names(2)
    assert set(spans) == {
        (taker, SpanName.SUBMISSION),
        (taker, SpanName.ADMISSION),
        (taker, SpanName.GOSSIP_SENT),
        (other, SpanName.GOSSIP_HEARD),
        *((name, stage) for name in (taker, other) for stage in (SpanName.BATCH, SpanName.FINALITY)),
    }
    assert {span.trace_id for span in spans.values()} == {trace_id_of(proof_id).to_bytes(16)}
    first = spans.pop((taker, SpanName.SUBMISSION))
    assert (first.span_id, first.parent_span_id) == (submission_span_id_of(proof_id).to_bytes(8), b"")
    assert {span.parent_span_id for span in spans.values()} == {first.span_id}
    assert len({span.span_id for span in spans.values()}) == len(spans)
    for span in spans.values():
        assert first.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano


async def test_a_receiver_that_is_not_there_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_export, "LAST_SEND_SECONDS_MAX", 0.3)
    genesis, hub = make_genesis(1, **QUICK), MemoryHub()
    (name,) = validator_names(1)
    settings = TelemetryConfig(traces_endpoint="http://127.0.0.1:1/v1/traces", traces_ratio=1.0)
    async with open_traces(settings, peer_id=name, chain_id=genesis.chain_id) as traces:
        async with running_node(hub, name, genesis, tmp_path, traces=traces) as node:
            proof = signed_proof("walker", timestamp_ms=time.time_ns() // 1_000_000)
            await node.admission.submit(proof, wait_ms=30_000, source="client")
            assert node.status().height == 1
        began = trio.current_time()
    # Not the five seconds of an attempt to send, nor the half minute that the SDK would wait by itself.
    assert trio.current_time() - began < trace_export.SEND_SECONDS_MAX


async def test_without_a_receiver_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for settings in (TelemetryConfig(), TelemetryConfig(traces_endpoint="http://a.example/", traces_ratio=0)):
        async with open_traces(settings, peer_id="a", chain_id="b") as traces:
            assert traces is None
    with pytest.raises(StepNodeError, match=r"pip install 'step-node\[telemetry\]'"):
        async with open_traces(TelemetryConfig(traces_endpoint="http://a.example/"), peer_id="a", chain_id="b"):
            pass
