"""The store of a home: where it is, and taking it away so that the node fetches the chain from its peers again.

What must survive is what the validator has signed: `data/signing_history` and `data/proof_of_lock` are never touched.
The consensus log goes with the store, and goes first. A store without its log costs nothing, as each validator then
goes on from its signing history; a log without its store is a store that has lost finalised batches, and is refused. So
whatever cuts this short, the node may be started, or the store be taken away again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from step_node.durable.atomic_file import fsync_directory
from step_node.home.config import StorageConfig
from step_node.home.paths import NodeHome
from step_node.storage.open import (
    FoundStore,
    MongoSettings,
    SqliteSettings,
    StorageSettings,
    drop_found,
    find_store,
)


def storage_settings(home: NodeHome, config: StorageConfig) -> StorageSettings:
    """Where the store of `home` is."""
    if config.engine == "mongodb" and config.mongodb_uri is not None:
        return MongoSettings(config.mongodb_uri, config.mongodb_database, answers_from=config.mongodb_answers_from)
    return SqliteSettings(home.ledger)


@dataclass(frozen=True, slots=True)
class OldStore:
    """What there is to be taken away: files that are moved, in this order, and a database that is dropped."""

    settings: StorageSettings
    files: Sequence[Path]
    store: FoundStore

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not self.files and self.store.database is None


async def find_old_store(home: NodeHome, config: StorageConfig) -> OldStore:
    """What of `home` has to go, for its chain to be fetched again. The home must be locked, until it has gone.

    Raises `StorageMismatch` for a database that is not, or not only, a STEP store, or that a node is connected to;
    `StorageUnavailable` when it cannot be reached.
    """
    settings = storage_settings(home, config)
    store = await find_store(settings)
    log = (home.consensus_log,) if home.consensus_log.exists() else ()
    return OldStore(settings, (*log, *store.files), store)


async def take_away(home: NodeHome, old: OldStore) -> Path | None:
    """Move the files into a new directory of mode 0700, then drop the database; the directory, None without files.

    Each step is durable before the next. Raises OSError, or `StorageUnavailable`; calling it again goes on.
    """
    directory = None
    if old.files:
        directory = _new_directory(home)
        for file in old.files:
            file.rename(directory / file.name)
            fsync_directory(directory)
            fsync_directory(file.parent)
    await drop_found(old.settings, old.store)
    return directory


def _new_directory(home: NodeHome) -> Path:
    for number in count(1):
        directory = home.old_store(number)
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        fsync_directory(home.data)
        return directory
    raise AssertionError("counting does not end")
