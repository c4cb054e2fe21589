"""Homes with real chains in them, small enough to be backed up again and again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import trio

from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.side_file import EconomyFile
from step_node.home.config import NodeConfig, StorageConfig
from step_node.home.histories import open_history
from step_node.home.keys import NodeKeys
from step_node.home.making import new_config, write_home
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.ledger.commitment import state_root
from step_node.signing.history import NEVER_SIGNED, SigningKind
from step_node.signing.keystore import KdfStrength
from step_node.snapshot.validator_sets import ValidatorSetLinks
from step_node.storage.open import open_storage
from tests.snapshot.snapshots import grow
from tests.support.chains import CHAIN_ID, make_genesis, open_chain, validator_names
from tests.support.proofs import address, private_key

EPOCH_BATCHES = 3
GENESIS = make_genesis(4, epoch_batches=EPOCH_BATCHES)
VALIDATOR = validator_names(4)[0]
WAIT_SECONDS_MAX = 30.0
PASSWORD = "a password of tests"


def make_home(root: Path, *, storage: StorageConfig | None = None) -> NodeHome:
    """The home of one of four validators, which has not been started yet."""
    home = NodeHome(root)
    config: NodeConfig = new_config(api_port=8_600, p2p_port=26_600, storage=storage)
    write_home(
        home,
        keys=NodeKeys(private_key(VALIDATOR), private_key("p2p")),
        genesis=GENESIS,
        config=config,
        password=PASSWORD,
        strength=KdfStrength.DEVNET,
        keep_password=True,
    )
    return home


async def grow_home(
    home: NodeHome, batches: int, *, storage: StorageConfig | None = None, signs: bool = True
) -> tuple[int, bytes]:
    """Finalise so many further batches in the store of `home`, and sign at the last height; its height and root."""
    settings = storage_settings(home, storage or StorageConfig())
    async with open_storage(settings) as store:
        chain = await open_chain(GENESIS, storage=store)
        links = await ValidatorSetLinks.open(home.validator_sets, GENESIS)
        await links.begin(chain.validators)
        await grow(chain, batches)
        height, root = chain.head.chain.height, state_root(chain.head.lanes)
    if signs:
        sign(home, height, b"value")
    return height, root


async def keep_reports(home: NodeHome, *, storage: StorageConfig | None = None) -> None:
    """Have the reports of fairness made and kept of all epochs that have ended, as the node does."""
    file = EconomyFile.open(home.economy, GENESIS.hash)
    async with open_storage(storage_settings(home, storage or StorageConfig())) as store:
        chain = await open_chain(GENESIS, storage=store)
        reporter = FairnessReporter(chain, file)
        ended = chain.head.chain.height // EPOCH_BATCHES
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reporter.run)
            with trio.fail_after(WAIT_SECONDS_MAX):
                while await reporter.kept(ended) is None:
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    file.close()


async def kept_reports_in(home: NodeHome) -> dict[int, bytes | None]:
    """What the side file of a home keeps of each epoch; nothing where there is none."""
    if not home.economy.exists():
        return {}
    with closing(EconomyFile.reading(home.economy, GENESIS.hash)) as file:
        return {epoch: await file.report(epoch) for epoch in await file.epochs()}


def sign(home: NodeHome, height: int, value: bytes) -> None:
    """Have the guard authorise a pre-commit of the home's validator."""
    with open_history(home, chain_id=CHAIN_ID, validator=address(VALIDATOR), begin_with=NEVER_SIGNED) as guard:
        guard.authorise(height, 0, SigningKind.PRE_COMMIT, value)


async def contents(home: NodeHome, *, storage: StorageConfig | None = None) -> dict[str, object]:
    """What a store says of its chain: everything that a client can ask, of every account that there is."""
    async with open_storage(storage_settings(home, storage or StorageConfig())) as store:
        head = await store.head()
        accounts: Sequence[object] = await store.leaderboard(limit=500)
        batches = await store.batches(1, head.chain.height)
        return {
            "head": head,
            "first_height": await store.first_height(),
            "batches": batches,
            "accounts": accounts,
            "histories": [
                await store.account_proofs(account.address, limit=500) for account in await store.leaderboard(limit=500)
            ],
            "changes": await store.validator_changes(limit=500),
            "totals": await store.totals(),
            "level_counts": await store.level_counts(),
        }
