"""What gives snapshots to peers, and what joins from theirs, as the settings want them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from step_node.engine.driver import ConsensusDriver
from step_node.home.switches import Switch
from step_node.network.peers import Peers
from step_node.network.snapshots import SnapshotJoiner, SnapshotServer
from step_node.node.parts import NodeParts
from step_node.snapshot.validator_sets import ValidatorSetLinks


def snapshot_parts(
    parts: NodeParts,
    *,
    set_links: ValidatorSetLinks,
    driver: ConsensusDriver,
    peers: Peers,
    owes_answers: Callable[[], bool],
) -> tuple[SnapshotServer | None, SnapshotJoiner | None]:
    """Both, or the first alone, or neither. For `owes_answers` see `Admission`."""
    if parts.snapshots is None:
        return None, None
    server = SnapshotServer(
        network=parts.network,
        chain=parts.chain,
        snapshot_store=parts.snapshots,
        set_links=set_links,
        every_batches=parts.sync.snapshot_every_batches,
        is_served=partial(parts.switches.is_on, Switch.SNAPSHOTS),
    )
    if not parts.sync.snapshot:
        return server, None
    joiner = SnapshotJoiner(
        network=parts.network,
        chain=parts.chain,
        driver=driver,
        snapshot_store=parts.snapshots,
        set_links=set_links,
        distance_batches=parts.sync.snapshot_distance_batches,
        owes_answers=owes_answers,
        records=peers.records,
    )
    return server, joiner
