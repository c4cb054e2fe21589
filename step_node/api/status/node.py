"""What a running node says of itself: plain values that the API, the metrics and the tests read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A connected peer: its libp2p id, the other end of its connection, and what it last told (None before its hello).

    `outbound`: this node dialled. `validator` (20 bytes) is the one that the peer is (`network.identities`).
    """

    peer_id: str
    address: str
    outbound: bool
    version: str | None
    height: int | None
    validator: bytes | None
    protocol_versions: tuple[int, ...] = ()
    """Of the rules that it knows; none before its hello."""


@dataclass(frozen=True, slots=True)
class ValidatorStatus:
    """A member of the present set. `address` is 20 bytes.

    `peer_id` is the node that it is known by: a connected peer, or this node if the chain names it for the validator.
    None: no connected node is this validator.
    """

    address: bytes
    stake_ustep: int
    is_self: bool
    peer_id: str | None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Where the node stands. `height` is the last finalised; `round` and `state` are of the height after it."""

    version: str
    commit: str
    protocol_version: int
    """Of the rules in force."""
    known_protocol_versions: tuple[int, ...]
    chain_id: str
    genesis_hash: bytes
    peer_id: str
    p2p_addresses: tuple[str, ...]
    validator_address: bytes | None
    height: int
    batch_hash: bytes
    state_root: bytes
    batch_timestamp_ms: int
    round: int
    state: str
    syncing: bool
    mempool_proofs: int
    earliest_height: int
    """The lowest height whose batch is kept."""
    histories_from: int
    """The lowest height whose proofs and operations are in the histories."""
    peers: tuple[PeerStatus, ...]
    validators: tuple[ValidatorStatus, ...]
    switches: Mapping[str, bool] = field(default_factory=dict)
    """What the operator can turn off while the node runs, each on or off."""
