"""Storage: one interface (`interface.py`), and the engines behind it, opened by `open_storage`."""

from step_node.storage.interface import (
    PAGE_MAX,
    SCHEMA_VERSION,
    FinalisedBatch,
    FinalisedProof,
    LedgerTotals,
    Storage,
    StorageError,
    StorageMismatch,
    StorageUnavailable,
    StoredBatch,
)
from step_node.storage.open import MemorySettings, MongoSettings, SqliteSettings, StorageSettings, open_storage

__all__ = [
    "PAGE_MAX",
    "SCHEMA_VERSION",
    "FinalisedBatch",
    "FinalisedProof",
    "LedgerTotals",
    "MemorySettings",
    "MongoSettings",
    "SqliteSettings",
    "Storage",
    "StorageError",
    "StorageMismatch",
    "StorageSettings",
    "StorageUnavailable",
    "StoredBatch",
    "open_storage",
]
