"""What a load has come to: counts, percentiles, rates. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

PERCENTILES = (50, 95, 99)


def percentile(ascending: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of values in ascending order, to a tenth; None of no values."""
    if not ascending:
        return None
    return round(ascending[max(0, math.ceil(percent / 100 * len(ascending)) - 1)], 1)


def percentiles_ms(seconds: Iterable[float]) -> dict[str, float | None]:
    """`p50`, `p95`, `p99` and `max`, milliseconds; None of no values."""
    ascending = sorted(one * 1000 for one in seconds)
    shares = {f"p{percent}": percentile(ascending, percent) for percent in PERCENTILES}
    return shares | {"max": percentile(ascending, 100)}


@dataclass(slots=True)
class ProofFate:
    """What became of one proof, in seconds from the load's beginning; None for what has not happened.

    `code` is why it was refused at once, or dropped later.
    """

    due: float
    answered: float | None = None
    final: float | None = None
    code: str | None = None
    is_accepted: bool = False


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The final table. Latencies are counted from when a proof was due, so that a stall is in them."""

    offered: int
    accepted: int
    refused: Mapping[str, int]
    retry_after_seconds: Mapping[str, float | None]
    """By code: the shortest `Retry-After` that came with it, None where one was missing."""
    final: int
    dropped: Mapping[str, int]
    lost: int
    """Accepted, and neither final nor dropped when the load was over."""
    seconds: float
    """From the beginning to the last finality, or answer."""
    offered_per_second: float
    accepted_per_second: float
    final_per_second: float
    acceptance_ms: Mapping[str, float | None]
    finality_ms: Mapping[str, float | None]
    sent_late_ms: Mapping[str, float | None]
    """How long after it was due a request found a free connection: large values say that the load had to wait."""
    own_cpu: float
    """Seconds of CPU a second that the load itself took."""
    signing_cpu: float
    """The same of the processes that signed, while it ran and before."""
    finality_series_ms: Sequence[tuple[float, float | None]] = field(default_factory=tuple)
    """(second, p95 of the proofs that were due in it), for a look at how latency comes and goes."""

    def as_json(self) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "offered": self.offered,
            "accepted": self.accepted,
            "refused": dict(self.refused),
            "retry_after_seconds": dict(self.retry_after_seconds),
            "final": self.final,
            "dropped": dict(self.dropped),
            "lost": self.lost,
            "seconds": round(self.seconds, 2),
            "offered_per_second": round(self.offered_per_second, 1),
            "accepted_per_second": round(self.accepted_per_second, 1),
            "final_per_second": round(self.final_per_second, 1),
            "acceptance_ms": dict(self.acceptance_ms),
            "finality_ms": dict(self.finality_ms),
            "sent_late_ms": dict(self.sent_late_ms),
            "own_cpu": round(self.own_cpu, 3),
            "signing_cpu": round(self.signing_cpu, 3),
        }


@dataclass(slots=True)
class Waits:
    """The `Retry-After` headers of refusals, by code."""

    shortest: dict[str, float | None] = field(default_factory=dict)

    def note(self, code: str, seconds: float | None) -> None:
        """One refusal with this header, None for none."""
        known = self.shortest.get(code, math.inf)
        self.shortest[code] = None if seconds is None or known is None else min(known, seconds)


def report_on(
    fates: Sequence[ProofFate],
    *,
    offered_seconds: float,
    sent_late_seconds: Sequence[float],
    waits: Waits,
    own_cpu_seconds: float,
    signing_cpu_seconds: float,
) -> LoadReport:
    """Put together what is known of every proof. `offered_seconds` is how long proofs were due."""
    accepted = [fate for fate in fates if fate.is_accepted]
    final = [fate for fate in accepted if fate.final is not None]
    ends = [moment for fate in fates for moment in (fate.answered, fate.final) if moment is not None]
    last_final = max((fate.final or 0.0 for fate in final), default=0.0)
    seconds = max(ends, default=0.0)
    dropped = Counter(fate.code for fate in accepted if fate.final is None and fate.code is not None)
    refused = Counter(fate.code for fate in fates if not fate.is_accepted and fate.code is not None)
    return LoadReport(
        offered=len(fates),
        accepted=len(accepted),
        refused=dict(sorted(refused.items())),
        retry_after_seconds=dict(sorted(waits.shortest.items())),
        final=len(final),
        dropped=dict(sorted(dropped.items())),
        lost=len(accepted) - len(final) - dropped.total(),
        seconds=seconds,
        offered_per_second=len(fates) / offered_seconds,
        accepted_per_second=len(accepted) / offered_seconds,
        final_per_second=len(final) / max(last_final, offered_seconds),
        acceptance_ms=percentiles_ms(fate.answered - fate.due for fate in accepted if fate.answered is not None),
        finality_ms=percentiles_ms(fate.final - fate.due for fate in final if fate.final is not None),
        sent_late_ms=percentiles_ms(sent_late_seconds),
        own_cpu=own_cpu_seconds / max(seconds, offered_seconds),
        signing_cpu=signing_cpu_seconds / max(seconds, offered_seconds),
        finality_series_ms=_by_second(final),
    )


def _by_second(final: Sequence[ProofFate]) -> tuple[tuple[float, float | None], ...]:
    seconds: dict[int, list[float]] = {}
    for fate in final:
        if fate.final is not None:
            seconds.setdefault(int(fate.due), []).append(fate.final - fate.due)
    return tuple((float(second), percentiles_ms(found)["p95"]) for second, found in sorted(seconds.items()))
