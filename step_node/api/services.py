"""What the HTTP API needs of the node, handed to it by whoever wires the node together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from step_node.api.events.places import StreamPlaces
from step_node.api.server.limits import EVENT_LIMITS
from step_node.api.server.quotas import Quotas
from step_node.api.status.consensus import ConsensusStatus
from step_node.api.status.health import Health
from step_node.api.status.load import LoadSample
from step_node.api.status.node import NodeStatus
from step_node.api.submissions.intake import Intake
from step_node.api.web_app import WebApp
from step_node.chain.chain import Chain
from step_node.clock import Clock
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.guardrails.guardrails import Reading
from step_node.economy.trends import Trends
from step_node.feed.feed import Feed
from step_node.home.switches import Switches
from step_node.mempool.admission import Admission
from step_node.mempool.operations import OperationDesk
from step_node.metrics import NodeMetrics
from step_node.proof_traces import ProofTraces
from step_node.receipts.links import SetLink


@dataclass(frozen=True, slots=True)
class ApiServices:
    """`chain.storage` answers queries; `admission` takes in proofs, `operations` what owners of validators want; the
    rest tells about the node itself. `links_to(validator_set_hash)` shows how a set has come from genesis, where
    the node can.

    `counters` are told how each submission was answered, and `metrics` is what `/metrics` shows. `wait_ms_max` is the
    longest that a client may have a request wait for finality (`api.wait_ms_max` of the configuration), and of one
    account so many proofs are taken in in a minute as `account_quotas` say. `feed` is what happens, `fairness` who got
    how much. `switches` are what the operator can turn off, and `intake` is the gate in front of what clients hand in.
    `web_app` is what is said of the app at `/app/`, `load` what the node remembers of its load, `guardrails` how they
    stand, `trends` what is made of the last proofs.
    """

    chain: Chain
    admission: Admission
    clock: Clock
    status: Callable[[], NodeStatus]
    health: Callable[[], Health]
    consensus: Callable[[], ConsensusStatus]
    metrics: CollectorRegistry
    counters: NodeMetrics
    operations: OperationDesk
    links_to: Callable[[bytes], Sequence[SetLink] | None]
    feed: Feed
    intake: Intake
    fairness: FairnessReporter
    trends: Trends
    switches: Switches = field(default_factory=Switches)
    wait_ms_max: int = 30_000
    account_quotas: Quotas = field(default_factory=lambda: Quotas(0))
    event_places: StreamPlaces = field(default_factory=lambda: StreamPlaces(EVENT_LIMITS))
    traces: ProofTraces | None = None
    web_app: WebApp = field(default_factory=WebApp)
    load: Callable[[], Sequence[LoadSample]] = lambda: ()
    guardrails: Callable[[], Sequence[Reading]] = lambda: ()
