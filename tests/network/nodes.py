"""Nodes on an in-memory network: as much of a node as the test is about, and peers that do what the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from prometheus_client import CollectorRegistry

from consensus.messages import Message
from consensus.wire import encode
from p2p.memory import MemoryHub, MemoryNetwork
from p2p.network import Fault, Network, PeerId, Stream
from step_node.chain.chain import Chain
from step_node.chain.judging import JudgedBatch
from step_node.engine.driver import ConsensusDriver
from step_node.engine.hooks import ConsensusHooks
from step_node.engine.wal import WriteAheadLog
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.network.peers import Peers
from step_node.network.proposals import Proposals
from step_node.network.protocols import (
    HELLO_BYTES_MAX,
    HELLO_PROTOCOL,
    SNAPSHOT_BYTES_MAX,
    SNAPSHOT_PROTOCOL,
    SYNC_BYTES_MAX,
    SYNC_PROTOCOL,
    Hello,
)
from step_node.network.snapshots import SnapshotJoiner, SnapshotServer
from step_node.network.sync import Sync
from step_node.snapshot.store import SnapshotStore
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.retry import StorageWatch
from tests.support.nodes import Hub
from tests.support.outlook import SetOutlook

TEST_TIMEOUT_SECONDS = 30.0

Answer = Callable[[Stream], Awaitable[None]]


@dataclass
class SyncingNode:
    """A node that greets and catches up, and observes consensus."""

    network: Network
    chain: Chain
    peers: Peers
    sync: Sync
    driver: ConsensusDriver

    @property
    def height(self) -> int:
        """The last finalised height."""
        return self.chain.head.chain.height

    def faults(self) -> dict[Fault, int]:
        """What peers have been charged with."""
        return dict(self.network.statistics().penalties)


@asynccontextmanager
async def syncing_node(
    hub: Hub,
    name: str,
    chain: Chain,
    home: Path,
    *,
    snapshot_store: SnapshotStore | None = None,
    set_links: ValidatorSetLinks | None = None,
    every_batches: int = 0,
    distance_batches: int = 1,
    owes_answers: bool = False,
) -> AsyncIterator[SyncingNode]:
    """Start it on `chain`, with its consensus log in `home`; with a `snapshot_store` it
    gives snapshots and joins from one."""
    set_links = set_links or ValidatorSetLinks(None, chain.genesis)
    metrics = NodeMetrics(CollectorRegistry())

    async def broadcast(_message: Message) -> None: ...

    async def finalised(_judged: JudgedBatch) -> None: ...

    def request_batch(_height: int, _batch_hash: bytes) -> None: ...

    wal, replayed = WriteAheadLog.open(home / f"{name}.log", chain_id=chain.chain_id, height=chain.next_height)
    async with hub.join(name) as network, trio.open_nursery() as nursery:
        driver = ConsensusDriver(
            chain=chain,
            mempool=Mempool(),
            signer=None,
            wal=wal,
            replayed=replayed,
            hooks=ConsensusHooks(broadcast, finalised, request_batch, outlook=SetOutlook()),
            metrics=metrics,
            storage_watch=StorageWatch(metrics.storage_retried),
        )

        def on_height(_peer_id: PeerId, height: int) -> None:
            if height >= chain.next_height:
                sync.hint()

        def owes() -> bool:
            return owes_answers

        peers = Peers(network, chain, on_height=on_height)
        server, joiner = None, None
        if snapshot_store is not None:
            server = SnapshotServer(
                network=network,
                chain=chain,
                snapshot_store=snapshot_store,
                set_links=set_links,
                every_batches=every_batches,
            )
            joiner = SnapshotJoiner(
                network=network,
                chain=chain,
                driver=driver,
                snapshot_store=snapshot_store,
                set_links=set_links,
                distance_batches=distance_batches,
                owes_answers=owes,
                records=peers.records,
            )
        proposals = Proposals(known=lambda _: None, batch_of=driver.judged_batch, is_fresh=lambda _: True)
        sync = Sync(
            network=network,
            chain=chain,
            driver=driver,
            peers=peers,
            proposals=proposals,
            metrics=metrics,
            joiner=joiner,
        )
        nursery.start_soon(peers.run)
        await network.start()
        nursery.start_soon(sync.run)
        if server is not None:
            nursery.start_soon(server.run, driver.wait_for_height, lambda: sync.active)
        nursery.start_soon(driver.run)
        yield SyncingNode(network, chain, peers, sync, driver)
        nursery.cancel_scope.cancel()
    wal.close()


@asynccontextmanager
async def stranger(
    hub: MemoryHub, name: str, hello: Hello, answer_sync: Answer, answer_snapshot: Answer | None = None
) -> AsyncIterator[MemoryNetwork]:
    """A peer that says what `hello` says, and answers requests for batches and snapshots as it likes."""

    async def answer_hello(stream: Stream) -> None:
        await stream.receive_message()
        await stream.send_message(encode(hello))

    async with hub.join(name) as network:
        network.serve(HELLO_PROTOCOL, answer_hello, message_bytes_max=HELLO_BYTES_MAX, streams_max_per_peer=4)
        network.serve(SYNC_PROTOCOL, answer_sync, message_bytes_max=SYNC_BYTES_MAX, streams_max_per_peer=4)
        if answer_snapshot is not None:
            network.serve(
                SNAPSHOT_PROTOCOL, answer_snapshot, message_bytes_max=SNAPSHOT_BYTES_MAX, streams_max_per_peer=4
            )
        await network.start()
        yield network
