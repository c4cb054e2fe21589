"""Whole nodes in one process, one of which is started a second time with its keys, while the first goes on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
import trio

from p2p.memory import MemoryHub
from p2p.network import Network
from step_node.chain.genesis import Genesis
from step_node.engine.doppelganger import DoppelgangerFound
from step_node.mempool.outcomes import Finalised
from step_node.node.node import Node
from step_node.signing.guard import SigningGuard
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node
from tests.support.proofs import address, signed_proof

LONGEST_SECONDS = 60.0
NAMES = validator_names(4)
SHARED = NAMES[0]


@dataclass
class Twins:
    """A hub on which names may be taken already."""

    hub: MemoryHub

    def join(self, name: str, /) -> AbstractAsyncContextManager[Network]:
        return self.hub.join(name, twin=True)


@dataclass
class Chain:
    """A network of validators that is kept busy."""

    hub: MemoryHub
    genesis: Genesis
    nodes: Sequence[Node]

    @property
    def height(self) -> int:
        return min(node.status().height for node in self.nodes)

    async def finalise(self, batches: int) -> None:
        """So many batches more, of a proof each."""
        for _ in range(batches):
            name = f"walker {time.monotonic_ns()}"
            proof = signed_proof(name, lat=10.0, lon=20.0, timestamp_ms=time.time_ns() // 1_000_000)
            answer = await self.nodes[0].admission.submit(proof, wait_ms=int(LONGEST_SECONDS * 1000), source="client")
            assert isinstance(answer, Finalised), answer

    async def finalise_for_ever(self) -> None:
        while True:
            await self.finalise(1)


@asynccontextmanager
async def validators(home: Path, names: Sequence[str] = NAMES) -> AsyncIterator[Chain]:
    hub, genesis = MemoryHub(), make_genesis(4, **QUICK)
    with trio.fail_after(LONGEST_SECONDS):
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(running_node(hub, name, genesis, home / name)) for name in names]
            yield Chain(hub, genesis, nodes)


def signed_anything(home: Path, genesis: Genesis, name: str) -> bool:
    history = home / "signing_history.log"
    with SigningGuard.open(history, chain_id=genesis.chain_id, validator=address(name)) as guard:
        return bool(guard.history())


async def test_a_second_process_with_both_keys_hears_the_first_before_it_signs_anything(tmp_path: Path) -> None:
    async with validators(tmp_path) as chain, trio.open_nursery() as nursery:
        await chain.finalise(3)
        nursery.start_soon(chain.finalise_for_ever)
        twin = tmp_path / "twin"
        with pytest.raises(ExceptionGroup) as raised, structlog.testing.capture_logs() as lines:
            async with running_node(Twins(chain.hub), SHARED, chain.genesis, twin, listen_first_seconds=600.0):
                await trio.sleep_forever()
        assert raised.group_contains(DoppelgangerFound, depth=2) or raised.group_contains(DoppelgangerFound)
        assert not signed_anything(twin, chain.genesis, SHARED)
        (listening,) = [line for line in lines if "listening for a doppelganger" in line["event"]]
        assert listening["height"] >= 3, "it has not caught up first"
        nursery.cancel_scope.cancel()


async def test_a_node_that_has_heard_nobody_takes_part_at_last(tmp_path: Path) -> None:
    async with validators(tmp_path, NAMES[:3]) as chain:
        await chain.finalise(3)
        late = tmp_path / NAMES[3]
        async with running_node(chain.hub, NAMES[3], chain.genesis, late, listen_first_seconds=0.5) as node:
            while not has_voted(chain, NAMES[3]):
                await chain.finalise(1)
            assert node.status().height >= 3
        assert signed_anything(late, chain.genesis, NAMES[3])


def has_voted(chain: Chain, name: str) -> bool:
    """Whether the pre-commit of this validator stands in the last commit."""
    commit = chain.nodes[0].services(wait_ms_max=0).chain.last_commit
    return commit is not None and any(entry.validator == address(name) for entry in commit.signatures)
