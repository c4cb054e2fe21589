"""Operations that peers gossip, taken in one by one."""

from __future__ import annotations

from functools import partial

import structlog

from step_node.mempool.operations import OperationDesk
from step_node.network.gossip import Topic
from step_node.operations.operation import Operation
from step_node.storage.retry import StorageWatch

log = structlog.get_logger("gossip")


async def take_in_operations(topic: Topic[Operation], desk: OperationDesk, storage_watch: StorageWatch) -> None:
    """Hand them to the desk, until cancelled. One that is refused is nobody's fault: heads differ for a moment."""
    async for _, operation in topic:
        refused = await storage_watch.when_available(partial(desk.take, operation))
        if refused is not None:
            log.debug("an operation is not taken", kind=operation.type, reason=str(refused))
