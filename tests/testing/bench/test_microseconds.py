"""Where a proof's time goes: what is put down, and to which part."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import trio

from step_node.testing.bench import microseconds
from step_node.testing.bench.cpu_account import CpuAccount, install
from step_node.testing.bench.microseconds import PARTS, CpuSums, part_of, spent_per_proof
from step_node.testing.bench.plans import Workshop

BUSY_SECONDS = 0.2


def be_busy() -> None:
    began = time.thread_time()
    while time.thread_time() - began < BUSY_SECONDS:
        pass


async def busy_task() -> None:
    be_busy()
    await trio.sleep(1)  # So that the account is written.
    await trio.lowlevel.checkpoint()


def test_what_tasks_and_jobs_take_is_put_down_under_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio, "run", trio.run)
    monkeypatch.setattr(trio.to_thread, "run_sync", trio.to_thread.run_sync)
    install(CpuAccount(tmp_path / "cpu.json"))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, be_busy)
            nursery.start_soon(busy_task)

    trio.run(main)
    sums = json.loads((tmp_path / "cpu.json").read_text())
    (task,) = [seconds for name, seconds in sums["tasks"].items() if name.endswith(".busy_task")]
    (job,) = [seconds for name, seconds in sums["jobs"].items() if name.endswith(".be_busy")]
    assert task >= BUSY_SECONDS
    assert job >= BUSY_SECONDS
    assert sums["process"] >= task + job


def test_each_part_has_marks_of_its_own() -> None:
    marks = [mark for _, marks in PARTS for mark in marks]
    assert len(set(marks)) == len(marks)
    assert part_of("step_node.storage.sqlite.SqliteStorage.finalise.<locals>.<lambda>") == "storing a batch"
    assert part_of("anything else") == "other"


def test_what_is_spent_is_told_by_the_proof_and_node_and_nothing_is_left_out() -> None:
    before = [CpuSums(1.0, {"HTTP": 0.5}), CpuSums(2.0, {})]
    after = [CpuSums(2.0, {"HTTP": 1.0}), CpuSums(3.0, {"journal": 0.25})]
    spent = spent_per_proof(before, after, proofs=1_000)
    assert spent == {"": 1_000, "HTTP": 250, "journal": 125, "other": 625}


@pytest.mark.long
async def test_most_of_a_nodes_time_is_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("VALIDATORS", 2), ("SECONDS", 3.0), ("RATE", 60.0), ("SETTLED_SECONDS", 1.0)):
        monkeypatch.setattr(microseconds, name, value)
    sample = await microseconds.measure_microseconds(Workshop(tmp_path, 1_000))
    by_part = {name.removesuffix(", µs"): value for name, value in sample.figures.items()}
    assert abs(sum(by_part.values()) - sample.value) < 1
    assert by_part["other"] < sample.value / 3
    # One store, no batch large enough for an outline, and few enough messages not to be sure of the rest.
    assert {part for part, _ in PARTS} - by_part.keys() <= {"outlines filled"}
