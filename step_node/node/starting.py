"""What a node waits for before it takes its part: the chain's beginning, and a doppelganger that is not there."""

from __future__ import annotations

from typing import Final

import structlog
import trio

from step_node.chain.chain import Chain
from step_node.clock import Clock
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.engine.driver import ConsensusDriver

HEAD_CHECK_MS: Final = 100
"""How often a node that has just started looks whether it has caught up."""

GENESIS_CHECK_MS: Final = 1_000
"""How often a node that waits for genesis looks at its clock."""

log = structlog.get_logger("node")


async def await_genesis(chain: Chain, clock: Clock) -> None:
    """Say that the chain has not begun, and when it does."""
    log.warning("the node waits for genesis", reason=chain.genesis.told_to_wait(clock.now_ms()))
    while chain.begins_in_ms:
        # The wall clock may be set meanwhile.
        await trio.sleep(min(chain.begins_in_ms, GENESIS_CHECK_MS) / 1000)
    log.info("the chain begins", chain_id=chain.chain_id)


async def listen_for_doppelganger(
    watch: DoppelgangerWatch, driver: ConsensusDriver, chain: Chain, *, seconds: float
) -> None:
    """Begin to watch at the head, and let the driver sign once the operator's time of listening is over.

    While the history is doubtful, what it lacks may be of this very process: then nobody can be accused.
    """
    while not driver.is_at_head or watch.is_doubtful:
        await trio.sleep(HEAD_CHECK_MS / 1000)
    height = chain.head.chain.height
    watch.begin(height)
    if seconds > 0:
        log.info("listening for a doppelganger before anything is signed", height=height, seconds=seconds)
        await trio.sleep(seconds)
        log.info("no doppelganger was heard", height=chain.head.chain.height)
    driver.take_part()
