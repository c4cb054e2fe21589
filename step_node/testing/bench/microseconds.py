"""Where the processor's time of a proof goes: four validators under load, what they do added up by parts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from step_node.testing.bench.cpu_account import EVENT_LOOP, WRITE_SECONDS
from step_node.testing.bench.figures import Sample
from step_node.testing.bench.grown_homes import HomesPlan
from step_node.testing.bench.networks import running_network
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.bench.recovery import one_core_recoveries_per_second

VALIDATORS: Final = 4
RATE: Final = 300.0
"""Proofs a second: fewer than four validators on two cores keep up with, or waiting would be measured."""
SECONDS: Final = 20.0
BATCH: Final = 30
SETTLED_SECONDS: Final = 15.0
"""After the start, which reads the whole state once."""

PARTS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("signatures and bounds", ("check_stateless_many", "check_chunk")),
    ("storing a batch", ("SqliteStorage.finalise",)),
    ("reading the state", ("SqliteReads.load",)),
    ("building, judging", ("build_batch", "apply_judged")),
    ("outlines filled", ("decode_outline", "_fill", "decode_batch")),
    ("submissions read and answered", ("parse_submissions", "_outcomes_json", "batches.answers")),
    ("journal", ("Journal",)),
    ("log, guard", ("WriteAheadLog", "OwnKey", "RecordLog")),
    ("messages read", ("_handle_muxed_stream", "_handle_incoming", "Gossip.")),
    ("messages sent", ("handle_sending_messages", "Publications", "_gossip_accepted")),
    ("proofs of peers", ("_take_in_gossip", "_fetch_from", "_fetch_by_turns")),
    ("HTTP", ("Connection.run", "api.server")),
    ("admission", ("Admission.run",)),
    ("consensus, settlement", ("ConsensusDriver", "MachineRunner", "ConsensusReader")),
    ("event loop, threads", (EVENT_LOOP, "run_sync_soon")),
)
"""Parts by what occurs in the names of their tasks and jobs; the first that fits. The rest is "other"."""


@dataclass(frozen=True, slots=True)
class CpuSums:
    """Seconds of one process since its start: in all, and by part."""

    process: float
    parts: Mapping[str, float]

    @classmethod
    def of(cls, account: Path) -> CpuSums:
        """What a profiled node has written. Raises OSError, ValueError."""
        sums = json.loads(account.read_bytes())
        parts: defaultdict[str, float] = defaultdict(float)
        for name, seconds in [*sums["tasks"].items(), *sums["jobs"].items()]:
            parts[part_of(name)] += seconds
        return cls(sums["process"], parts)


def part_of(name: str) -> str:
    """The part that a task or a job of this name belongs to."""
    return next((part for part, marks in PARTS if any(mark in name for mark in marks)), "other")


def spent_per_proof(before: Sequence[CpuSums], after: Sequence[CpuSums], proofs: int) -> dict[str, float]:
    """Microseconds a proof and node, in all ("") and by part, between two looks at the same nodes."""
    spent: defaultdict[str, float] = defaultdict(float)
    for earlier, later in zip(before, after, strict=True):
        spent[""] += later.process - earlier.process
        for part, seconds in later.parts.items():
            spent[part] += seconds - earlier.parts.get(part, 0.0)
    # What no task and no job was: threads of the program's own, and waiting for the interpreter's lock.
    spent["other"] += spent[""] - sum(seconds for part, seconds in spent.items() if part)
    return {part: seconds * 1e6 / (proofs * len(before)) for part, seconds in spent.items()}


async def measure_microseconds(workshop: Workshop) -> Sample:
    """See the module's docstring."""
    accounts = [workshop.folder / f"cpu-{index}.json" for index in range(VALIDATORS)]
    async with running_network(workshop, HomesPlan(VALIDATORS, workshop.accounts), cpu_accounts=accounts) as network:
        await trio.sleep(SETTLED_SECONDS)
        before = [CpuSums.of(account) for account in accounts]
        report = await network.load(RATE, SECONDS, batch=BATCH)
        await trio.sleep(2 * WRITE_SECONDS)
        after = [CpuSums.of(account) for account in accounts]
    spent = spent_per_proof(before, after, report.final)
    total = spent.pop("")
    figures = dict(sorted(spent.items(), key=lambda item: -item[1]))
    yardstick = 1e6 / one_core_recoveries_per_second(workshop)
    return Sample(total, yardstick, {f"{part}, µs": value for part, value in figures.items()})


PLANS: Final = (
    RowPlan(
        "microseconds",
        f"the processor's time that a proof takes on each of four validators, {RATE:g} a second, and where it goes",
        "µs",
        measure_microseconds,
        runs=1,
        limit_is="one bare recovery",
    ),
)
