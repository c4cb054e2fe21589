"""The two loads that every later figure is compared with, each on a new network of four, and the page about them.

The page is made by `make load` and by nothing else, so that what it says was measured, all of it, in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from step_node.testing.bench.networks import BATCH, DRAIN_SECONDS, batch_at, set_for_load
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.load.engine import Load, LoadSettings
from step_node.testing.load.report import LoadReport
from step_node.testing.machine import Conditions

VALIDATORS: Final = 4
ENGINE: Final = "SQLite"
CLIENT_CPU_SHARE: Final = 0.9
"""Of a core: a load that takes more may be what was measured, and not the network."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load: `rate` proofs a second for `seconds`."""

    name: str
    rate: float
    seconds: float

    @property
    def batch(self) -> int:
        """How many proofs go into a request."""
        return batch_at(self.rate, BATCH)

    @property
    def title(self) -> str:
        """Its heading on the page."""
        return f"{self.name}: {self.rate:,.0f} proofs/s for {self.seconds:g} s"


SCENARIOS: Final = (Scenario("Sustained", 1_000.0, 60.0), Scenario("Burst", 10_000.0, 5.0))


async def measure(scenario: Scenario, *, validators: int = VALIDATORS, tell: Callable[[str], None]) -> LoadReport:
    """Offer it to a network that has just begun. New accounts sign, as of clients that come for the first time."""
    tell(scenario.title)
    devnet = Devnet(DevnetSettings(validators=validators, base_port=0), report=tell)
    try:
        await devnet.prepare()
        set_for_load(devnet, {})
        await devnet.start()
        settings = LoadSettings(
            devnet.urls, scenario.rate, scenario.seconds, batch=scenario.batch, drain_seconds=DRAIN_SECONDS
        )
        report = await Load(settings, tell=tell).run()
    finally:
        await devnet.stop()
    tell(f"final {report.final:,} of {report.offered:,}, lost {report.lost}")
    return report


def page(conditions: Conditions, reports: Sequence[tuple[Scenario, LoadReport]]) -> str:
    """The page, in Markdown. It names no place and no machine, only what kind of machine it was."""
    busy = (
        "**The machine was busy with other things**: these are not the figures of a quiet one."
        if conditions.was_busy
        else "The machine had nothing else to do."
    )
    sections = [
        "# The load that others are compared with",
        "Made by `make load`; do not edit. Each load went to a new network of four validators, processes on one machine"
        " that the load ran on as well, over HTTP, an open loop ([how](benchmarks.md#loads)).",
        f"Run on {conditions.time[:10]} at {conditions.time[11:16]} UTC: {conditions.cores} cores"
        f" ({conditions.machine}), {ENGINE}, Python {conditions.python}, step-node {conditions.version}. {busy}",
        *(section for scenario, report in reports for section in _section(scenario, report)),
        "## Again",
        "```sh\nmake load\n```",
        "It takes three to four minutes, starts what it needs, and writes this page. Any other network is given such a"
        " load by `step-node load`; its `--json` prints everything that was counted.",
    ]
    return "\n\n".join(sections) + "\n"


def _section(scenario: Scenario, report: LoadReport) -> tuple[str, str, str]:
    rows = {
        "offered": _count(report.offered, report.offered_per_second),
        "accepted": _count(report.accepted, report.accepted_per_second),
        "refused": _refused(report),
        "final": _count(report.final, report.final_per_second),
        "finality p50": _milliseconds(report.finality_ms["p50"]),
        "finality p95": _milliseconds(report.finality_ms["p95"]),
        "finality p99": _milliseconds(report.finality_ms["p99"]),
        "lost": f"{report.lost:,}",
        "dropped": _by_code(report.dropped),
        "waited for a connection, p95": _milliseconds(report.sent_late_ms["p95"]),
        "CPU of the client": f"{report.own_cpu:.2f} cores",
        "CPU of the signers": f"{report.signing_cpu:.2f} cores",
    }
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])
    return f"## {scenario.title}", f"{scenario.batch} proofs in a request. {meaning(report)}", table


def meaning(report: LoadReport) -> str:
    """What a load has shown, in a sentence; in two where the client may have been what was slow."""
    latency = f"half of them within {_milliseconds(report.finality_ms['p50'])} and 95 % within"
    latency += f" {_milliseconds(report.finality_ms['p95'])} of when they were due"
    if report.lost:
        said = f"{report.lost:,} proofs that were accepted have been lost, which must not be."
    elif report.dropped:
        said = f"{sum(report.dropped.values()):,} proofs that were accepted have been dropped, which must not be."
    elif not report.final:
        said = "Nothing became final."
    elif report.final == report.offered:
        said = f"All that was offered became final, {latency}."
    else:
        share = f"{100 * report.final / report.offered:.0f} %"
        said = f"{share} of what was offered was accepted, and all of that became final, {latency}; {_told(report)}."
    if report.own_cpu >= CLIENT_CPU_SHARE:
        said += " The client took nearly a core, and may be what was slow."
    return said


def _told(report: LoadReport) -> str:
    without = [code for code in report.refused if report.retry_after_seconds.get(code) is None]
    if without:
        return f"the rest was refused, some of it without a time to come back ({', '.join(without)})"
    return "the rest was refused with a time to come back"


def _refused(report: LoadReport) -> str:
    told = []
    for code, count in report.refused.items():
        seconds = report.retry_after_seconds.get(code)
        told.append(f"`{code}` {count:,} (Retry-After {'missing' if seconds is None else f'from {seconds:g} s'})")
    return ", ".join(told) or "0"


def _by_code(counts: Mapping[str, int]) -> str:
    return ", ".join(f"`{code}` {count:,}" for code, count in counts.items()) or "0"


def _count(count: int, per_second: float) -> str:
    return f"{count:,} ({per_second:,.0f}/s)"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} ms"
