"""Pruning beside a running node, as `[retention]` says: small transactions with pauses between them."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from step_node.home.config import RetentionConfig
from step_node.storage.interface import Kept, Prunable, Storage, StorageUnavailable
from step_node.storage.retention import Retention, prune_past

PRUNED_EVERY_SECONDS = 10.0
"""How often it is looked whether something may go."""

PAUSE_SECONDS = 0.2
"""Between two transactions, so that consensus never waits for more than one: a batch is written in between."""

log = structlog.get_logger("retention")


class Pruner:
    """`run` prunes until cancelled; `prune` does so once, now. `needed_from()` is the lowest height that is still
    wanted for something else, such as following a snapshot that peers may be fetching."""

    def __init__(
        self, storage: Storage, retention: RetentionConfig, *, needed_from: Callable[[], int | None] = lambda: None
    ) -> None:
        self._storage = storage
        self._needed_from = needed_from
        self._retentions = {
            Prunable.BATCHES: Retention.parse(retention.batches),
            Prunable.HISTORIES: Retention.parse(retention.histories),
        }
        self._turn = trio.Lock()
        self.kept = Kept()
        """What the store had when it was last looked at."""

    async def begin(self) -> None:
        """See what the store has. Raises `StorageUnavailable`."""
        self.kept = await self._storage.kept()

    async def run(self) -> None:
        """Prune whenever something may go, until cancelled; a store that does not answer is tried again later."""
        if all(retention.keeps_all for retention in self._retentions.values()):
            return
        while True:
            try:
                await self.prune()
            except StorageUnavailable as error:
                log.info("pruning is put off: the store does not answer", reason=str(error))
            await trio.sleep(PRUNED_EVERY_SECONDS)

    async def prune(self) -> Kept:
        """Prune all that may go now; what is kept then. Raises `StorageUnavailable`."""
        async with self._turn:
            before = self.kept
            self.kept = await prune_past(
                self._storage,
                self._retentions,
                needed_from=self._needed_from(),
                after_step=lambda: trio.sleep(PAUSE_SECONDS),
            )
            if self.kept != before:
                log.debug(
                    "pruned the past", batches_from=self.kept.batches_from, histories_from=self.kept.histories_from
                )
            return self.kept
