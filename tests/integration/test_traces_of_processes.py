"""A proof's way over a devnet of real processes, as one receiver of OTLP over HTTP sees it: one trace."""

from __future__ import annotations

import httpx
import pytest
import trio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from mesh import locate
from step_node.clock import SystemClock
from step_node.proof_traces import SpanName, submission_span_id_of, trace_id_of
from step_node.proofs.client_signing import sign_payload
from step_node.testing.devnet.accounts import dev_accounts
from step_node.testing.devnet.agreement import check_agreement
from step_node.testing.devnet.network import Devnet, DevnetSettings
from tests.support.http_receiver import Receiver, http_receiver

pytestmark = pytest.mark.long
LONGEST_SECONDS = 180.0
NODES = 4


async def test_one_proof_is_one_trace_over_the_processes_of_a_devnet() -> None:
    with trio.fail_after(LONGEST_SECONDS), http_receiver() as receiver:
        devnet = Devnet(DevnetSettings(validators=NODES, base_port=0))
        await devnet.prepare()
        for node in devnet.nodes:
            node.environment["STEP_TELEMETRY__TRACES_ENDPOINT"] = f"http://127.0.0.1:{receiver.port}/v1/traces"
            node.environment["STEP_TELEMETRY__TRACES_RATIO"] = "1.0"
        async with devnet, httpx.AsyncClient(trust_env=False) as http:
            assert len({node.pid for node in devnet.nodes}) == NODES
            peer_ids = [(await http.get(f"{url}/status")).json()["peerId"] for url in devnet.urls]
            proof_id = await submit(http, devnet.node_url(0))
            agreement = await check_agreement(devnet.clients, [f"0x{proof_id.hex()}"])
            assert agreement.missing == 0
        # Each process has sent what waited when it stopped.
        spans = spans_of(receiver)
    taker, *others = peer_ids
    # On a busy machine a node may have the batch before it has heard of the proof, and then has nothing to tell.
    heard = [peer_id for peer_id in others if (peer_id, SpanName.GOSSIP_HEARD) in spans]
    assert heard
    assert set(spans) == {
        (taker, SpanName.SUBMISSION),
        (taker, SpanName.ADMISSION),
        (taker, SpanName.GOSSIP_SENT),
        *((peer_id, SpanName.GOSSIP_HEARD) for peer_id in heard),
        *((peer_id, stage) for peer_id in (taker, *heard) for stage in (SpanName.BATCH, SpanName.FINALITY)),
    }
    assert {span.trace_id for span in spans.values()} == {trace_id_of(proof_id).to_bytes(16)}
    first = spans.pop((taker, SpanName.SUBMISSION))
    assert (first.span_id, first.parent_span_id) == (submission_span_id_of(proof_id).to_bytes(8), b"")
    assert {span.parent_span_id for span in spans.values()} == {first.span_id}
    # The processes share this machine's clock, so that their spans can be put in order.
    for (peer_id, name), span in spans.items():
        assert first.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        if name is SpanName.FINALITY:
            assert span.start_time_unix_nano == spans[peer_id, SpanName.BATCH].end_time_unix_nano


async def submit(http: httpx.AsyncClient, url: str) -> bytes:
    """Bring one proof to the node at `url`, and wait until it is final; its id."""
    account, place = dev_accounts()[0], (47.4979, 19.0402)
    signed = sign_payload(account.private_key, locate(*place, 10), *place, 5.0, SystemClock().now_ms(), "traced")
    answer = await http.post(f"{url}/proof/submit", json=signed, params={"wait_ms": 30_000}, timeout=LONGEST_SECONDS)
    assert answer.status_code == 200, answer.text
    return bytes.fromhex(answer.json()["proofId"][2:])


def spans_of(receiver: Receiver) -> dict[tuple[str, SpanName], Span]:
    """What each node, by its peer id, has told of each stage, once."""
    spans: dict[tuple[str, SpanName], Span] = {}
    for _, body in receiver.received:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            (peer_id,) = (
                one.value.string_value for one in of_resource.resource.attributes if one.key == "service.instance.id"
            )
            for scope in of_resource.scope_spans:
                for span in scope.spans:
                    assert (peer_id, span.name) not in spans
                    spans[peer_id, SpanName(span.name)] = span
    return spans
