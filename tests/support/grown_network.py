"""Homes of a network whose chain is long already: batches made offline, each signed and valid, one after the other.

The chain is what its validators would have made in `batches` batch intervals that end now. Running them for that long
would show the same, and take as long. Every home gets the same store, the snapshots that a node takes on the way, and
a signing history that begins there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.home.config import StorageConfig
from step_node.home.keys import NodeKeys
from step_node.home.making import (
    NetworkNode,
    network_homes,
    new_config,
    new_genesis,
    write_home,
    write_network_homes,
)
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.mempool.pool import Mempool
from step_node.parameters import Parameters
from step_node.proofs.proof import SignedProof
from step_node.signing.guard import SigningGuard
from step_node.snapshot.copying import copy_store
from step_node.snapshot.store import SnapshotStore
from step_node.storage.open import open_storage
from step_node.storage.sqlite import SqliteStorage
from step_node.testing.bench.grown_chain import committed_by
from step_node.testing.devnet.network import CHAIN_ID
from step_node.testing.devnet.node_process import NodeProcess
from step_node.testing.devnet.ports import free_ports
from tests.support.clock import SetClock
from tests.support.proofs import signed_proof

GOLDEN_ANGLE_DEGREES = 137.50776405
"""Walkers stand on a spiral of this angle, so no two of some ten thousand share a triangle."""


@dataclass(frozen=True)
class GrownNetwork:
    """A network ready to start: `Devnet(DevnetSettings(home=root, validators=…))` takes the homes."""

    root: Path
    genesis: Genesis
    batches: int
    proofs: int

    @property
    def chain_seconds(self) -> float:
        """How long the network took for its chain: a batch each interval."""
        return self.batches * self.genesis.parameters.batch_interval_ms / 1000

    def newcomer(self, name: str, *, index: int) -> tuple[NodeProcess, str]:
        """A node that only observes, with an empty home that knows everybody, and the address of its API."""
        (ports,) = free_ports(1)
        home = NodeHome(self.root / name)
        bootstrap = [validator.p2p_address for validator in self.genesis.validators]
        write_home(
            home,
            keys=NodeKeys.new(is_validator=False),
            genesis=self.genesis,
            config=new_config(api_port=ports.api, p2p_port=ports.p2p, bootstrap=bootstrap, listen_host="127.0.0.1"),
            password="",
        )
        home.password.touch(mode=0o600)
        return NodeProcess(index, home), f"http://127.0.0.1:{ports.api}"


async def grow_network(
    root: Path,
    *,
    validators: int,
    batches: int,
    proofs_per_batch: int,
    snapshot_every: int,
    interval_ms: int | None = None,
    parameters: Parameters | None = None,
    storage: Sequence[StorageConfig] | None = None,
) -> GrownNetwork:
    """Make the homes under `root` and let their chain grow. No two proofs are of one account or place.

    There is a batch every `interval_ms`, as often as `parameters` say if that is None. `storage` is that of each home,
    the first of which must be SQLite; None: of all.
    """
    nodes = [NetworkNode(NodeKeys.new(is_validator=True), ports.api, ports.p2p) for ports in free_ports(validators)]
    keys = {address_of(public_key_of(key)): key for node in nodes if (key := node.keys.validator) is not None}
    interval_ms = interval_ms or (parameters or Parameters()).batch_interval_ms
    storage = storage or [StorageConfig()] * validators
    genesis = new_genesis(
        chain_id=CHAIN_ID,
        genesis_time_ms=time.time_ns() // 1_000_000 - (batches + 1) * interval_ms,
        validators=[(key, node.p2p_address) for key, node in zip(keys.values(), nodes, strict=True)],
        parameters=parameters,
    )
    homes = network_homes(root, validators)
    write_network_homes(homes, nodes=nodes, genesis=genesis, storage=storage, password="not a secret")
    first = homes[0]
    store = await SqliteStorage.open(first.ledger)
    clock = SetClock(genesis.genesis_time_ms)
    await store.initialise(genesis.hash, genesis.head(), genesis.accounts())
    chain = await Chain.open(genesis=genesis, storage=store, clock=clock, known=Mempool().get)
    snapshot_store = await SnapshotStore.open(first.snapshots)
    for height in range(1, batches + 1):
        clock.advance(interval_ms)
        proofs = [_proof(height * proofs_per_batch + index, clock.now_ms()) for index in range(proofs_per_batch)]
        proposer = chain.validators.proposer(height, 0).address
        judged = await chain.build(proofs, round_number=0, proposer=proposer)
        if judged is None or len(judged.batch.proofs) != len(proofs):
            raise RuntimeError(f"height {height}: not every proof could be finalised")
        await chain.finalise(judged, committed_by(judged.batch, keys))
        if height % snapshot_every == 0:
            await snapshot_store.take(store)
    for home, config in zip(homes, storage, strict=True):
        if config.engine == "mongodb":
            async with open_storage(storage_settings(home, config)) as other:
                await other.initialise(genesis.hash, genesis.head(), genesis.accounts())
                await copy_store(store, other)
    await store.close()
    for home, config, address in zip(homes, storage, keys, strict=True):
        # As if each had signed what its key has: a history without it is doubtful, and there is nobody to wait it out.
        with SigningGuard.open(home.signing_history(address), chain_id=CHAIN_ID, validator=address) as guard:
            guard.raise_floor(batches)
        if home is not first:
            if config.engine == "sqlite":
                shutil.copy(first.ledger, home.ledger)
            shutil.copytree(first.snapshots, home.snapshots)
    return GrownNetwork(root, genesis, batches, batches * proofs_per_batch)


def _proof(number: int, timestamp_ms: int) -> SignedProof:
    lat, lon = 85.0 - number % 16_993 / 100, number * GOLDEN_ANGLE_DEGREES % 360 - 180
    return signed_proof(f"walker-{number}", lat=lat, lon=lon, timestamp_ms=timestamp_ms, nonce=f"n-{number}")
