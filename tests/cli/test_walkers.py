"""The walkers of the devnet keep the protocol's rules, and the summary says what happened."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Sequence

import pytest

from mesh import locate, unit_vector, within_distance
from step_node.cli.devnet_results import summarise
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless
from step_node.proofs.payload import parse_payload
from step_node.proofs.proof import SignedProof
from step_node.testing.devnet.accounts import dev_accounts, example_request
from step_node.testing.devnet.agreement import Agreement
from step_node.testing.devnet.node_client import Final, Refused, Waiting
from step_node.testing.devnet.ports import PortsInUse, block_of_ports, free_ports
from step_node.testing.devnet.walkers import (
    CITIES,
    LOOKBACK_MS,
    PROOFS_PER_WALKER_MAX,
    ProofRecord,
    Walker,
    WalkResult,
    proof_id_of,
)
from step_node.testing.load.report import percentile

NOW_MS = 1_769_860_800_000
PARAMETERS = Parameters()


class StoppedClock:
    """A clock that stands still."""

    def now_ms(self) -> int:
        return NOW_MS


def walk(start: tuple[float, float], seed: int) -> Sequence[SignedProof]:
    walker = Walker(PARAMETERS, start=start, clock=StoppedClock(), seed=seed)
    proofs = []
    for _ in range(PROOFS_PER_WALKER_MAX):
        walker.walk_on()
        signed = walker.sign()
        proofs.append(parse_payload(signed["payload"], signed["signature"]))
    return proofs


@pytest.mark.parametrize("start", CITIES)
def test_a_whole_walk_keeps_every_rule(start: tuple[float, float]) -> None:
    proofs = walk(start, seed=1)
    assert all(check_stateless(proof, PARAMETERS) is None for proof in proofs)
    assert len({proof.account for proof in proofs}) == 1
    assert len({proof.nonce for proof in proofs}) == len(proofs)
    for before, after in itertools.pairwise(proofs):
        elapsed_ms = after.timestamp_ms - before.timestamp_ms
        assert elapsed_ms >= PARAMETERS.moratorium_ms
        places = (unit_vector(before.lat, before.lon), unit_vector(after.lat, after.lon))
        assert within_distance(*places, PARAMETERS.speed_limit_mps * elapsed_ms / 1000)
        assert not within_distance(*places, 1.0)
    assert proofs[0].timestamp_ms == NOW_MS - LOOKBACK_MS
    assert proofs[-1].timestamp_ms <= NOW_MS
    assert PARAMETERS.proof_max_age_ms / 2 > LOOKBACK_MS


def test_a_walker_goes_into_the_child_when_its_triangle_is_subdivided_and_back_when_there_is_none() -> None:
    walker = Walker(PARAMETERS, start=CITIES[0], clock=StoppedClock(), seed=1)
    walker.walk_on()

    def triangle() -> object:
        return walker.sign()["payload"]["triangleId"]

    at = [locate(*CITIES[0], level).text for level in (10, 11)]
    assert triangle() == at[0]
    assert walker.try_elsewhere(Refused("TRIANGLE_EXHAUSTED", ""))
    assert triangle() == at[1]
    assert walker.try_elsewhere(Refused("TRIANGLE_NOT_FOUND", ""))
    assert triangle() == at[0]
    assert not walker.try_elsewhere(Refused("TRIANGLE_NOT_FOUND", ""))
    assert not walker.try_elsewhere(Refused("MORATORIUM", ""))


def test_the_example_request_is_a_valid_proof_of_a_test_account() -> None:
    import json

    request = example_request("http://127.0.0.1:8600", now_ms=NOW_MS)
    body = json.loads(request.split("-d '")[1].removesuffix("'"))
    proof = parse_payload(body["payload"], body["signature"])
    assert check_stateless(proof, PARAMETERS) is None
    assert f"0x{proof.account.hex()}" == dev_accounts()[0].address
    assert proof_id_of(body) == f"0x{proof.proof_id.hex()}"


def test_the_summary_counts_what_is_final_on_every_node_and_the_refusals_by_code() -> None:
    records = [ProofRecord(str(index), Final(1), float(index)) for index in range(1, 101)]
    records += [ProofRecord("x", Refused("TOO_FAST", ""), None)] * 2 + [ProofRecord("y", Waiting(), None)]
    summary = summarise(WalkResult(records, seconds=10.0), Agreement(7, True, 3), proofs=103, validators=4)
    assert summary.as_json() == {
        "submitted": 103,
        "finalised": 97,
        "rejected": {"TOO_FAST": 2},
        "proofs_per_second": 10.0,
        "finality_ms": {"p50": 50.0, "p95": 95.0, "p99": 99.0},
        "height": 7,
        "state_roots_equal": True,
        "validators": 4,
    }
    assert not summary.is_success


def test_percentiles_are_by_nearest_rank() -> None:
    assert percentile([], 50) is None
    assert percentile([3.0], 99) == 3.0
    assert percentile([1.0, 2.0], 50) == 1.0


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortsInUse, match=f"port {port}: "):
            block_of_ports(1, port)


def test_free_ports_are_all_different() -> None:
    ports = free_ports(8)
    assert len({number for node in ports for number in (node.api, node.p2p)}) == 16


def test_ports_beyond_the_last_one_are_refused() -> None:
    with pytest.raises(PortsInUse, match="must be 1 to"):
        block_of_ports(4, 65_530)
