"""What a running node says of itself: plain values that the API, the metrics and the tests read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HealthLevel(StrEnum):
    """`ok`: finalising or idle as it should. `degraded`: serving, but an operator should look. `down`: not serving."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """The node's health with the reasons for anything but `ok`."""

    level: HealthLevel
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A connected peer: its libp2p id, and the height it last told (None before its hello)."""

    peer_id: str
    height: int | None


@dataclass(frozen=True, slots=True)
class ValidatorStatus:
    """A member of the present set. `address` is 20 bytes."""

    address: bytes
    stake_ustep: int
    is_self: bool


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Where the node stands. `height` is the last finalised; `round` and `state` are of the height after it."""

    version: str
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
    peers: tuple[PeerStatus, ...]
    validators: tuple[ValidatorStatus, ...]
