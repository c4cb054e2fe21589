"""Pure work is done once for all nodes, and each pays for it; what is made durable waits for each node's disk."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

import step_node.testing.wan.work as work_module
from step_node.chain.verification import FEW_PROOFS_MAX
from step_node.network import proposals
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import Refusal, SignedProof
from step_node.testing.wan.machine import Processor
from step_node.testing.wan.search import MadeProofs
from step_node.testing.wan.work import PricedOffload, SharedAnswers, checked_in_place_us
from tests.testing.wan.fixed_costs import FIXED


async def test_a_signature_is_recovered_once_and_paid_for_by_every_node(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = list[SignedProof]()

    def counted(proofs: list[SignedProof], parameters: Parameters) -> list[Refusal | None]:
        checked.extend(proofs)
        return check_stateless_many(proofs, parameters)

    monkeypatch.setattr(work_module, "check_stateless_many", counted)
    proofs, shared = MadeProofs().first(FEW_PROOFS_MAX + 1), SharedAnswers()
    for _ in range(2):
        processor = Processor()
        offload = PricedOffload(processor, FIXED, shared)
        assert await offload(partial(check_stateless_many, proofs, Parameters())) == [None] * len(proofs)
        assert processor.busy_seconds == pytest.approx(len(proofs) * (FIXED.check_us + FIXED.admit_us) / 1e6)
    assert checked == proofs


async def test_a_bad_signature_stays_bad_whoever_asks(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    (proof,) = MadeProofs().first(1)
    forged = SignedProof(
        proof.account,
        proof.triangle,
        proof.lat,
        proof.lon,
        proof.accuracy_m,
        proof.timestamp_ms,
        proof.nonce,
        bytes(31) + b"\x01" + proof.signature[32:],
        proof.proof_id,
    )
    shared = SharedAnswers()
    for _ in range(2):
        offload = PricedOffload(Processor(), FIXED, shared)
        good, bad = await offload(partial(check_stateless_many, [proof, forged], Parameters()))
        assert good is None
        assert bad is not None


async def test_other_work_waits_for_the_disk_and_leaves_the_processor_free(
    autojump_clock: MockClock,  # noqa: ARG001 - it runs by it
) -> None:
    processor, done = Processor(), list[float]()
    began = trio.current_time()
    await PricedOffload(processor, FIXED, SharedAnswers())(partial(lambda: done.append(trio.current_time())))
    assert done == [pytest.approx(began + FIXED.sync_ms / 1_000)]
    assert processor.busy_seconds == 0


def test_the_work_that_is_priced_is_what_nodes_hand_over() -> None:
    assert set(PricedOffload._PURE) >= {check_stateless_many, proposals._fill}


def test_few_proofs_are_paid_for_where_they_are_checked_and_many_where_they_are_handed_over() -> None:
    each_us = FIXED.check_us + FIXED.admit_us
    assert checked_in_place_us(FIXED, FEW_PROOFS_MAX) == FEW_PROOFS_MAX * each_us
    assert checked_in_place_us(FIXED, FEW_PROOFS_MAX + 1) == 0
