"""What a load has come to."""

from __future__ import annotations

import pytest

from step_node.testing.load.report import LoadReport, ProofFate, Waits, percentiles_ms, report_on


def _report(fates: list[ProofFate], waits: Waits | None = None) -> LoadReport:
    return report_on(
        fates,
        offered_seconds=2.0,
        sent_late_seconds=[0.0],
        waits=waits or Waits(),
        own_cpu_seconds=1.0,
        signing_cpu_seconds=0.5,
    )


def test_percentiles_are_by_nearest_rank_in_milliseconds() -> None:
    assert percentiles_ms(number / 1000 for number in range(1, 101)) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    assert percentiles_ms([]) == {"p50": None, "p95": None, "p99": None, "max": None}


def test_every_proof_is_counted_once() -> None:
    report = _report(
        [
            ProofFate(0.0, answered=0.1, final=1.0, is_accepted=True),
            ProofFate(0.5, answered=0.6, final=4.0, is_accepted=True),
            ProofFate(1.0, answered=1.1, is_accepted=True),
            ProofFate(1.0, answered=1.1, code="MORATORIUM", is_accepted=True),
            ProofFate(1.5, answered=1.6, code="MEMPOOL_FULL"),
        ]
    )
    assert (report.offered, report.accepted, report.final, report.lost) == (5, 4, 2, 1)
    assert report.refused == {"MEMPOOL_FULL": 1}
    assert report.dropped == {"MORATORIUM": 1}
    assert (report.offered_per_second, report.accepted_per_second) == (2.5, 2.0)
    assert report.final_per_second == 0.5  # Over the four seconds until the last was final.
    assert (report.own_cpu, report.signing_cpu) == (0.25, 0.125)


def test_latency_is_counted_from_when_a_proof_was_due() -> None:
    report = _report([ProofFate(1.0, answered=3.0, final=5.5, is_accepted=True)])
    assert report.acceptance_ms["p50"] == 2_000
    assert report.finality_ms["p50"] == 4_500
    assert report.finality_series_ms == ((1.0, 4_500.0),)


def test_a_proof_that_was_final_before_its_answer_came_is_final() -> None:
    # The batch may be seen first; only what was accepted counts, and in the end it was.
    report = _report([ProofFate(0.0, answered=2.0, final=1.0, is_accepted=True)])
    assert (report.final, report.lost) == (1, 0)


def test_the_shortest_time_to_come_back_is_kept_and_a_missing_one_not_forgotten() -> None:
    waits = Waits()
    for code, seconds in (("A", 5.0), ("A", 2.0), ("B", 1.0), ("B", None), ("B", 3.0)):
        waits.note(code, seconds)
    assert _report([ProofFate(0.0)], waits).retry_after_seconds == {"A": 2.0, "B": None}


def test_a_load_that_nobody_answered_is_a_report_too() -> None:
    report = _report([ProofFate(0.0, answered=1.0, code="NO_ANSWER")])
    assert (report.accepted, report.final, report.lost) == (0, 0, 0)
    assert report.as_json()["finality_ms"] == {"p50": None, "p95": None, "p99": None, "max": None}


def test_the_json_has_what_the_help_promises() -> None:
    assert list(_report([ProofFate(0.0)]).as_json()) == [
        *("offered", "accepted", "refused", "retry_after_seconds", "final", "dropped", "lost", "seconds"),
        *("offered_per_second", "accepted_per_second", "final_per_second", "acceptance_ms", "finality_ms"),
        *("sent_late_ms", "own_cpu", "signing_cpu"),
    ]


@pytest.mark.parametrize("order", [(None, 4.0), (4.0, None)])
def test_a_refusal_without_a_time_counts_in_any_order(order: tuple[float | None, float | None]) -> None:
    waits = Waits()
    for seconds in order:
        waits.note("A", seconds)
    assert waits.shortest == {"A": None}
