"""What nodes say of the economy is the same on all: on both engines, after restarts, after joins from snapshots."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import trio

from p2p.memory import MemoryHub
from step_node.api.app import create_app
from step_node.clock import SystemClock
from step_node.economy.columns import COLUMNS, ProofColumns
from step_node.economy.plausibility import AccountSignals
from step_node.home.config import SyncConfig
from step_node.node.node import Node
from step_node.storage.interface import Storage
from step_node.storage.open import MongoSettings, open_storage
from tests.integration.test_nodes_in_memory import reach, submit_all
from tests.support.chains import make_genesis, validator_names
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.nodes import QUICK, equal_roots, running_node
from tests.support.proofs import address, signed_proof

__all__ = ["mongodb_uri"]

EPOCH_BATCHES = 2
OFTEN = SyncConfig(snapshot_every_batches=2, snapshot_distance_batches=2)
LONGEST_SECONDS = 60.0
WALKERS = ("alice", "bob", "carol", "dave", "erin")


class TravellingClock:
    """The machine's clock, and so many milliseconds more: half a day goes by at once."""

    def __init__(self) -> None:
        self._ahead_ms = 0
        self._clock = SystemClock()

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._ahead_ms

    def travel(self) -> None:
        self._ahead_ms += 13 * 3_600_000


async def a_walk(nodes: Sequence[Node], clock: TravellingClock, number: int) -> None:
    """Half a day goes by, and everybody proves once, each at a place of its own; Erin does a single time."""
    clock.travel()
    proofs = [
        signed_proof(
            name,
            lat=10.0 + place * 7 + number * 0.01,
            lon=20.0 + (number % 3) * 0.01,
            accuracy_m=4.0 + place + number,
            timestamp_ms=clock.now_ms(),
        )
        for place, name in enumerate(WALKERS if number == 2 else WALKERS[:-1])
    ]
    await submit_all(nodes, proofs[:1])
    await submit_all(nodes, proofs[1:])


async def told(node: Node) -> dict[str, Any]:
    """All that a node says of the economy at its head, in a form that can be compared."""
    with trio.fail_after(LONGEST_SECONDS):
        while True:
            at, signals = node.economy.trends.now(), node.economy.trends.signals
            height = node.status().height
            if at is not None and signals is not None and at.height == height and at.is_complete:
                break
            await trio.sleep(0.01)
    window = node.economy.observatory.window
    assert window.is_complete
    rows = ProofColumns.joined(window.parts(window.first, window.end))
    return {
        "height": height,
        "rows": {name: getattr(rows, name).tobytes() for name in COLUMNS},
        "trending": [await node.economy.trends.top(at, level, None) for level in (1, 6, 10)],
        "signals": _bytes_of(signals.signals),
        "accounts": [signals.signals.account(address(name)) for name in WALKERS],
        "period": (signals.period, signals.rows, signals.is_complete),
    }


def _bytes_of(signals: AccountSignals) -> str:
    digest = hashlib.sha256()
    for field in fields(signals):
        value = getattr(signals, field.name)
        if field.name == "readings":
            for name, reading in value.items():
                digest.update(name.encode() + reading.accounts.tobytes() + reading.strength_bps.tobytes())
                for figure, values in reading.figures.items():
                    digest.update(figure.encode() + values.tobytes())
        else:
            digest.update(value.tobytes())
    return digest.hexdigest()


async def asked(node: Node, name: str) -> dict[str, Any]:
    """What the node answers of somebody's plausibility."""
    transport = httpx.ASGITransport(create_app(node.services(wait_ms_max=0)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        answer: dict[str, Any] = (await client.get(f"/plausibility/accounts/0x{address(name).hex()}")).json()
    return answer


async def reports(node: Node, last: int) -> dict[int, bytes]:
    """The reports of epochs that the node has, once it has that of `last`."""
    with trio.fail_after(LONGEST_SECONDS):
        while await node.economy.fairness.kept(last) is None:
            await trio.sleep(0.01)
    kept = {epoch: await node.economy.fairness.kept(epoch) for epoch in range(1, last + 1)}
    return {epoch: one.report for epoch, one in kept.items() if one is not None and one.report}


async def test_nodes_on_both_engines_say_the_same_after_restarts_and_snapshot_joins(
    mongodb_uri: str, tmp_path: Path
) -> None:
    genesis = make_genesis(4, epoch_batches=EPOCH_BATCHES, seeded_level=10, **QUICK)
    hub, clock, names = MemoryHub(), TravellingClock(), validator_names(4)
    engines: dict[str, Storage | None] = {}
    async with AsyncExitStack() as stores, AsyncExitStack() as stack:
        for name in (*names[2:], "newcomer in MongoDB"):
            engines[name] = await stores.enter_async_context(
                open_storage(MongoSettings(mongodb_uri, new_database_name()))
            )

        def node_of(name: str) -> AbstractAsyncContextManager[Node]:
            home = tmp_path / name
            return running_node(
                hub, name, genesis, home, storage=engines.get(name), sync=OFTEN, clock=clock, keeps_economy=True
            )

        nodes = {name: await stack.enter_async_context(node_of(name)) for name in (names[0], names[2])}
        async with AsyncExitStack() as first_life:
            for name in (names[1], names[3]):
                nodes[name] = await first_life.enter_async_context(node_of(name))
            for number in range(3):
                await a_walk([nodes[names[0]], nodes[names[2]]], clock, number)
            # One keeps its window before it is killed, the other one has to read it of its store.
            await nodes[names[1]].economy.observatory.keep()
        for name in (names[1], names[3]):
            nodes[name] = await stack.enter_async_context(node_of(name))
        await a_walk(list(nodes.values()), clock, 3)
        for name in ("newcomer", "newcomer in MongoDB"):
            nodes[name] = await stack.enter_async_context(node_of(name))
        await reach(list(nodes.values()), nodes[names[0]].status().height)
        await a_walk([nodes[name] for name in names], clock, 4)
        await equal_roots(list(nodes.values()))
        said = {name: await told(node) for name, node in nodes.items()}
        assert all(one == said[names[0]] for one in said.values())
        # What is compared says something. The first walk is out of the window.
        assert [len(regions) > 0 for regions in said[names[0]]["trending"]] == [True] * 3
        alice, *_, erin = said[names[0]]["accounts"]
        assert (alice.proofs, erin.proofs) == (3, 1)
        assert [reason.signal for reason in erin.reasons] == ["proves_once"]
        answers = [await asked(node, "erin") for node in nodes.values()]
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]["implausibilityBps"] == erin.implausibility_bps > 0
        last = nodes[names[0]].status().height // EPOCH_BATCHES
        told_reports = {name: await reports(node, last) for name, node in nodes.items()}
        assert set(told_reports[names[0]]) == set(range(1, last + 1))
        assert all(told_reports[name] == told_reports[names[0]] for name in names)
        for name in ("newcomer", "newcomer in MongoDB"):
            first = await nodes[name].services(wait_ms_max=0).chain.storage.first_height()
            assert first is not None
            assert first > 1
            # It has fetched what the window lacked: of the first walk too, if it did so before the last one.
            assert nodes[name].economy.observatory.window.complete_from_height < first
            assert told_reports[name].items() <= told_reports[names[0]].items()
