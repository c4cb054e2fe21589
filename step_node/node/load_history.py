"""The load of the last hour, remembered by the node itself, for who looks at it without Prometheus (`/status/history`).

Every half minute the counters that Prometheus would scrape are read, and what they have risen by since the last time is
one sample. Quantiles are estimated from the buckets of histograms, as Prometheus' `histogram_quantile` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric

from step_node.api.status.load import SAMPLE_SECONDS, SAMPLES_MAX, LoadSample
from step_node.api.status.node import NodeStatus
from step_node.clock import Clock

_ACCEPTED: Final = "step_proofs_accepted_total"
_FINALISED: Final = "step_proofs_finalised_total"
_REFUSED: Final = "step_proofs_refused_total"
_FINALITY: Final = "step_proof_finality_seconds_bucket"
_LAG: Final = "step_event_loop_lag_seconds_bucket"
_RESIDENT: Final = "process_resident_memory_bytes"
_READ: Final = (_ACCEPTED, _FINALISED, _REFUSED, _FINALITY, _LAG)

Buckets: TypeAlias = Mapping[float, float]
"""How many were at most so large, by that size; the last is infinity."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """Counters as they stand, with those of all labels added up, and buckets."""

    totals: Mapping[str, float]
    finality: Buckets
    lag: Buckets


class LoadHistory:
    """The samples of the last hour. `run` must be running; to be used from the event loop."""

    def __init__(self, registry: CollectorRegistry, status: Callable[[], NodeStatus], clock: Clock) -> None:
        self._registry = registry.restricted_registry(_READ)
        # Not the registered one, which has no names to be restricted by.
        self._process = ProcessCollector(registry=None)
        self._status = status
        self._clock = clock
        self._samples: deque[LoadSample] = deque(maxlen=SAMPLES_MAX)
        self._last = self._counted()

    def samples(self) -> tuple[LoadSample, ...]:
        """All that are kept, the oldest first."""
        return tuple(self._samples)

    async def run(self) -> None:
        """Take a sample every `SAMPLE_SECONDS`, until cancelled."""
        while True:
            await trio.sleep(SAMPLE_SECONDS)
            self.sample()

    def sample(self) -> None:
        """Take one of what has happened since the last."""
        before, now, status = self._last, self._counted(), self._status()
        self._last = now

        def risen(name: str) -> int:
            return round(now.totals[name] - before.totals[name])

        finality, lag = _new_in(before.finality, now.finality), _new_in(before.lag, now.lag)
        self._samples.append(
            LoadSample(
                at_ms=self._clock.now_ms(),
                proofs_accepted=risen(_ACCEPTED),
                proofs_finalised=risen(_FINALISED),
                proofs_refused=risen(_REFUSED),
                finality_p50_ms=_ms(quantile(finality, 0.5)),
                finality_p95_ms=_ms(quantile(finality, 0.95)),
                loop_lag_p95_ms=_ms(quantile(lag, 0.95)),
                height=status.height,
                mempool_proofs=status.mempool_proofs,
                peers=len(status.peers),
                resident_bytes=self._resident_bytes(),
            )
        )

    def _counted(self) -> _Counted:
        totals: dict[str, float] = dict.fromkeys((_ACCEPTED, _FINALISED, _REFUSED), 0.0)
        buckets: dict[str, dict[float, float]] = {_FINALITY: {}, _LAG: {}}
        for metric in self._registry.collect():
            for one in metric.samples:
                if one.name in totals:
                    totals[one.name] += one.value
                elif one.name in buckets:
                    buckets[one.name][float(one.labels["le"])] = one.value
        return _Counted(totals, buckets[_FINALITY], buckets[_LAG])

    def _resident_bytes(self) -> int | None:
        """None on systems without `/proc`."""
        metrics: Iterable[Metric] = self._process.collect()
        found = [one.value for metric in metrics for one in metric.samples if one.name == _RESIDENT]
        return round(found[0]) if found else None


def quantile(buckets: Buckets, share: float) -> float | None:
    """The value that a `share` of what is counted stays below, if it is spread evenly in each bucket; None of nothing.

    What lies beyond the last bound is taken to be at that bound.
    """
    total = buckets.get(inf, 0.0)
    if total <= 0:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            return lower if bound == inf else lower + (bound - lower) * (wanted - below) / (count - below)
        below, lower = count, bound
    return lower


def _new_in(before: Buckets, now: Buckets) -> Buckets:
    return {bound: count - before.get(bound, 0.0) for bound, count in now.items()}


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
