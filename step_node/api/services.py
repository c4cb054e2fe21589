"""What the HTTP API needs of the node, handed to it by whoever wires the node together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from step_node.admission import Admission
from step_node.chain import Chain
from step_node.clock import Clock
from step_node.status import Health, NodeStatus


@dataclass(frozen=True, slots=True)
class ApiServices:
    """`chain.storage` answers queries; `admission` takes proofs in; the rest tells about the node itself."""

    chain: Chain
    admission: Admission
    clock: Clock
    status: Callable[[], NodeStatus]
    health: Callable[[], Health]
    metrics: CollectorRegistry
