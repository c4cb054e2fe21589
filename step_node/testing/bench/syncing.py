"""How fast a newcomer replays full batches from a peer, checking everything as if it had voted on them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from step_node.api.submissions.single import parse_submission
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.home.config import StorageConfig
from step_node.home.keys import NodeKeys
from step_node.home.making import NetworkNode, network_homes, new_config, write_home, write_network_homes
from step_node.home.paths import NodeHome
from step_node.mempool.pool import Mempool
from step_node.parameters import Parameters
from step_node.signing.guard import SigningGuard
from step_node.storage.sqlite import SqliteStorage
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_chain import SEED, ManualClock, bench_genesis, committed_by
from step_node.testing.bench.nodes import POLL_SECONDS
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.bench.recovery import one_core_recoveries_per_second
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.node_process import NodeProcess
from step_node.testing.devnet.ports import free_ports
from step_node.testing.load.connection import Connection, Endpoint, NoAnswer
from step_node.testing.load.follower import ask_for_json
from step_node.testing.load.material import Order, sign_orders
from step_node.testing.load.provers import Provers

BATCHES: Final = 20
BATCH_PROOFS: Final = 1_000
SYNC_SECONDS_MAX: Final = 1_200.0
LIVE_RATE: Final = 3_000
"""What `finalise_four` is to reach; replaying is to be five times as fast."""
TIMES: Final = 5


@dataclass(frozen=True, slots=True)
class LongChain:
    """The home of one validator whose chain has full batches, and its genesis."""

    root: Path
    genesis: Genesis


async def measure_sync(workshop: Workshop) -> Sample:
    """Proofs a second, from when the newcomer answers until it stands where its peer does."""
    kept = workshop.kept.get("long chain")
    if not isinstance(kept, LongChain):
        workshop.tell(f"making {BATCHES} batches of {BATCH_PROOFS:,} proofs")
        kept = workshop.kept["long chain"] = await _make(workshop.folder / "long")
    async with Devnet(DevnetSettings(validators=1, home=kept.root), report=workshop.tell):
        seconds = await _replay_seconds(workshop.fresh_folder(), kept.genesis)
    limit = one_core_recoveries_per_second(workshop) * (os.cpu_count() or 1)
    return Sample(BATCHES * BATCH_PROOFS / seconds, limit)


async def _replay_seconds(home_folder: Path, genesis: Genesis) -> float:
    (ports,) = free_ports(1)
    home = NodeHome(home_folder)
    config = new_config(
        api_port=ports.api,
        p2p_port=ports.p2p,
        bootstrap=[validator.p2p_address for validator in genesis.validators],
        listen_host="127.0.0.1",
    )
    write_home(home, keys=NodeKeys.new(is_validator=False), genesis=genesis, config=config, password="")
    home.password.touch(mode=0o600)
    node = NodeProcess(0, home)
    node.environment = {"STEP_SYNC__SNAPSHOT": "false"}
    connection = Connection(Endpoint.of(f"http://127.0.0.1:{ports.api}"))
    await node.spawn()
    answered_at: float | None = None
    try:
        with trio.move_on_after(SYNC_SECONDS_MAX):
            while node.is_running:
                try:
                    standing = await ask_for_json(connection, "/status")
                    answered_at = answered_at or trio.current_time()
                    if standing["height"] == BATCHES:
                        return trio.current_time() - answered_at
                except NoAnswer:
                    pass  # It has not come up yet.
                await trio.sleep(POLL_SECONDS)
        raise node.death()
    finally:
        await connection.close()
        await node.stop()


async def _make(root: Path) -> LongChain:
    (ports,) = free_ports(1)
    node = NetworkNode(NodeKeys.new(is_validator=True), ports.api, ports.p2p)
    key = node.keys.validator or b""
    keys = {address_of(public_key_of(key)): key}
    parameters = Parameters()
    genesis_ms = time.time_ns() // 1_000_000 - (BATCHES + 1) * parameters.batch_interval_ms
    genesis = bench_genesis([key], genesis_ms, [node.p2p_address])
    homes = network_homes(root, 1)
    write_network_homes(homes, nodes=[node], genesis=genesis, storage=[StorageConfig()], password="not a secret")
    storage, clock = await SqliteStorage.open(homes[0].ledger), ManualClock(genesis_ms)
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=Mempool().get)
    provers = Provers(SEED, parameters.seeded_level)
    (proposer,) = keys
    for height in range(1, BATCHES + 1):
        clock.time_ms += parameters.batch_interval_ms
        first = height * BATCH_PROOFS
        orders = [Order(number, clock.time_ms) for number in range(first, first + BATCH_PROOFS)]
        signed = await trio.to_thread.run_sync(sign_orders, provers, orders, f"sync-{height}")
        proofs = [parse_submission(one.body) for one in signed]
        judged = await chain.build(proofs, round_number=0, proposer=proposer)
        if judged is None or len(judged.batch.proofs) != BATCH_PROOFS:
            raise RuntimeError(f"height {height}: not every proof could be put into a batch")
        await chain.finalise(judged, committed_by(judged.batch, keys))
    await storage.close()
    with SigningGuard.open(homes[0].signing_history(proposer), chain_id=genesis.chain_id, validator=proposer) as guard:
        guard.raise_floor(BATCHES)
    return LongChain(root, genesis)


PLANS = (
    RowPlan(
        "sync",
        "proofs that a newcomer replays from a peer, in batches of 1,000",
        "proofs/s",
        measure_sync,
        Bar(at_least=TIMES * LIVE_RATE),
        runs=3,
        limit_is="bare recovery, on all cores",
    ),
)
