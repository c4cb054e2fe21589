"""Figures for Prometheus that are looked up in a node's parts when somebody asks: heights, peers, what waits.

What *happens* is counted where it happens, through `step_node.metrics`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from p2p.network import Drop, Fault, Network, NetworkStatistics
from step_node.amounts import bounded
from step_node.api.status.health import Health, HealthCode
from step_node.api.status.node import NodeStatus
from step_node.chain.chain import Chain
from step_node.engine.evidence_pool import EvidencePool
from step_node.ledger.records import ValidatorRecord, ValidatorState
from step_node.mempool.journal import Journal
from step_node.mempool.pool import Mempool
from step_node.node.health.overview import HealthOverview
from step_node.node.logging import LogStatistics, log_statistics


@dataclass(frozen=True, slots=True)
class Wellbeing:
    """What the node thinks of itself; `own` is the record of its validator's key, if it has one on chain.

    `members` are the records of the present set; `clock_ahead_ms` is by how much others show this clock to be fast,
    less than 0 if it is slow.
    """

    health: Health
    undecided_seconds: float
    own: ValidatorRecord | None
    members: tuple[ValidatorRecord, ...] = ()
    clock_ahead_ms: int = 0

    @classmethod
    def of(cls, overview: HealthOverview, chain: Chain) -> Wellbeing:
        """As of now."""
        return cls(
            overview.health(),
            overview.undecided_seconds,
            overview.own_record,
            members=tuple(record for record in chain.head.validators if record.is_in_set),
            clock_ahead_ms=overview.clock_watch.fast_ms - overview.clock_watch.slow_ms,
        )


class Gauges(Collector):
    """What these parts say of themselves, looked up whenever somebody asks."""

    def __init__(
        self,
        network: Network,
        mempool: Mempool,
        journal: Journal,
        evidence: EvidencePool,
        status: Callable[[], NodeStatus],
        wellbeing: Callable[[], Wellbeing],
    ) -> None:
        self._network = network
        self._mempool = mempool
        self._journal = journal
        self._evidence = evidence
        self._status = status
        self._wellbeing = wellbeing

    def collect(self) -> Iterator[Metric]:
        """All of them, as of now."""
        status = self._status()
        yield from _of_status(status)
        yield from _of_peers(status)
        yield from _of_wellbeing(self._wellbeing())
        yield from _of_build(status)
        mempool = self._mempool.statistics()
        yield GaugeMetricFamily("step_mempool_proofs", "Proofs that wait to be finalised.", mempool.proofs)
        yield GaugeMetricFamily("step_mempool_accounts", "Accounts whose proofs wait.", mempool.accounts)
        yield GaugeMetricFamily("step_mempool_proofs_max", "Proofs that may wait.", mempool.proofs_max)
        yield GaugeMetricFamily(
            "step_journal_failing",
            "1 while the journal cannot be used: no proofs are accepted from clients.",
            int(self._journal.trouble is not None),
        )
        yield GaugeMetricFamily(
            "step_evidence_waiting", "Pieces of evidence that wait for a batch.", len(self._evidence)
        )
        yield from _of_network(self._network.statistics())
        yield from _of_log(log_statistics())
        yield GaugeMetricFamily(
            "step_tasks", "Tasks of the event loop.", trio.lowlevel.current_statistics().tasks_living
        )


def _of_status(status: NodeStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("step_height", "The last finalised height.", status.height)
    yield GaugeMetricFamily("step_consensus_round", "The round of the height that is being decided.", status.round)
    yield GaugeMetricFamily("step_validators", "Members of the present validator set.", len(status.validators))
    yield GaugeMetricFamily("step_syncing", "1 while the node catches up with its peers.", int(status.syncing))
    yield GaugeMetricFamily(
        "step_last_batch_timestamp_seconds", "The last batch's timestamp.", status.batch_timestamp_ms / 1000
    )


def _of_peers(status: NodeStatus) -> Iterator[Metric]:
    """Only members of the set have a label of their own: there are a hundred at most, and strangers without end."""
    peers = GaugeMetricFamily("step_peers", "Connected peers, by direction: who dialled.", None, ("direction",))
    outbound = sum(peer.outbound for peer in status.peers)
    peers.add_metric(("inbound",), len(status.peers) - outbound)
    peers.add_metric(("outbound",), outbound)
    yield peers
    members = {validator.address for validator in status.validators}
    roles = GaugeMetricFamily(
        "step_peers_by_role",
        "Connected peers: members of the set, others, and those that have not greeted yet.",
        None,
        ("role",),
    )
    by_role = dict.fromkeys(("validator", "observer", "unknown"), 0)
    for peer in status.peers:
        by_role["unknown" if peer.version is None else "validator" if peer.validator in members else "observer"] += 1
    for role, count in by_role.items():
        roles.add_metric((role,), count)
    yield roles
    by_peer_id = {peer.peer_id: peer for peer in status.peers}
    connected = GaugeMetricFamily(
        "step_validator_connected",
        "Whether each other member of the set is a connected peer (1) or not (0).",
        None,
        ("validator",),
    )
    heights = GaugeMetricFamily(
        "step_validator_height", "The height that a connected member of the set last told.", None, ("validator",)
    )
    for validator in status.validators:
        if validator.is_self:
            continue
        label = (f"0x{validator.address.hex()}",)
        its_peer = by_peer_id.get(validator.peer_id or "")
        connected.add_metric(label, int(its_peer is not None))
        if its_peer is not None and its_peer.height is not None:
            heights.add_metric(label, its_peer.height)
    yield connected
    yield heights


def _of_wellbeing(wellbeing: Wellbeing) -> Iterator[Metric]:
    active = {reason.code for reason in wellbeing.health.reasons}
    reasons = GaugeMetricFamily("step_health_reason", "1 for each thing that is wrong just now.", None, ("code",))
    for code in HealthCode:
        reasons.add_metric((code.value,), int(code in active))
    yield reasons
    yield GaugeMetricFamily(
        "step_ready", "1 while clients' traffic may be sent here.", int(not wellbeing.health.not_ready)
    )
    yield GaugeMetricFamily(
        "step_height_undecided_seconds",
        "How long something has waited at the present height; 0 while nothing does.",
        wellbeing.undecided_seconds,
    )
    yield GaugeMetricFamily(
        "step_clock_ahead_seconds",
        "By how much this clock is ahead of those of other validators (behind: negative), as their batches show it.",
        wellbeing.clock_ahead_ms / 1000,
    )
    absent = GaugeMetricFamily(
        "step_validator_absent_batches",
        "Commits in a row without the vote of each member of the set.",
        None,
        ("validator",),
    )
    for member in wellbeing.members:
        absent.add_metric((f"0x{member.address.hex()}",), member.absent_batches)
    yield absent
    own = wellbeing.own
    yield GaugeMetricFamily(
        "step_own_in_validator_set",
        "1 while this node's validator is in the set.",
        int(own is not None and own.is_in_set),
    )
    yield GaugeMetricFamily(
        "step_own_jailed",
        "1 while this node's validator is jailed.",
        int(own is not None and own.state is ValidatorState.JAILED),
    )
    yield GaugeMetricFamily(
        "step_own_stake_ustep",
        "The stake of this node's validator, in µSTEP.",
        0 if own is None else bounded(own.stake_ustep),
    )
    yield GaugeMetricFamily(
        "step_own_absent_batches",
        "Commits in a row without the vote of this node's validator.",
        0 if own is None else own.absent_batches,
    )


def _of_build(status: NodeStatus) -> Iterator[Metric]:
    labels = ("version", "commit", "protocol_version", "python")
    build = GaugeMetricFamily(
        "step_build_info",
        "Always 1: what runs, in the labels. protocol_version is that of the newest rules it knows.",
        None,
        labels,
    )
    newest = max(status.known_protocol_versions)
    build.add_metric((status.version, status.commit, str(newest), platform.python_version()), 1)
    yield build
    yield GaugeMetricFamily("step_protocol_version", "Of the rules in force.", status.protocol_version)


def _of_network(statistics: NetworkStatistics) -> Iterator[Metric]:
    yield GaugeMetricFamily("step_peers_banned", "Peers that are refused for a while.", statistics.banned)
    yield GaugeMetricFamily(
        "step_p2p_streams_kept", "Streams with connected peers that have not been let go of.", statistics.streams_kept
    )
    yield GaugeMetricFamily(
        "step_p2p_entries_by_peer",
        "What the network remembers by peer id, of who is connected and who has gone.",
        statistics.entries_by_peer,
    )
    messages = CounterMetricFamily("step_gossip_messages", "Gossip, by topic and direction.", None, _TOPIC_LABELS)
    volume = CounterMetricFamily("step_gossip_bytes", "Bytes of gossip, by topic and direction.", None, _TOPIC_LABELS)
    for topic, one in statistics.topics.items():
        for direction, message_count, byte_count in (
            ("in", one.messages_in, one.bytes_in),
            ("out", one.messages_out, one.bytes_out),
        ):
            messages.add_metric((topic, direction), message_count)
            volume.add_metric((topic, direction), byte_count)
    yield messages
    yield volume
    drops = CounterMetricFamily("step_network_drops", "What the network threw away, by reason.", None, ("reason",))
    for reason in Drop:
        drops.add_metric((reason.value,), statistics.dropped.get(reason, 0))
    yield drops
    penalties = CounterMetricFamily("step_peer_penalties", "Peers' faults that were charged.", None, ("fault",))
    for fault in Fault:
        penalties.add_metric((fault.value,), statistics.penalties.get(fault, 0))
    yield penalties
    streams = CounterMetricFamily("step_streams", "Streams, by who opened them.", None, ("opened_by",))
    streams.add_metric(("self",), statistics.streams_opened)
    streams.add_metric(("peer",), statistics.streams_served)
    yield streams
    yield GaugeMetricFamily("step_p2p_streams_open", "Streams of peers that are served now.", statistics.streams_open)
    yield CounterMetricFamily(
        "step_stream_handler_failures", "Streams that ended by a bug of this node.", statistics.handler_failures
    )


def _of_log(statistics: LogStatistics) -> Iterator[Metric]:
    dropped = CounterMetricFamily(
        "step_log_lines_dropped", "Lines that are not in the log, by what kept them out.", None, ("reason",)
    )
    for reason, count in statistics.lost.items():
        dropped.add_metric((reason.value,), count)
    yield dropped
    yield CounterMetricFamily(
        "step_log_lines_summed_up", "Lines that strangers repeated and the log only counts.", statistics.summed_up
    )


_TOPIC_LABELS: Final = ("topic", "direction")
