"""A node remembers its load of the last hour, and no more, in samples of what has risen since the one before."""

from __future__ import annotations

from math import inf
from typing import cast

import pytest
import trio
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from step_node.api.status.load import SAMPLE_SECONDS, SAMPLES_MAX, LoadSample
from step_node.api.status.node import NodeStatus, PeerStatus
from step_node.metrics import NodeMetrics
from step_node.node.load_history import LoadHistory, quantile
from tests.api.made_up_node import SetClock

START_MS = 1_767_225_600_000


class _Status:
    """Of a node, the three things that samples tell."""

    height = 42
    mempool_proofs = 3
    peers = (PeerStatus("16Uiu2one", "/ip4/192.0.2.1/tcp/26600", True, "0.1.0", 3, None),)


@pytest.fixture
def metrics() -> NodeMetrics:
    return NodeMetrics(CollectorRegistry())


def history_of(metrics: NodeMetrics) -> LoadHistory:
    """What remembers these metrics."""
    return LoadHistory(metrics._registry, lambda: cast(NodeStatus, _Status()), SetClock(START_MS))


def test_a_sample_tells_what_has_happened_since_the_one_before(metrics: NodeMetrics) -> None:
    metrics.proofs_accepted(1_000)
    history = history_of(metrics)
    metrics.proofs_accepted(7)
    metrics.proof_refused("TOO_FAST", "api")
    metrics.proof_refused("MORATORIUM", "peer")
    for duration_ms in (600, 700, 800, 2_500):
        metrics.proof_final_after(duration_ms)
    metrics.event_loop_late(0.0004)
    history.sample()
    history.sample()
    first, second = history.samples()
    assert (first.proofs_accepted, first.proofs_finalised, first.proofs_refused) == (7, 0, 2)
    assert (first.at_ms, first.height, first.mempool_proofs, first.peers) == (START_MS, 42, 3, 1)
    # Two of four are in the bucket from 500 to 750 ms: the second of them is at its end.
    assert first.finality_p50_ms == 750
    assert first.finality_p95_ms is not None
    assert 2_000 < first.finality_p95_ms <= 3_000
    assert first.loop_lag_p95_ms == 1
    assert (second.proofs_accepted, second.proofs_refused) == (0, 0)
    assert (second.finality_p50_ms, second.finality_p95_ms, second.loop_lag_p95_ms) == (None, None, None)


def test_the_memory_of_the_process_is_told_where_the_system_tells_it(metrics: NodeMetrics) -> None:
    history = history_of(metrics)
    history.sample()
    (sample,) = history.samples()
    assert sample.resident_bytes is None or sample.resident_bytes > 2**20


async def test_the_oldest_go_when_an_hour_is_full(
    metrics: NodeMetrics,
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    history = history_of(metrics)
    assert SAMPLES_MAX * SAMPLE_SECONDS == 3_600
    with trio.move_on_after(SAMPLE_SECONDS * 1.5):
        await history.run()
    (oldest,) = history.samples()
    metrics.proofs_accepted(5)
    with trio.move_on_after(SAMPLE_SECONDS * (SAMPLES_MAX + 0.5)):
        await history.run()
    samples: tuple[LoadSample, ...] = history.samples()
    assert len(samples) == SAMPLES_MAX
    assert oldest not in samples[:1]
    assert samples[0].proofs_accepted == 5


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({1.0: 0, inf: 0}, 0.5, None),
        ({1.0: 4, inf: 4}, 0.5, 0.5),
        ({1.0: 2, 2.0: 4, inf: 4}, 0.75, 1.5),
        ({1.0: 0, 2.0: 4, inf: 4}, 1.0, 2.0),
        # Nobody knows how far beyond.
        ({1.0: 0, 2.0: 0, inf: 4}, 0.5, 2.0),
    ],
)
def test_quantiles_are_those_of_prometheus(buckets: dict[float, float], share: float, expected: float | None) -> None:
    assert quantile(buckets, share) == expected
