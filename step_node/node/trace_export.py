"""Spans told to whatever understands OTLP over HTTP, by OpenTelemetry's SDK, which is imported only if that is wanted.

A thread of the SDK's sends them, so that nothing of the node waits for the receiver. What it does not take is thrown
away: up to `SPANS_WAITING_MAX` wait, and each attempt has `SEND_SECONDS_MAX`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from step_node import __version__
from step_node.errors import StepNodeError
from step_node.home.config import TelemetryConfig
from step_node.proof_traces import ProofSpan, ProofTraces, SpanName

SPANS_WAITING_MAX: Final = 8_192
"""Spans that wait to be sent; one more is thrown away."""
SPANS_AT_ONCE_MAX: Final = 512
"""Spans in one request."""
SEND_INTERVAL_MS: Final = 1_000
SEND_SECONDS_MAX: Final = 5
LAST_SEND_SECONDS_MAX: Final = 3.0
"""How long a node that stops waits for the receiver of its last spans."""


@asynccontextmanager
async def open_traces(settings: TelemetryConfig, *, peer_id: str, chain_id: str) -> AsyncIterator[ProofTraces | None]:
    """Traces that are told as the settings say; None where they are off. Raises StepNodeError without the extra."""
    if settings.traces_endpoint is None or settings.traces_ratio == 0:
        yield None
        return
    exporter = _exporter(settings.traces_endpoint, peer_id, chain_id)
    try:
        yield ProofTraces(exporter.emit, ratio=settings.traces_ratio, now_ns=time.time_ns)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_SEND_SECONDS_MAX):
            await trio.to_thread.run_sync(exporter.close, abandon_on_cancel=True)


def _exporter(endpoint: str, peer_id: str, chain_id: str) -> SpanExporter:
    try:
        return SpanExporter(endpoint, peer_id=peer_id, chain_id=chain_id)
    except ModuleNotFoundError as error:
        raise StepNodeError(
            f"telemetry.traces_endpoint: the package {error.name} is missing; install it with `pip install"
            " 'step-node[telemetry]'`, or leave the setting out"
        ) from error


class SpanExporter:
    """OpenTelemetry's side. Raises ModuleNotFoundError if it is not installed."""

    def __init__(self, endpoint: str, *, peer_id: str, chain_id: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        class Ids(RandomIdGenerator):
            """Random ones, but where the next span's are known."""

            def __init__(self) -> None:
                self.next: tuple[int, int] | None = None

            def generate_trace_id(self) -> int:
                return super().generate_trace_id() if self.next is None else self.next[0]

            def generate_span_id(self) -> int:
                return super().generate_span_id() if self.next is None else self.next[1]

        resource = Resource(
            {
                "service.name": "step-node",
                "service.version": __version__,
                "service.instance.id": peer_id,
                "step.chain_id": chain_id,
            }
        )
        self._trace = trace
        self._ids = Ids()
        # Which proofs are traced is decided before: here all that come are kept.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS_MAX),
                max_queue_size=SPANS_WAITING_MAX,
                max_export_batch_size=SPANS_AT_ONCE_MAX,
                schedule_delay_millis=SEND_INTERVAL_MS,
            )
        )
        self._tracer = self._provider.get_tracer("step_node", __version__)
        self._kinds = {
            SpanName.SUBMISSION: trace.SpanKind.SERVER,
            SpanName.GOSSIP_SENT: trace.SpanKind.PRODUCER,
            SpanName.GOSSIP_HEARD: trace.SpanKind.CONSUMER,
        }

    def emit(self, span: ProofSpan) -> None:
        """Have it sent. On the event loop alone."""
        trace = self._trace
        start = partial(
            self._tracer.start_span,
            span.name.value,
            kind=self._kinds.get(span.name, trace.SpanKind.INTERNAL),
            start_time=span.began_ns,
            attributes=span.attributes,
        )
        if span.parent_id is None:
            self._ids.next = None if span.span_id is None else (span.trace_id, span.span_id)
            try:
                started = start(context=trace.set_span_in_context(trace.INVALID_SPAN))
            finally:
                self._ids.next = None
        else:
            parent = trace.SpanContext(
                span.trace_id, span.parent_id, is_remote=True, trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED)
            )
            started = start(context=trace.set_span_in_context(trace.NonRecordingSpan(parent)))
        started.end(end_time=span.ended_ns)

    def close(self) -> None:
        """Send what waits, as far as it is taken, and stop the thread."""
        self._provider.force_flush(int(LAST_SEND_SECONDS_MAX * 1000))
        self._provider.shutdown()
