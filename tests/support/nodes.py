"""Whole nodes in one process: everything real, but for the wire where that is an in-memory hub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import trio

from p2p.network import Network, PeerId
from step_node.chain.genesis import Genesis
from step_node.clock import Clock, SystemClock
from step_node.economy.side_file import EconomyFile
from step_node.home.config import SyncConfig
from step_node.home.paths import NodeHome
from step_node.mempool.journal import open_journal
from step_node.network.proposals import OUTLINED_PROOFS_MIN
from step_node.node.assembly import assemble
from step_node.node.guardrail_file import GuardrailFile
from step_node.node.guardrail_watch import GuardrailSettings
from step_node.node.node import Node
from step_node.node.parts import NodeHooks
from step_node.node.succession import Succession
from step_node.proof_traces import ProofTraces
from step_node.signing.guard import SigningGuard
from step_node.signing.signer import Signer, ValidatorSigner
from step_node.snapshot.initial_state import initialise_store
from step_node.storage.interface import Storage
from step_node.storage.open import SqliteSettings, open_storage
from tests.support.proofs import address, private_key

EQUAL_ROOTS_SECONDS_MAX = 60.0

QUICK: dict[str, Any] = {
    "batch_interval_ms": 20,
    "timeout_propose_ms": 400,
    "timeout_pre_vote_ms": 200,
    "timeout_pre_commit_ms": 200,
    "timeout_delta_ms": 100,
}
"""Parameters with which a network of nodes in one process is quick."""


class Hub(Protocol):
    """Where nodes find one another: a `MemoryHub`, or something like it."""

    def join(self, name: str, /) -> AbstractAsyncContextManager[Network]:
        """A network for the node `name`."""
        ...


@asynccontextmanager
async def running_node(
    hub: Hub,
    name: str,
    genesis: Genesis,
    home: Path,
    *,
    storage: Storage | None = None,
    sync: SyncConfig | None = None,
    hooks: NodeHooks | None = None,
    watches_for_doppelganger: bool = True,
    listen_first_seconds: float = 0.0,
    outlined_from: int = OUTLINED_PROOFS_MIN,
    signer: Signer | None = None,
    succession: Succession | None = None,
    traces: ProofTraces | None = None,
    guardrails: GuardrailSettings | None = None,
    guardrail_file: GuardrailFile | None = None,
    clock: Clock | None = None,
    keeps_economy: bool = False,
) -> AsyncIterator[Node]:
    """The node of validator `name`, with its files in `home`; it is stopped, as in a crash, at the end.

    With `sync` it gives snapshots and joins from one. It sends proposals of `outlined_from` proofs in outline. Without
    a `signer` its key is in memory; `succession` finds the one that takes over. With `keeps_economy` its side file
    is in the home, else it is forgotten with the process.
    """
    (home / "data").mkdir(parents=True, exist_ok=True)
    async with (
        open_storage(SqliteSettings(home / "ledger.sqlite")) as own_storage,
        open_journal(home / "journal.sqlite", genesis.hash) as journal,
        hub.join(name) as network,
    ):
        store = storage or own_storage
        await initialise_store(store, genesis, NodeHome(home).initial_state)
        if signer is None:
            guard = SigningGuard.open(home / "signing_history.log", chain_id=genesis.chain_id, validator=address(name))
            signer = ValidatorSigner(private_key(name), guard)
        parts = await assemble(
            NodeHome(home),
            genesis,
            storage=store,
            journal=journal,
            network=network,
            signer=signer,
            succession=succession,
            clock=clock or SystemClock(),
            economy_file=EconomyFile.open(NodeHome(home).economy, genesis.hash) if keeps_economy else None,
            outlined_from=outlined_from,
            sync=sync or SyncConfig(snapshot=False, snapshot_every_batches=0),
            hooks=hooks,
            traces=traces,
            guardrails=guardrails,
            guardrail_file=guardrail_file,
            # Their peer ids are their names, which no address of theirs can hold.
            bootstrap=frozenset(PeerId(one.p2p_address.split("/")[2]) for one in genesis.validators) - {PeerId(name)},
            watches_for_doppelganger=watches_for_doppelganger,
            listen_first_seconds=listen_first_seconds,
        )
        node = Node(parts)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(node.run)
                nursery.start_soon(node.overview.run)
                yield node
                nursery.cancel_scope.cancel()
        finally:
            parts.close()


async def equal_roots(nodes: Sequence[Node]) -> None:
    """Wait until all nodes stand at one height, whichever it is by then, and compare their state roots there."""
    with trio.fail_after(EQUAL_ROOTS_SECONDS_MAX):
        while len({node.status().height for node in nodes}) > 1:
            await trio.sleep(0.01)
    assert len({node.status().state_root for node in nodes}) == 1
