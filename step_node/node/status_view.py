"""What the node tells of where it stands: its head, its peers, and which of them is which validator."""

from __future__ import annotations

from collections.abc import Mapping

import step_node
from consensus.state import ConsensusState
from p2p.network import Network
from step_node.api.status.node import NodeStatus, ValidatorStatus
from step_node.build import commit
from step_node.chain.chain import Chain
from step_node.ledger.commitment import state_root
from step_node.ledger.rules import known_versions
from step_node.network.identities import agreed_validator
from step_node.network.peers import Peers
from step_node.storage.interface import Kept


def node_status(
    chain: Chain,
    network: Network,
    peers: Peers,
    state: ConsensusState,
    *,
    own: bytes | None,
    syncing: bool,
    mempool_proofs: int,
    kept: Kept,
    switches: Mapping[str, bool],
) -> NodeStatus:
    """Where a node with the key of address `own` stands, which is deciding the height of `state`."""
    head, members = chain.head, chain.validators
    own_address = own if own in members else None
    connected = peers.statuses()
    peer_ids = {peer.validator: peer.peer_id for peer in connected if peer.validator is not None}
    named = agreed_validator(head.validators, network.peer_id, own_address)
    if named is not None:
        peer_ids[named] = network.peer_id
    return NodeStatus(
        version=step_node.__version__,
        commit=commit(),
        protocol_version=head.protocol.version,
        known_protocol_versions=known_versions(),
        chain_id=chain.chain_id,
        genesis_hash=chain.genesis.hash,
        peer_id=network.peer_id,
        p2p_addresses=network.listen_addresses,
        validator_address=own_address,
        height=head.chain.height,
        batch_hash=head.chain.batch_hash,
        state_root=state_root(head.lanes),
        batch_timestamp_ms=head.chain.timestamp_ms,
        round=max(state.round, 0),
        state=state.step.value,
        syncing=syncing,
        mempool_proofs=mempool_proofs,
        earliest_height=kept.batches_from,
        histories_from=kept.histories_from,
        switches=switches,
        peers=connected,
        validators=tuple(
            ValidatorStatus(
                validator.address,
                validator.stake_ustep,
                validator.address == own_address,
                peer_ids.get(validator.address),
            )
            for validator in members
        ),
    )
