"""What a node needs of a machine at a given rate: CPU, memory, disk; the table by which operators choose theirs.

Each rate has a new network of four validators, processes on this machine that share it with the load. What a process
has used the system itself has counted (`/proc`, so Linux alone). Disk is what a stopped home has more than when it was
made; whatever is bounded, as logs of consensus, is in it, so short runs at low rates say too much rather than too
little.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from step_node.errors import StepNodeError
from step_node.testing.bench.networks import BATCH, DRAIN_SECONDS, batch_at, set_for_load
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.load.engine import Load, LoadSettings
from step_node.testing.load.report import LoadReport
from step_node.testing.machine import Conditions

VALIDATORS: Final = 4
DAY_SECONDS: Final = 86_400
LOADS: Final = ((1.0, 600.0), (10.0, 600.0), (100.0, 300.0), (1_000.0, 120.0))
"""Proofs a second, and for how many seconds; slow ones take longer, until more has grown than what is bounded."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process has used since it began; `memory_bytes` is the most that it had at once."""

    cpu_seconds: float
    memory_bytes: int
    written_bytes: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Read from `/proc`. Raises StepNodeError where there is none, or the process has ended."""
        root = Path(f"/proc/{pid}")
        try:
            # The program's name is in brackets and may hold anything; utime and stime are the 14th and 15th field.
            ticks = (root / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
            memory = _field(root / "status", "VmHWM:") * 1024
            written = _field(root / "io", "write_bytes:")
        except OSError as error:
            raise StepNodeError(f"what process {pid} uses cannot be read: {error}; this needs Linux") from error
        return cls(sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), memory, written)


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a node needs at `rate` proofs a second: CPU and disk of the four on average, memory of the largest."""

    rate: float
    cores: float
    memory_bytes: int
    kept_bytes_a_day: float
    written_bytes_a_day: float
    report: LoadReport


def bytes_under(root: Path) -> int:
    """All files of a directory, as they lie on the disk."""
    return sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())


async def measure(rate: float, seconds: float, *, validators: int = VALIDATORS, tell: Callable[[str], None]) -> Sizing:
    """Offer `rate` proofs a second to a new network. Raises StepNodeError if it cannot be started or measured."""
    tell(f"{rate:g} proofs/s for {seconds:g} s")
    devnet = Devnet(DevnetSettings(validators=validators, base_port=0), report=tell)
    try:
        await devnet.prepare()
        set_for_load(devnet, {})
        fresh = [bytes_under(node.home.root) for node in devnet.nodes]
        await devnet.start()
        before = [Usage.of(node.pid) for node in devnet.nodes]
        settings = LoadSettings(devnet.urls, rate, seconds, batch=batch_at(rate, BATCH), drain_seconds=DRAIN_SECONDS)
        report = await Load(settings, tell=tell).run()
        after = [Usage.of(node.pid) for node in devnet.nodes]
        for node in devnet.nodes:
            await node.stop()
        kept = [bytes_under(node.home.root) for node in devnet.nodes]
    finally:
        await devnet.stop()
    lasted = max(report.seconds, seconds)
    a_day = DAY_SECONDS / lasted / validators
    return Sizing(
        rate=rate,
        cores=sum(b.cpu_seconds - a.cpu_seconds for a, b in zip(before, after, strict=True)) / lasted / validators,
        memory_bytes=max(one.memory_bytes for one in after),
        kept_bytes_a_day=(sum(kept) - sum(fresh)) * a_day,
        written_bytes_a_day=sum(b.written_bytes - a.written_bytes for a, b in zip(before, after, strict=True)) * a_day,
        report=report,
    )


def page(conditions: Conditions, sizings: Sequence[Sizing]) -> str:
    """The page, in Markdown. It names no place and no machine, only what kind of machine it was."""
    busy = (
        "**The machine was busy with other things**: these are not the figures of a quiet one."
        if conditions.was_busy
        else "The machine had nothing else to do."
    )
    rows = [
        f"| {one.rate:,.0f} | {one.report.final_per_second:,.1f} | {one.cores:.2f}"
        f" | {one.memory_bytes / 2**20:,.0f} MiB | {_gigabytes(one.kept_bytes_a_day)}"
        f" | {_gigabytes(one.written_bytes_a_day)} | {one.report.seconds:,.0f} s |"
        for one in sizings
    ]
    sections = [
        "# What a node needs",
        "Made by `make sizing`; do not edit. Each rate went to a new network of four validators, processes on one"
        " machine that the load ran on as well. The figures are of one node, with SQLite and everything kept.",
        f"Run on {conditions.time[:10]} at {conditions.time[11:16]} UTC: {conditions.cores} cores"
        f" ({conditions.machine}), Python {conditions.python}, step-node {conditions.version}. {busy}",
        "\n".join(
            [
                "| proofs/s | final | cores | memory, the most | disk kept a day | disk written a day | for |",
                "|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        "Every proof is of a new account, which is more to keep than one of an account that is known. Days are reckoned"
        " from minutes; logs and journals that are bounded are in them, so the lower rates say rather too much. What"
        " [retention](retention.md) leaves is less. A rate that did not become final is more than this machine"
        " carries.",
        "## Again",
        "```sh\nmake sizing\n```",
    ]
    return "\n\n".join(sections) + "\n"


def _field(path: Path, name: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.2f} GB"
