"""Spans of proofs: whose trace they are, below what they hang, and that what is remembered is bounded."""

from __future__ import annotations

import pytest

from step_node import proof_traces
from step_node.proof_traces import ProofSpan, ProofTraces, SpanName, submission_span_id_of, trace_id_of

PROOF = bytes(range(32))
OTHER = bytes(range(100, 132))


class Clock:
    def __init__(self) -> None:
        self.ns = 1_000

    def __call__(self) -> int:
        self.ns += 10
        return self.ns


def traces(ratio: float = 1.0) -> tuple[ProofTraces, list[ProofSpan]]:
    told: list[ProofSpan] = []
    return ProofTraces(told.append, ratio=ratio, now_ns=Clock()), told


def test_all_nodes_know_a_proof_s_trace_by_its_id_alone() -> None:
    here, told_here = traces()
    there, told_there = traces()
    here.admitted([PROOF], 900)
    here.sent([PROOF])
    here.submitted([PROOF], 800)
    there.heard([PROOF], 950, "16Uiu2")
    for node in (here, there):
        node.proposed([PROOF, OTHER], 7, 1)
        node.finalised([PROOF, OTHER], 7, b"\xab" * 32)
    assert [span.name for span in told_here] == [
        SpanName.ADMISSION,
        SpanName.GOSSIP_SENT,
        SpanName.SUBMISSION,
        SpanName.BATCH,
        SpanName.FINALITY,
    ]
    assert [span.name for span in told_there] == [SpanName.GOSSIP_HEARD, SpanName.BATCH, SpanName.FINALITY]
    assert {span.trace_id for span in told_here + told_there} == {trace_id_of(PROOF)} == {int.from_bytes(PROOF[:16])}
    first = told_here[2]
    assert (first.span_id, first.parent_id) == (submission_span_id_of(PROOF), None)
    others = [span for span in told_here + told_there if span is not first]
    assert {span.parent_id for span in others} == {first.span_id}
    assert told_there[0].attributes["step.peer"] == "16Uiu2"
    assert told_there[1].attributes["step.height"] == 7
    assert told_there[2].attributes["step.batch"] == "0x" + "ab" * 32
    # One stage begins where the one before has ended.
    assert told_there[1].began_ns == told_there[0].ended_ns
    assert told_there[2].began_ns == told_there[1].ended_ns


def test_the_same_proofs_are_traced_on_all_nodes_of_one_ratio() -> None:
    low = PROOF[:8] + bytes(8) + PROOF[16:]
    high = PROOF[:8] + b"\xff" * 8 + PROOF[16:]
    half, told = traces(0.5)
    half.admitted([low, high], 1)
    half.submitted([low, high], 1)
    half.finalised([low, high], 1, b"")
    assert {span.trace_id for span in told} == {trace_id_of(low)}
    assert len(told) == 3
    assert not traces(0.0)[0].is_traced(low)
    assert traces(1.0)[0].is_traced(high)


def test_a_second_proposal_and_what_is_fetched_without_one_are_told_once() -> None:
    node, told = traces()
    node.admitted([PROOF, OTHER], 1)
    node.proposed([PROOF], 7, 0)
    node.proposed([PROOF], 7, 1)
    node.finalised([PROOF, OTHER], 7, b"")
    node.finalised([PROOF, OTHER], 7, b"")
    assert [span.name for span in told] == [SpanName.ADMISSION] * 2 + [SpanName.BATCH] + [SpanName.FINALITY] * 2


def test_a_clock_that_is_set_back_makes_no_span_that_ends_before_it_began() -> None:
    node, told = traces()
    node.admitted([PROOF], 10**9)
    assert told[0].ended_ns == told[0].began_ns == 10**9


def test_of_more_proofs_than_are_remembered_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_traces, "REMEMBERED_MAX", 1)
    node, told = traces()
    node.admitted([PROOF, OTHER], 1)
    node.finalised([PROOF, OTHER], 1, b"")
    assert [span.name for span in told] == [SpanName.ADMISSION] * 2 + [SpanName.FINALITY]
    assert told[-1].trace_id == trace_id_of(OTHER)
