"""Where a node stands, looked up in its parts whenever somebody asks."""

from __future__ import annotations

from collections.abc import Callable

from step_node.api.status.consensus import ConsensusStatus
from step_node.api.status.node import NodeStatus
from step_node.engine.driver import ConsensusDriver
from step_node.mempool.operations import OperationPool
from step_node.network.peers import Peers
from step_node.node.consensus_view import consensus_status
from step_node.node.health.round_diary import RoundDiary
from step_node.node.own_key import OwnKey
from step_node.node.parts import NodeParts
from step_node.node.pruning import Pruner
from step_node.node.status_view import node_status


class Standing:
    """See the module's docstring."""

    def __init__(
        self,
        parts: NodeParts,
        *,
        own_key: OwnKey,
        driver: ConsensusDriver,
        peers: Peers,
        operations: OperationPool,
        diary: RoundDiary,
        pruner: Pruner,
        is_syncing: Callable[[], bool],
    ) -> None:
        self._parts = parts
        self._own_key = own_key
        self._driver = driver
        self._peers = peers
        self._operations = operations
        self._diary = diary
        self._pruner = pruner
        self._is_syncing = is_syncing

    def status(self) -> NodeStatus:
        """Of the whole node."""
        parts = self._parts
        return node_status(
            parts.chain,
            parts.network,
            self._peers,
            self._driver.state,
            own=self._own_key.address,
            syncing=self._is_syncing(),
            mempool_proofs=len(parts.mempool),
            kept=self._pruner.kept,
            switches=parts.switches.states(),
        )

    def consensus(self) -> ConsensusStatus:
        """Of the height that is being decided."""
        return consensus_status(
            self._driver.state,
            self._diary,
            takes_part=self._driver.takes_part,
            own=self._own_key.address,
            connected={peer.validator for peer in self._peers.statuses() if peer.validator is not None},
            waiting=self.waiting(),
        )

    def waiting(self) -> tuple[int, int, int]:
        """How many proofs, operations and pieces of evidence wait for a batch."""
        return len(self._parts.mempool), len(self._operations), len(self._parts.evidence)
