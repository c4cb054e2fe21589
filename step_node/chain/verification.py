"""The stateless gates for many proofs: one hop to a worker thread for dozens of them, never one for each."""

from __future__ import annotations

import os
from collections.abc import Sequence

import trio

from step_node.offload import run_blocking
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import Refusal, SignedProof

CHUNK_PROOFS_MIN = 32
CHUNK_PROOFS_MAX = 256
"""Proofs checked in one hop to a worker thread, 1 to 10 ms of work against 50 µs for the hop: as many as let every
thread have a chunk."""

FEW_PROOFS_MAX = 4
"""So few are checked on the event loop: the way to a thread and back takes as long, and there is one for each bundle
and each lone submission of a quiet network."""

VERIFYING_THREADS_MAX = max(2, os.cpu_count() or 2)
"""Chunks beyond as many wait; so a flood of proofs takes no more of the machine than this, whoever sends it."""

_threads: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("proof_verifying_threads")


async def verify_on_threads(proofs: Sequence[SignedProof], parameters: Parameters) -> list[Refusal | None]:
    """`check_stateless_many` on at most `VERIFYING_THREADS_MAX` worker threads, in chunks; answers in order.

    A cancelled caller waits for the chunks that are being checked, some milliseconds. Few proofs are checked here.
    """
    if len(proofs) <= FEW_PROOFS_MAX:
        return check_stateless_many(proofs, parameters)
    verdicts: list[Refusal | None] = [None] * len(proofs)
    limiter = _thread_limiter()
    fair_share = -(-len(proofs) // VERIFYING_THREADS_MAX)
    chunk_proofs = min(max(fair_share, CHUNK_PROOFS_MIN), CHUNK_PROOFS_MAX)

    async def check_chunk(start: int) -> None:
        chunk = proofs[start : start + chunk_proofs]
        verdicts[start : start + len(chunk)] = await run_blocking(
            check_stateless_many, chunk, parameters, limiter=limiter
        )

    async with trio.open_nursery() as nursery:
        for start in range(0, len(proofs), chunk_proofs):
            nursery.start_soon(check_chunk, start)
    return verdicts


def _thread_limiter() -> trio.CapacityLimiter:
    """One for each trio run, shared by all callers."""
    try:
        return _threads.get()
    except LookupError:
        limiter = trio.CapacityLimiter(VERIFYING_THREADS_MAX)
        _threads.set(limiter)
        return limiter
