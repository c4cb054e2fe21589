"""What a node does by the clock: what gossip may have lost is said again, what has waited for too long is dropped, and
a journal that failed is told what it is owed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from consensus.messages import Message
from step_node.engine.driver import ConsensusDriver
from step_node.mempool.admission import Admission
from step_node.mempool.operations import OperationDesk
from step_node.mempool.settlement import Settlement
from step_node.node.parts import NodeParts

EXPIRY_CHECK_MS: Final = 10_000
"""How often an idle node looks for waiting proofs that have become too old, and any node whether a journal that failed
can be written again."""

SAY_AGAIN_MS: Final = 2_000
"""How often evidence and operations that wait are sent again, since gossip loses some."""


class Upkeep:
    """See the module's docstring."""

    def __init__(
        self,
        parts: NodeParts,
        *,
        admission: Admission,
        operations: OperationDesk,
        settlement: Settlement,
        driver: ConsensusDriver,
        broadcast: Callable[[Message], Awaitable[None]],
        is_syncing: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._admission = admission
        self._operations = operations
        self._settlement = settlement
        self._driver = driver
        self._broadcast = broadcast
        self._is_syncing = is_syncing

    async def run(self) -> None:
        """Do it, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_again)
            nursery.start_soon(self._expire)

    async def _say_again(self) -> None:
        while True:
            await trio.sleep(SAY_AGAIN_MS / 1000)
            for evidence in self._parts.evidence.pieces():
                await self._broadcast(evidence)
            await self._operations.say_again()

    async def _expire(self) -> None:
        while True:
            await trio.sleep(EXPIRY_CHECK_MS / 1000)
            await self._mend_journal()
            if self._driver.is_idle and not self._is_syncing() and self._hears_a_quorum():
                await self._settlement.drop_expired()

    async def _mend_journal(self) -> None:
        """Tell the journal what it is owed, and let in what it holds if that could not be read yet."""
        journal = self._parts.journal
        await journal.mend(self._parts.clock.now_ms())
        if not journal.is_read:
            await self._admission.restore()

    def _hears_a_quorum(self) -> bool:
        return len(self._parts.network.peers()) >= self._parts.chain.validators.quorum - 1
