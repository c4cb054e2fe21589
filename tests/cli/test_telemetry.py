"""A real process that tells traces and errors to receivers elsewhere, as its settings say."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from step_node.home.config import load_config
from step_node.home.paths import NodeHome
from step_node.proof_traces import SpanName, trace_id_of
from tests.api.made_up_node import Walker
from tests.cli.conftest import Start, read_until
from tests.support.http_receiver import http_receiver

pytestmark = [pytest.mark.slow, pytest.mark.long]
SECONDS_MAX = 120.0


def test_a_node_tells_its_traces_and_its_errors_elsewhere(home: NodeHome, start: Start, password_file: Path) -> None:
    home.data.mkdir(exist_ok=True)
    home.snapshots.write_text("a file in the place of the folder: an error of the log")
    with http_receiver() as receiver, http_receiver() as of_errors:
        dsn = f"http://0123456789abcdef@127.0.0.1:{of_errors.port}/1"
        text = home.config.read_text()
        home.config.write_text(text.replace("[telemetry]\n", f'[telemetry]\nerrors_dsn = "{dsn}"\n'))
        node = start(
            *("start", "--home", home.root, "--password-file", password_file),
            *("--set", f"telemetry.traces_endpoint=http://127.0.0.1:{receiver.port}/v1/traces"),
            *("--set", "telemetry.traces_ratio=1.0"),
        )
        read_until(node, "Running.")
        url = f"http://127.0.0.1:{load_config(home.config).api.port}"
        submission = Walker(9).proof(time.time_ns() // 1_000_000)
        answer = httpx.post(f"{url}/proof/submit?wait_ms=30000", json=submission, timeout=60.0)
        assert answer.status_code == 200, answer.text
        (_, envelope), *_ = of_errors.wait_for(1)
        node.terminate()
        assert node.wait(SECONDS_MAX) == 0
        requests = [ExportTraceServiceRequest.FromString(body) for _, body in receiver.received]
    spans = [
        span
        for request in requests
        for of_resource in request.resource_spans
        for scope in of_resource.scope_spans
        for span in scope.spans
    ]
    proof_id = bytes.fromhex(answer.json()["proofId"][2:])
    assert {span.trace_id for span in spans} == {trace_id_of(proof_id).to_bytes(16)}
    assert {span.name for span in spans} == set(SpanName) - {SpanName.GOSSIP_HEARD}
    event = json.loads(envelope.splitlines()[2])
    assert event["message"].startswith("the folder of snapshots cannot be used")
    assert str(home.root) not in envelope.decode()
