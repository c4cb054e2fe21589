"""For each alert a history of what nodes show, a minute a sample, in which it comes and goes.

Histories are written as phases: `level((0, 30), (1, 20))` is 0 for thirty minutes, then 1 for twenty; in `growing` the
first number is what is added each minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final

Phase = tuple[float, int]
"""A value, or an increase, and for how many minutes."""


@dataclass(frozen=True)
class Case:
    """In the minute `fires` the alert fires, in the minutes `quiet` it does not; `series` are the histories."""

    alert: str
    series: dict[str, str]
    fires: int
    quiet: tuple[int, ...]


def level(*phases: Phase) -> str:
    """A gauge's history."""
    return _text(chain.from_iterable([value] * minutes for value, minutes in phases))


def growing(*phases: Phase, start: float = 0) -> str:
    """A counter's history, or that of a gauge that grows."""
    steps = chain.from_iterable([step] * minutes for step, minutes in phases)
    return _text(accumulate(steps, initial=start))


def _text(values: Iterator[float] | accumulate[float]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _reason(code: str, *phases: Phase) -> dict[str, str]:
    return {f'step_health_reason{{{NODE}, code="{code}"}}': level(*phases)}


def _guardrail(name: str, *phases: Phase) -> dict[str, str]:
    return {f'step_guardrail_broken{{{NODE}, guardrail="{name}"}}': level(*phases)}


def _histogram(name: str, *, slower_than: str, phases: tuple[Phase, ...]) -> dict[str, str]:
    """A histogram of three buckets: what `phases` count a minute is slower than the first; else sixty are quicker."""
    quick = tuple((60.0 if count == 0 else 0.0, minutes) for count, minutes in phases)
    every = tuple((slow + fast, minutes) for (slow, minutes), (fast, _) in zip(phases, quick, strict=True))
    return {
        f'{name}_bucket{{{NODE}, le="{slower_than}"}}': growing(*quick),
        f'{name}_bucket{{{NODE}, le="{float(slower_than) * 4:g}"}}': growing(*every),
        f'{name}_bucket{{{NODE}, le="+Inf"}}': growing(*every),
    }


NODE: Final = 'job="step-node", instance="node0:8601"'

CASES: Final = (
    Case("StepChainStalled", _reason("HEIGHT_UNDECIDED", (0, 10), (1, 10), (0, 10)), 12, (5, 10, 25)),
    Case("StepNoQuorum", _reason("NO_QUORUM", (0, 10), (1, 10), (0, 10)), 14, (5, 11, 25)),
    Case("StepForkSeen", {f"step_forks_seen_total{{{NODE}}}": level((0, 10), (1, 10), (0, 10))}, 11, (5, 25)),
    Case("StepForkSeen", _reason("FINALITY_BROKEN", (0, 10), (1, 10), (0, 10)), 11, (5, 25)),
    Case(
        "StepFinalitySlow",
        _histogram("step_proof_finality_seconds", slower_than="10", phases=((0, 20), (60, 20), (0, 30))),
        30,
        (15, 60),
    ),
    Case(
        "StepValidatorAbsent",
        {f'step_validator_absent_batches{{{NODE}, validator="0x11"}}': level((0, 10), (9, 10), (30, 10), (0, 10))},
        25,
        (5, 15, 35),
    ),
    Case(
        "StepOwnHeightsMissed",
        {f"step_own_votes_missed_total{{{NODE}}}": growing((0.1, 30), (5, 20), (0, 40))},
        45,
        (25, 80),
    ),
    *(
        Case("StepValidatorOutOfSet", _reason(code, (0, 10), (1, 20), (0, 10)), 20, (5, 13, 35))
        for code in ("KEY_JAILED", "KEY_LEFT", "KEY_NOT_A_VALIDATORS", "KEY_NOT_HERE", "KEY_REPLACED")
    ),
    Case(
        "StepDoubleSignRefused",
        {f"step_double_signs_refused_total{{{NODE}}}": level((0, 10), (1, 100))},
        12,
        (5, 100),
    ),
    Case(
        "StepValidatorSlashed",
        {f'step_validators_slashed_total{{{NODE}, kind="DOUBLE_SIGN"}}': level((0, 10), (1, 100))},
        12,
        (5, 100),
    ),
    Case("StepNodeDown", {f"up{{{NODE}}}": level((1, 10), (0, 10), (1, 10))}, 15, (5, 11, 25)),
    Case(
        "StepPeersLost",
        {
            f'step_peers{{{NODE}, direction="inbound"}}': level((4, 20), (1, 20), (4, 20)),
            f'step_peers{{{NODE}, direction="outbound"}}': level((4, 20), (1, 20), (4, 20)),
        },
        30,
        (10, 22, 50),
    ),
    Case("StepClockOff", {f"step_clock_ahead_seconds{{{NODE}}}": level((0.2, 10), (7, 20), (0.1, 10))}, 20, (5, 35)),
    Case("StepClockOff", {f"step_clock_ahead_seconds{{{NODE}}}": level((0.2, 10), (-3, 20), (0.1, 10))}, 20, (5, 35)),
    *(
        Case("StepStoreDown", _reason(code, (0, 10), (1, 10), (0, 10)), 15, (5, 25))
        for code in ("STORE_READS_FAIL", "STORE_WRITES_FAIL", "JOURNAL_FAILS")
    ),
    Case(
        "StepStoreSlow",
        _histogram("step_store_answer_seconds", slower_than="0.5", phases=((0, 20), (30, 30), (0, 30))),
        40,
        (15, 75),
    ),
    Case(
        "StepStoreSlow",
        _histogram("step_store_write_seconds", slower_than="2", phases=((0, 20), (30, 30), (0, 30))),
        40,
        (15, 75),
    ),
    Case(
        "StepDiskSoonFull",
        {
            f"step_disk_free_bytes{{{NODE}}}": level((50e9, 20), (8e9, 30), (50e9, 30)),
            f"step_disk_size_bytes{{{NODE}}}": level((100e9, 80)),
        },
        40,
        (15, 25, 70),
    ),
    Case(  # 40 GB left of 100, and 0.6 GB less every hour; then somebody makes room, and it stays.
        "StepDiskSoonFull",
        {
            f"step_disk_free_bytes{{{NODE}}}": growing((0, 600), (-1e7, 600), (8e10, 1), (0, 600), start=40e9),
            f"step_disk_size_bytes{{{NODE}}}": level((100e9, 1_800)),
        },
        1_150,
        (500, 1_700),
    ),
    Case(
        "StepDiskFull",
        {
            f"step_disk_free_bytes{{{NODE}}}": level((50e9, 20), (1e9, 20), (50e9, 20)),
            f"step_disk_size_bytes{{{NODE}}}": level((100e9, 60)),
        },
        30,
        (15, 50),
    ),
    Case(  # 40 days, then 20 for a day and a half; then somebody makes room.
        "StepDiskFullForecast",
        {f"step_disk_full_seconds{{{NODE}}}": level((40 * 86_400, 120), (20 * 86_400, 2_160), (60 * 86_400, 120))},
        2_000,
        (100, 1_400, 2_380),
    ),
    Case("StepUpgradeNeeded", _reason("UPGRADE_NEEDED", (0, 10), (1, 30), (0, 10)), 30, (5, 18, 45)),
    Case(
        "StepMempoolFull",
        {
            f"step_mempool_proofs{{{NODE}}}": level((800, 10), (950, 10), (100, 10)),
            f"step_mempool_proofs_max{{{NODE}}}": level((1_000, 30)),
        },
        15,
        (5, 25),
    ),
    Case("StepIntakeShed", {f"step_intake_shed{{{NODE}}}": level((0, 10), (1, 10), (0, 10))}, 15, (5, 10, 25)),
    Case("StepIntakePaused", {f"step_intake_paused{{{NODE}}}": level((0, 10), (1, 40), (0, 10))}, 45, (5, 35, 55)),
    Case(
        "StepIntakeLimited", {f"step_intake_percent{{{NODE}}}": level((100, 10), (10, 40), (100, 10))}, 45, (5, 35, 55)
    ),
    *(
        Case("StepLedgerUnsound", _guardrail(name, (0, 10), (1, 10), (0, 10)), 12, (5, 25))
        for name in ("rewards", "clicks", "validators_share", "supply", "balances", "conservation")
    ),
    *(
        Case("StepEconomyDrifts", _guardrail(name, (0, 10), (1, 20), (0, 10)), 20, (5, 12, 35))
        for name in ("minting_rate", "concentration", "orphaned_stake")
    ),
    *(
        Case(
            "StepFairnessDrifts",
            {
                f"step_fairness_{name}_drift{{{NODE}}}": level((0.05, 10), (shifted, 20), (-0.05, 10)),
                f"step_fairness_accounts{{{NODE}}}": level((100, 40)),
            },
            20,
            (5, 35),
        )
        for name in ("income_gini", "income_top_share")
        for shifted in (0.051, -0.051)
    ),
    Case(  # Of a few accounts a shift means nothing.
        "StepFairnessDrifts",
        {
            f"step_fairness_income_gini_drift{{{NODE}}}": level((0.3, 60)),
            f"step_fairness_accounts{{{NODE}}}": level((99, 20), (100, 20), (99, 20)),
        },
        30,
        (15, 50),
    ),
    Case(  # Switched off for half an hour.
        "StepGuardrailsBlind",
        {
            f"step_height{{{NODE}}}": growing((60, 60)),
            f"step_guardrails_checked_height{{{NODE}}}": growing((60, 10), (0, 30), (1_860, 1), (60, 19)),
        },
        30,
        (8, 14, 50),
    ),
    Case(  # Errors, and half an hour later what is refused while the intake is paused.
        "StepApiErrors",
        {
            f'step_api_request_duration_seconds_count{{{NODE}, status="2xx"}}': growing((100, 140)),
            f'step_api_request_duration_seconds_count{{{NODE}, status="5xx"}}': growing(
                (0.1, 20), (10, 30), (0.1, 30), (100, 30), (0.1, 30)
            ),
            f"step_intake_paused{{{NODE}}}": level((0, 80), (1, 30), (0, 30)),
            f"step_intake_shed{{{NODE}}}": level((0, 140)),
        },
        40,
        (15, 70, 95, 108, 118, 130),
    ),
    Case(
        "StepRestartLoop",
        {f"process_start_time_seconds{{{NODE}}}": level((0, 30), (1800, 2), (1920, 2), (2040, 2), (2160, 60))},
        38,
        (25, 33, 60),
    ),
    Case(
        "StepEventLoopLagging",
        _histogram("step_event_loop_lag_seconds", slower_than="0.5", phases=((0, 20), (60, 30), (0, 30))),
        40,
        (15, 75),
    ),
    Case(  # 300 MB, then 1 MB more each minute until it is started anew.
        "StepMemoryGrowing",
        {
            f"process_resident_memory_bytes{{{NODE}}}": growing((0, 600), (1e6, 400), (-4e8, 1), (0, 98), start=3e8),
            f"process_start_time_seconds{{{NODE}}}": level((0, 1_001), (60_060, 99)),
        },
        990,
        (500, 700, 1_050),
    ),
    Case(
        "StepDescriptorsGrowing",
        {
            f"process_open_fds{{{NODE}}}": growing((0, 600), (1, 400), (-4, 100), (0, 100), start=150),
            f"process_max_fds{{{NODE}}}": level((16_384, 1_200)),
            f"process_start_time_seconds{{{NODE}}}": level((0, 1_200)),
        },
        995,
        (500, 650, 1_190),
    ),
    Case(
        "StepDescriptorsGrowing",
        {
            f"process_open_fds{{{NODE}}}": level((100, 30), (900, 30), (100, 30)),
            f"process_max_fds{{{NODE}}}": level((1_024, 90)),
        },
        50,
        (25, 80),
    ),
)

HEALTHY: Final = {
    f"up{{{NODE}}}": level((1, 900)),
    **_reason("HEIGHT_UNDECIDED", (0, 900)),
    f"step_own_votes_missed_total{{{NODE}}}": growing((0.01, 900)),
    f"step_forks_seen_total{{{NODE}}}": level((0, 900)),
    f'step_validator_absent_batches{{{NODE}, validator="0x11"}}': level(*[(0, 59), (2, 1)] * 15),
    f'step_peers{{{NODE}, direction="inbound"}}': level(*[(9, 30), (7, 30)] * 15),
    f"step_clock_ahead_seconds{{{NODE}}}": level((0.05, 900)),
    f"step_disk_size_bytes{{{NODE}}}": level((100e9, 900)),
    f"step_disk_free_bytes{{{NODE}}}": growing((-2e5, 900), start=45e9),
    f"step_disk_full_seconds{{{NODE}}}": level((float("inf"), 100), (400 * 86_400, 800)),
    **_reason("UPGRADE_NEEDED", (0, 900)),
    f"step_mempool_proofs{{{NODE}}}": level(*[(10, 30), (700, 30)] * 15),
    f"step_mempool_proofs_max{{{NODE}}}": level((1_000, 900)),
    f"step_intake_percent{{{NODE}}}": level((100, 900)),
    f"step_fairness_income_gini_drift{{{NODE}}}": level((0.05, 450), (-0.05, 450)),
    f"step_fairness_income_top_share_drift{{{NODE}}}": level((-0.02, 900)),
    f"step_fairness_accounts{{{NODE}}}": level((5_000, 900)),
    **_guardrail("supply", (0, 900)),
    f"step_height{{{NODE}}}": growing((60, 900)),
    f"step_guardrails_checked_height{{{NODE}}}": growing((59, 1), (60, 899)),
    f'step_api_request_duration_seconds_count{{{NODE}, status="2xx"}}': growing((100, 900)),
    f'step_api_request_duration_seconds_count{{{NODE}, status="5xx"}}': growing((0.1, 900)),
    f"process_start_time_seconds{{{NODE}}}": level((0, 450), (27_000, 450)),
    f"process_resident_memory_bytes{{{NODE}}}": f"{growing((2e5, 450), start=4e8)} {growing((2e5, 449), start=4e8)}",
    f"process_open_fds{{{NODE}}}": level(*[(150, 30), (500, 30)] * 15),
    f"process_max_fds{{{NODE}}}": level((16_384, 900)),
}
"""Fifteen hours of a node that is well: restarted once, busy at times, its disk filling up within months."""
