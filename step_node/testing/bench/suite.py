"""All rows of the benchmark in their order, running them, and what is written down for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from step_node.durable.atomic_file import write_atomically
from step_node.testing.bench import (
    economy_answers,
    economy_rows,
    growth,
    idle,
    ledger_rows,
    mesh_rows,
    microseconds,
    networks,
    nodes,
    reading,
    recovery,
    syncing,
    telemetry,
    wan,
    written,
)
from step_node.testing.bench.figures import Row, Sample, rounded, summarise
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.machine import Conditions

PLANS: Final[tuple[RowPlan, ...]] = (
    *recovery.PLANS,
    *mesh_rows.PLANS,
    *ledger_rows.PLANS,
    *economy_rows.PLANS,
    *economy_answers.PLANS,
    *growth.PLANS,
    *idle.PLANS,
    *networks.PLANS,
    *reading.PLANS,
    *microseconds.PLANS,
    *telemetry.PLANS,
    *written.PLANS,
    *nodes.PLANS,
    *syncing.PLANS,
    *wan.PLANS,
)


async def run_rows(
    plans: Iterable[RowPlan],
    workshop: Workshop,
    *,
    runs: int | None = None,
    on_row: Callable[[Row], None] = lambda _row: None,
) -> list[Row]:
    """Run each row, `runs` times or as often as it is planned; `on_row` is told of each as it is done."""
    rows = []
    for plan in plans:
        samples: list[Sample] = []
        for number in range(runs or plan.runs):
            workshop.tell(f"{plan.name}: run {number + 1} of {runs or plan.runs}")
            samples.append(await plan.measure(workshop))
        row = summarise(plan.name, plan.unit, plan.bar, samples)
        rows.append(row)
        on_row(row)
    return rows


def results(rows: Sequence[Row], *, accounts: int, was_busy: bool) -> dict[str, object]:
    """What `results.json` holds: each row with all of its figures, and on what machine they were measured."""
    return {
        **Conditions.now(was_busy=was_busy).model_dump(),
        "accounts": accounts,
        "rows": [
            row.as_json()
            | {
                "figures": {name: rounded(value) for name, value in row.figures.items()},
                "failures": list(row.failures),
                "details": list(row.details),
            }
            for row in rows
        ],
    }


async def write_results(path: Path, content: dict[str, object]) -> None:
    """Write it, whole or not at all, making the folder where there is none."""

    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=2).encode() + b"\n", replace=True)

    await trio.to_thread.run_sync(write)
