"""The row `telemetry`: what it measures is an intake that takes everything in, and spans that are really told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from step_node.proof_traces import SpanName
from step_node.testing.bench import telemetry
from step_node.testing.bench.discarding_receiver import discarding_receiver
from step_node.testing.bench.plans import Workshop
from tests.support.http_receiver import http_receiver

PROOFS = 300
"""More than a chunk."""


async def test_every_proof_is_taken_in_each_time_and_its_three_spans_are_told_where_it_is_traced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_receiver() as received:

        @contextmanager
        def receiver() -> Iterator[str]:
            yield f"http://127.0.0.1:{received.port}/v1/traces"

        monkeypatch.setattr(telemetry, "discarding_receiver", receiver)
        monkeypatch.setattr(telemetry, "PROOFS", PROOFS)
        sample = await telemetry.measure_admission(Workshop(tmp_path))
    assert sample.value > 0
    assert sample.limit
    spans = [
        span
        for _, body in received.received
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in of_resource.scope_spans
        for span in scope.spans
    ]
    of_intake = (SpanName.ADMISSION, SpanName.GOSSIP_SENT, SpanName.SUBMISSION)
    # Once to warm up, once measured.
    assert {name: sum(span.name == name for span in spans) for name in of_intake} == dict.fromkeys(
        of_intake, 2 * PROOFS
    )
    assert len({span.trace_id for span in spans}) == PROOFS


def test_the_receiver_of_a_measurement_takes_what_is_posted_and_ends() -> None:
    with discarding_receiver() as url:
        assert httpx.post(url, content=b"anything", trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, content=b"anything", trust_env=False)
