"""Homes of a network whose chain has grown: made once, and copied for each run, which changes them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.home.config import StorageConfig
from step_node.home.keys import NodeKeys
from step_node.home.making import NetworkNode, network_homes, write_network_homes
from step_node.home.store import storage_settings
from step_node.parameters import Parameters
from step_node.signing.guard import SigningGuard
from step_node.storage.open import open_storage
from step_node.testing.bench.grown_chain import (
    SEED,
    AddressOf,
    GrowthPlan,
    bench_genesis,
    grown_state,
    lengthen,
    made_up_address,
    restore_into,
)
from step_node.testing.bench.growth import nonce_window_ms
from step_node.testing.bench.plans import Workshop
from step_node.testing.devnet.ports import free_ports
from step_node.testing.load.engine import KnownProvers
from step_node.testing.load.provers import Provers

ADDRESSES_AT_ONCE = 2_000
SETTLED_MS = 20_000
"""How long ago the youngest proof of the grown chain was: longer than the moratorium."""


@dataclass(frozen=True, slots=True)
class HomesPlan:
    """What homes to make: of so many validators, on a chain of so many accounts and `batches` batches.

    Without `prove` nobody has the accounts' keys, which makes them cheap: who proves then is a newcomer.
    """

    validators: int
    accounts: int
    prove: bool = True
    parameters: Parameters = field(default_factory=Parameters)
    batches: int = 1


@dataclass(frozen=True, slots=True)
class GrownHomes:
    """Homes under `root`, for `validators` nodes that have not been started, and the accounts that may prove."""

    root: Path
    validators: int
    known: KnownProvers | None

    def copied_to(self, root: Path) -> Path:
        """The same homes under `root`, for one run."""
        shutil.copytree(self.root, root)
        return root


async def grown_homes(workshop: Workshop, plan: HomesPlan) -> GrownHomes:
    """Such homes, made at the first call and kept for later ones."""
    name = f"homes of {plan}"
    kept = workshop.kept.get(name)
    if not isinstance(kept, GrownHomes):
        workshop.tell(_making(plan))
        stores = [StorageConfig()] * plan.validators
        kept = workshop.kept[name] = await _make(workshop.fresh_folder(), plan, stores)
    return kept


async def grown_homes_in_mongodb(workshop: Workshop, plan: HomesPlan, uri: str) -> GrownHomes:
    """Such homes, made anew at each call, with databases of their own in the replica set at `uri`."""
    workshop.tell(f"{_making(plan)}, in MongoDB")
    root = workshop.fresh_folder()
    stores = [
        StorageConfig(engine="mongodb", mongodb_uri=uri, mongodb_database=f"step_bench_{root.name}_{index}")
        for index in range(plan.validators)
    ]
    return await _make(root, plan, stores)


def _making(plan: HomesPlan) -> str:
    length = f" and {plan.batches:,} batches" if plan.batches > 1 else ""
    return f"making a chain of {plan.accounts:,} accounts{length}, for {plan.validators} validators"


async def _make(root: Path, plan: HomesPlan, stores: Sequence[StorageConfig]) -> GrownHomes:
    nodes = [NetworkNode(NodeKeys.new(is_validator=True), one.api, one.p2p) for one in free_ports(plan.validators)]
    keys = {address_of(public_key_of(key)): key for node in nodes if (key := node.keys.validator) is not None}
    window_ms = nonce_window_ms(plan.parameters)
    settled_ms = time.time_ns() // 1_000_000 - SETTLED_MS
    first_ms = settled_ms - window_ms
    addresses = [node.p2p_address for node in nodes]
    genesis = bench_genesis(list(keys.values()), first_ms - 60_000, addresses, plan.parameters)
    homes = network_homes(root, plan.validators)
    write_network_homes(homes, nodes=nodes, genesis=genesis, storage=stores, password="not a secret")
    provers = Provers(SEED, plan.parameters.seeded_level)
    address_of_account: AddressOf = made_up_address
    if plan.prove:
        address_of_account = (await trio.to_thread.run_sync(_addresses, provers, plan.accounts)).__getitem__
    growth = GrowthPlan(plan.accounts, first_ms, window_ms / plan.accounts, address_of_account, provers)
    state = await grown_state(genesis, keys, growth)
    for home, store, address in zip(homes, stores, keys, strict=True):
        if store.engine == "sqlite" and home is not homes[0]:
            shutil.copy(homes[0].ledger, home.ledger)
        else:
            async with open_storage(storage_settings(home, store)) as storage:
                await restore_into(storage, genesis, state)
                await lengthen(storage, genesis, keys, growth, batches=plan.batches - 1, end_ms=settled_ms)
        # As if each had signed what its key has: a history without it is doubtful, and there is nobody to wait it out.
        with SigningGuard.open(home.signing_history(address), chain_id=genesis.chain_id, validator=address) as guard:
            guard.raise_floor(plan.batches)
    return GrownHomes(root, plan.validators, KnownProvers(provers, plan.accounts) if plan.prove else None)


def _addresses(provers: Provers, count: int) -> list[bytes]:
    """Of the real keys: all of them may be asked to prove."""
    parts = [range(first, min(first + ADDRESSES_AT_ONCE, count)) for first in range(0, count, ADDRESSES_AT_ONCE)]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        return [address for found in pool.map(partial(_addresses_of, provers), parts) for address in found]


def _addresses_of(provers: Provers, numbers: Sequence[int]) -> list[bytes]:
    return [provers.address(number) for number in numbers]
