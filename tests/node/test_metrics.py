"""What the node counts, as Prometheus reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from consensus.messages import EvidenceKind
from consensus.reasons import Ignored
from p2p.memory import MemoryHub
from p2p.network import Drop, Fault
from step_node.api.server.visitors import Refused
from step_node.api.status.health import Health, HealthCode, HealthReason
from step_node.api.status.node import NodeStatus, PeerStatus, ValidatorStatus
from step_node.engine.evidence_pool import EvidencePool
from step_node.ledger.offences import OffenceKind
from step_node.mempool.journal import Journal
from step_node.mempool.pool import Mempool
from step_node.metrics import NodeMetrics
from step_node.node.disk_gauges import DiskGauges
from step_node.node.gauges import Gauges, Wellbeing
from step_node.proofs.proof import RefusalCode
from tests.node.test_roles import JAILED

STATUS = NodeStatus(
    commit="0123456789ab",
    protocol_version=1,
    known_protocol_versions=(1, 2),
    version="0.1.0",
    chain_id="step-test",
    genesis_hash=bytes(32),
    peer_id="self",
    p2p_addresses=(),
    validator_address=None,
    height=7,
    batch_hash=bytes(32),
    state_root=bytes(32),
    batch_timestamp_ms=1_767_225_600_500,
    round=2,
    state="PROPOSE",
    syncing=True,
    mempool_proofs=0,
    earliest_height=1,
    histories_from=1,
    peers=(),
    validators=(),
)


def test_what_happens_is_counted_under_its_labels() -> None:
    registry = CollectorRegistry()
    metrics = NodeMetrics(registry)
    metrics.batch_finalised((), rounds=2)
    metrics.proof_refused("TOO_FAST", "peer")
    metrics.proof_refused("TOO_FAST", "peer")
    metrics.proof_dropped("CLOCK_DRIFT")
    metrics.proof_final_after(1_200)
    metrics.consensus_input_ignored("duplicate")
    metrics.validator_slashed("DOUBLE_SIGN", 500)
    metrics.validator_slashed("OFFLINE", 7)
    metrics.fork_seen()
    value = registry.get_sample_value
    assert value("step_batches_finalised_total") == 1
    assert value("step_consensus_rounds_sum") == 2
    assert value("step_proofs_refused_total", {"code": "TOO_FAST", "source": "peer"}) == 2
    assert value("step_proofs_dropped_total", {"code": "CLOCK_DRIFT"}) == 1
    assert value("step_proof_finality_seconds_sum") == 1.2
    assert value("step_proof_finality_seconds_bucket", {"le": "1.0"}) == 0
    assert value("step_proof_finality_seconds_bucket", {"le": "1.5"}) == 1
    assert value("step_consensus_inputs_ignored_total", {"reason": "duplicate"}) == 1
    assert value("step_validators_slashed_total", {"kind": "DOUBLE_SIGN"}) == 1
    assert value("step_stake_burnt_ustep_total") == 507
    assert value("step_forks_seen_total") == 1


WELL = Wellbeing(Health(), 0.0, None)
UNOPENED = Journal(Path("journal"), None, trouble="it cannot be opened")


async def test_what_is_is_looked_up_when_asked() -> None:
    registry = CollectorRegistry()
    hub = MemoryHub()
    async with hub.join("one") as network, hub.join("two") as other:
        network.subscribe("proofs", message_bytes_max=100, buffer_messages=8)
        await network.start()
        await other.start()
        registry.register(
            Gauges(network, Mempool(proofs_max=5), UNOPENED, EvidencePool(), lambda: STATUS, lambda: WELL)
        )
        value = registry.get_sample_value
        assert value("step_mempool_proofs_max") == 5
        assert value("step_evidence_waiting") == 0
        assert value("step_log_lines_dropped_total", {"reason": "queue_full"}) == 0
        assert value("step_log_lines_summed_up_total") == 0
        assert value("step_height") == 7
        assert value("step_consensus_round") == 2
        assert value("step_syncing") == 1
        assert value("step_last_batch_timestamp_seconds") == 1_767_225_600.5
        await network.publish("proofs", b"abc")
        assert value("step_gossip_bytes_total", {"topic": "proofs", "direction": "out"}) == 3
        network.penalise(other.peer_id, Fault.MALFORMED)
        assert value("step_peer_penalties_total", {"fault": "malformed"}) == 1


async def test_members_of_the_set_have_labels_and_strangers_have_none() -> None:
    registry = CollectorRegistry()
    own, connected, greeting, away = (bytes([number]) * 20 for number in range(4))
    status = replace(
        STATUS,
        peers=(
            PeerStatus("a", "/ip4/192.0.2.1/tcp/1", True, "0.1.0", 7, connected),
            PeerStatus("b", "/ip4/192.0.2.2/tcp/1", False, None, None, greeting),
            PeerStatus("c", "/ip4/192.0.2.3/tcp/1", False, "made-up", 10**18, None),
        ),
        validators=(
            ValidatorStatus(own, 1, True, "self"),
            ValidatorStatus(connected, 1, False, "a"),
            ValidatorStatus(greeting, 1, False, "b"),
            ValidatorStatus(away, 1, False, None),
        ),
    )
    async with MemoryHub().join("one") as network:
        registry.register(Gauges(network, Mempool(), UNOPENED, EvidencePool(), lambda: status, lambda: WELL))
        text = generate_latest(registry).decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith(("step_peers", "step_validator_"))
    }
    assert samples == {
        ("step_peers", "inbound"): 2,
        ("step_peers", "outbound"): 1,
        ("step_peers_by_role", "validator"): 1,
        ("step_peers_by_role", "observer"): 1,
        ("step_peers_by_role", "unknown"): 1,
        ("step_peers_banned",): 0,
        ("step_validator_connected", "0x" + connected.hex()): 1,
        ("step_validator_connected", "0x" + greeting.hex()): 1,
        ("step_validator_connected", "0x" + away.hex()): 0,
        ("step_validator_height", "0x" + connected.hex()): 7,
    }


async def test_every_metric_keeps_to_the_conventions_and_says_what_it_means() -> None:
    registry = CollectorRegistry()
    async with MemoryHub().join("one") as network:
        NodeMetrics(registry)
        registry.register(Gauges(network, Mempool(), UNOPENED, EvidencePool(), lambda: STATUS, lambda: WELL))
        families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert len(families) > 25
    names = {family.name for family in families}
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "step_build_info"} <= names
    for family in families:
        assert family.name.startswith(("step_", "process_"))
        assert family.documentation.endswith("."), family.name
        assert not family.name.endswith(("_ms", "_milliseconds")), family.name


async def test_what_is_wrong_and_how_the_own_validator_stands_can_be_alerted_on() -> None:
    registry = CollectorRegistry()
    troubled = Wellbeing(Health((HealthReason(HealthCode.NO_QUORUM, "too few"),)), 12.5, JAILED)
    async with MemoryHub().join("one") as network:
        registry.register(Gauges(network, Mempool(), UNOPENED, EvidencePool(), lambda: STATUS, lambda: troubled))
        value = registry.get_sample_value
        for code in HealthCode:
            assert value("step_health_reason", {"code": code.value}) == (code is HealthCode.NO_QUORUM)
        assert value("step_ready") == 0
        assert value("step_height_undecided_seconds") == 12.5
        assert value("step_own_in_validator_set") == 0
        assert value("step_own_jailed") == 1
        assert value("step_own_stake_ustep") == JAILED.stake_ustep
        troubled = replace(troubled, own=replace(JAILED, stake_ustep=10**400))
        assert b"step_own_stake_ustep 1e+30" in generate_latest(registry), "a faulty ledger may make up any number"
        assert value("step_p2p_streams_open") == 0


async def test_the_clock_and_the_members_absence_are_shown() -> None:
    registry = CollectorRegistry()
    absent = replace(JAILED, absent_batches=12)
    wellbeing = replace(WELL, members=(absent,), clock_ahead_ms=-2_500)
    async with MemoryHub().join("one") as network:
        registry.register(Gauges(network, Mempool(), UNOPENED, EvidencePool(), lambda: STATUS, lambda: wellbeing))
        value = registry.get_sample_value
        assert value("step_clock_ahead_seconds") == -2.5
        assert value("step_validator_absent_batches", {"validator": f"0x{absent.address.hex()}"}) == 12


async def test_the_store_and_the_requests_are_timed() -> None:
    registry = CollectorRegistry()
    metrics = NodeMetrics(registry)
    metrics.store_answered(0.02)
    metrics.store_written(0.3)
    metrics.request_answered(404, 0.005)
    value = registry.get_sample_value
    assert value("step_store_answer_seconds_sum") == 0.02
    assert value("step_store_write_seconds_bucket", {"le": "0.25"}) == 0
    assert value("step_api_request_duration_seconds_count", {"status": "4xx"}) == 1


async def test_a_file_system_that_cannot_be_looked_at_has_no_figures(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    registry.register(DiskGauges(tmp_path / "gone"))
    assert registry.get_sample_value("step_disk_free_bytes") is None
    (tmp_path / "gone").mkdir()
    free, size = (registry.get_sample_value(f"step_disk_{name}_bytes") for name in ("free", "size"))
    assert free is not None
    assert size is not None
    assert 0 < free <= size


async def test_every_series_with_a_label_is_there_before_anything_has_happened() -> None:
    registry = CollectorRegistry()
    metrics = NodeMetrics(registry)
    metrics.expect_api_refusals(Refused)
    metrics.expect_health_reasons(HealthCode)
    async with MemoryHub().join("one") as network:
        registry.register(Gauges(network, Mempool(), UNOPENED, EvidencePool(), lambda: STATUS, lambda: WELL))
        value = registry.get_sample_value
        for name, label, values in (
            ("step_consensus_inputs_ignored_total", "reason", Ignored),
            ("step_equivocations_seen_total", "kind", EvidenceKind),
            ("step_validators_slashed_total", "kind", OffenceKind),
            ("step_messages_rejected_total", "reason", Fault),
            ("step_peer_penalties_total", "fault", Fault),
            ("step_network_drops_total", "reason", Drop),
            ("step_api_refused_total", "reason", Refused),
            ("step_health_reasons_total", "code", HealthCode),
            ("step_proofs_dropped_total", "code", RefusalCode),
        ):
            assert [value(name, {label: one}) for one in values] == [0] * len(values), name
        for code in RefusalCode:
            assert value("step_proofs_refused_total", {"code": code, "source": "api"}) == 0
            assert value("step_proofs_refused_total", {"code": code, "source": "peer"}) == 0
        assert value("step_submission_duration_seconds_count", {"answer": "pending"}) == 0
