"""What trends, asked of a node: a process with a full window, over HTTP, while proofs come in."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Final

import numpy as np
import trio

from step_node.chain.genesis import load_genesis
from step_node.economy.columns import PERIOD_MS, WINDOW_PROOFS_MAX, period_of
from step_node.economy.side_file import EconomyFile, Hashes
from step_node.economy.trends import TRENDING_MAX
from step_node.economy.window import ProofWindow
from step_node.home.config import StorageConfig
from step_node.home.making import network_homes
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.storage.open import open_storage
from step_node.testing.bench.economy_rows import PERCENTILE, BoxDegrees, made_up_rows, questions
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_homes import HomesPlan, grown_homes
from step_node.testing.bench.networks import Network, running_network
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.load.connection import Connection, Endpoint

KNOWN_ACCOUNTS: Final = 2_000
"""Of the ledger, who prove meanwhile; the window's are others."""
TRICKLE_RATE: Final = 4.0
"""Proofs a second, so that there is a new height, for which nothing is answered yet, twice a second or so."""
PAUSE_SECONDS: Final = 1.0
"""Between two questions: an address pays for what it asks, and one that asks faster is made to wait."""
SPARE_SECONDS: Final = 20.0
READY_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 0.5


async def measure_trending_answers(workshop: Workshop) -> Sample:
    """Each question once, by one client on one connection: from sending it until the answer is read."""
    plan = HomesPlan(1, KNOWN_ACCOUNTS)
    homes = await grown_homes(workshop, plan)
    workshop.tell(f"{WINDOW_PROOFS_MAX:,} proofs, each in a triangle of its own, in the node's side file")
    asked = await _with_full_window(network_homes(homes.root, plan.validators)[0])
    async with running_network(workshop, plan) as network:
        connection = Connection(Endpoint.of(network.devnet.urls[0]))
        await _until_ready(connection)
        async with trio.open_nursery() as nursery:
            seconds = len(asked) * PAUSE_SECONDS + SPARE_SECONDS
            nursery.start_soon(_trickle, network, seconds)
            answered_ms, failures = await _ask(connection, asked)
            nursery.cancel_scope.cancel()
        await connection.close()
    return Sample(
        float(np.percentile(answered_ms, PERCENTILE)),
        figures={"slowest, ms": max(answered_ms), "median, ms": float(np.median(answered_ms))},
        failures=failures,
    )


async def _with_full_window(home: NodeHome) -> list[tuple[int, BoxDegrees | None]]:
    """Write a window to the home's side file, as if it stood where the store does; what to ask of it."""
    async with open_storage(storage_settings(home, StorageConfig())) as storage:
        chain = (await storage.head()).chain
    rows = made_up_rows(WINDOW_PROOFS_MAX, 1, end_ms=period_of(chain.timestamp_ms) * PERIOD_MS)
    window = ProofWindow()
    window.append(rows, height=chain.height, batch_time_ms=chain.timestamp_ms)
    pieces = [(window.first, window.parts(window.first, window.end))]
    file = EconomyFile.open(home.economy, load_genesis(home.genesis).hash)
    try:
        await file.forget_window()
        await file.keep(window.standing, Hashes(chain.batch_hash, b""), pieces)
    finally:
        file.close()
    return questions(rows)


async def _until_ready(connection: Connection) -> None:
    with trio.fail_after(READY_SECONDS_MAX):
        while True:
            answer = await connection.request("GET", "/trending?level=1&limit=1")
            if answer.status == HTTPStatus.OK:
                return
            await trio.sleep(LOOK_SECONDS)


async def _trickle(network: Network, seconds: float) -> None:
    await network.load(TRICKLE_RATE, seconds, batch=1)


async def _ask(
    connection: Connection, asked: list[tuple[int, BoxDegrees | None]]
) -> tuple[list[float], tuple[str, ...]]:
    """How long each answer took, and what was wrong with them."""
    answered_ms, failures, heights = list[float](), list[str](), set[int]()
    for level, box in asked:
        await trio.sleep(PAUSE_SECONDS)
        area = ""
        if box is not None:
            south, west, north, east = box
            area = f"&bbox={west:.7f},{south:.7f},{east:.7f},{north:.7f}"
        began = time.perf_counter()
        answer = await connection.request("GET", f"/trending?level={level}&limit={TRENDING_MAX}{area}")
        answered_ms.append((time.perf_counter() - began) * 1e3)
        if answer.status != HTTPStatus.OK:
            failures.append(f"level {level}{area}: answered with {answer.status}")
            continue
        found = json.loads(answer.body)
        heights.add(found["height"])
        if not found["triangles"]:
            failures.append(f"level {level}{area}: nothing trends")
    if len(heights) <= len(asked) // 2:
        failures.append(f"{len(asked)} questions met {len(heights)} heights: what was known before may have been told")
    return answered_ms, tuple(failures)


PLANS = (
    RowPlan(
        "trending_http",
        "what trends, of a node with 1,048,576 proofs in as many triangles, over HTTP beside proofs: p95 of an answer",
        "ms",
        measure_trending_answers,
        Bar(at_most=250),
        runs=3,
    ),
)
