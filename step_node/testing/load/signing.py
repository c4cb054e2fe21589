"""Processes that sign the load's proofs, ahead of when they are due."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

import trio

from step_node.testing.load.material import Order, Signed, sign_orders
from step_node.testing.load.provers import Provers
from step_node.testing.load.schedule import Schedule

CHUNK_PROOFS = 500
AHEAD_PROOFS_MAX = 200_000
"""Signed and not sent yet, some 150 MB; signing waits until there is room."""
AHEAD_SECONDS_MAX = 120.0
"""How long the load waits for signatures before it begins: by then the first of them is still young enough."""
NICENESS = 10


@dataclass(frozen=True, slots=True)
class _Chunk:
    signed: list[Signed]
    cpu_seconds: float


class SignedAhead:
    """The proofs of a schedule, in order, as they are signed. `run` it in a nursery, then `get` them one by one."""

    def __init__(self, schedule: Schedule, provers: Provers, *, processes: int | None = None) -> None:
        self._schedule = schedule
        self._provers = provers
        self._processes = processes or os.cpu_count() or 1
        self._send, self._receive = trio.open_memory_channel[_Chunk](max(1, AHEAD_PROOFS_MAX // CHUNK_PROOFS))
        self._signed: dict[int, Signed] = {}
        self._taken = 0
        self._begun = trio.Event()
        self.cpu_seconds = 0.0
        """What the signers have used of the processors."""

    async def run(self) -> None:
        """Sign all of them, in order."""
        nonces, began_ms = secrets.token_hex(6), time.time_ns() // 1_000_000
        chunks = [
            range(first, min(first + CHUNK_PROOFS, self._schedule.proofs))
            for first in range(0, self._schedule.proofs, CHUNK_PROOFS)
        ]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            self._processes, mp_context=context, initializer=os.nice, initargs=(NICENESS,)
        ) as pool:
            try:
                under_way: list[Future[_Chunk]] = []
                for number, chunk in enumerate(chunks):
                    orders = [
                        Order(self._schedule.prover(proof), began_ms + int(self._schedule.due_seconds(proof) * 1000))
                        for proof in chunk
                    ]
                    under_way.append(pool.submit(_sign_chunk, self._provers, orders, f"{nonces}-{number}"))
                    if len(under_way) > self._processes:
                        await self._hand_over(under_way.pop(0))
                for future in under_way:
                    await self._hand_over(future)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
        self._begun.set()
        self._send.close()

    async def ready(self) -> None:
        """Wait until all are signed, or as many as there is room for, or for `AHEAD_SECONDS_MAX`."""
        with trio.move_on_after(AHEAD_SECONDS_MAX):
            await self._begun.wait()

    async def get(self, proof: int) -> Signed:
        """Proof `proof`; they are to be asked for in order. Waits for the signers if they are behind."""
        while proof not in self._signed:
            chunk = await self._receive.receive()
            for signed in chunk.signed:
                self._signed[self._taken] = signed
                self._taken += 1
        return self._signed.pop(proof)

    async def _hand_over(self, future: Future[_Chunk]) -> None:
        chunk = await trio.to_thread.run_sync(future.result)
        self.cpu_seconds += chunk.cpu_seconds
        try:
            self._send.send_nowait(chunk)
        except trio.WouldBlock:
            self._begun.set()
            await self._send.send(chunk)


def _sign_chunk(provers: Provers, orders: Sequence[Order], nonces: str) -> _Chunk:
    began = time.process_time()
    signed = sign_orders(provers, orders, nonces)
    return _Chunk(signed, time.process_time() - began)
