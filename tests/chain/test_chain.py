"""The chain: every rule that a batch is judged by, and that what one node builds every other finds valid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.commit import InvalidCommit
from consensus.messages import Commit, Evidence, EvidenceKind, PreCommit, PreVote
from mesh import locate
from step_node.batch.batch import Batch, BatchContent, decode_batch, encode_batch
from step_node.chain.chain import SMALL_BATCH_PROOFS_MAX, Chain
from step_node.chain.judging import InvalidBatch
from step_node.ledger.commitment import state_root
from step_node.offload import offload_of_task
from step_node.proofs.proof import SignedProof
from step_node.storage.memory import MemoryStorage
from step_node.storage.open import SqliteSettings, open_storage
from tests.support.chains import build, commit_for, finalise, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address, signed_proof

T = TypeVar("T")

VALIDATORS = 4
GENESIS = make_genesis(VALIDATORS, batch_max_proofs=20, batch_target_proofs=5)
NAMES = validator_names(VALIDATORS)
FIRST, SECOND = signed_proof("alice"), signed_proof("bob")
ZERO = bytes(32)


async def chain_of_one() -> tuple[Chain, SetClock]:
    """A chain at height 1, so that the next batch has a commit to carry."""
    clock = SetClock(START_MS)
    chain = await open_chain(GENESIS, clock=clock)
    await finalise(chain, [FIRST])
    clock.advance(1_000)
    return chain, clock


def with_header(batch: Batch, **changes: object) -> Batch:
    return replace(batch, header=replace(batch.header, **changes))  # type: ignore[arg-type]  # any field of it


def with_content(batch: Batch, **changes: object) -> Batch:
    """The batch with other content, and the header that this content has."""
    other = replace(batch, **changes)  # type: ignore[arg-type]  # any field of it
    content = BatchContent(other.proofs, other.last_commit, other.evidence, other.operations)
    proof_ids_root, proofs_root, body_hash = content.roots()
    return with_header(other, proof_ids_root=proof_ids_root, proofs_root=proofs_root, body_hash=body_hash)


def commit_of(batch: Batch) -> Commit:
    assert batch.last_commit is not None
    return batch.last_commit


def vote(batch_hash: bytes) -> PreVote:
    return PreVote(1, 0, batch_hash, address(NAMES[0]), bytes(65))


EVIDENCE = Evidence(EvidenceKind.DOUBLE_SIGN, vote(ZERO), vote(b"\x01" * 32))


def place_of_proposer(batch: Batch) -> int:
    """The place of the batch's proposer among the validators."""
    return [address(name) for name in NAMES].index(batch.header.proposer)


BROKEN_RULES: dict[str, tuple[Callable[[Batch], Batch], str]] = {
    "another chain": (lambda batch: with_header(batch, chain_id="step-other-1"), "chain_id: must be 'step-test-1'"),
    "a height too high": (lambda batch: with_header(batch, height=3), "height: must be 2"),
    "a height again": (lambda batch: with_header(batch, height=1), "height: must be 2"),
    "a proposer out of turn": (
        lambda batch: with_header(batch, proposer=address(NAMES[(place_of_proposer(batch) + 1) % VALIDATORS])),
        "proposer: must be 0x",
    ),
    "a proposer who is no validator": (lambda batch: with_header(batch, proposer=address("x")), "proposer: must be"),
    "another batch before it": (lambda batch: with_header(batch, previous_batch_hash=ZERO), "previous_batch_hash:"),
    "another validator set": (lambda batch: with_header(batch, validator_set_hash=ZERO), "validator_set_hash: must"),
    "another state": (lambda batch: with_header(batch, state_root=ZERO), "state_root: must be 0x"),
    "other receipts": (lambda batch: with_header(batch, receipts_root=ZERO), "receipts_root: must be 0x"),
    "a receipt too many": (
        lambda batch: with_header(batch, receipts_size=batch.header.receipts_size + 1),
        "receipts_size: must be 1, not 2",
    ),
    "no receipts": (lambda batch: with_header(batch, receipts_size=0), "receipts_size: must be 1, not 0"),
    "the time of the last batch": (lambda batch: with_header(batch, timestamp_ms=START_MS), "timestamp_ms: must be ab"),
    "no proofs": (lambda batch: with_content(batch, proofs=()), "proofs: a batch must hold at least one"),
    "too many proofs": (lambda batch: with_content(batch, proofs=(SECOND,) * 21), "proofs: 21; at most 20"),
    "evidence of nothing": (
        lambda batch: with_content(batch, evidence=(EVIDENCE,)),
        "evidence: evidence 0: DOUBLE_SIGN: a signature cannot be read",
    ),
    "an operation that is none": (
        lambda batch: with_content(batch, operations=(b"register",)),
        "operations: operation 0: INVALID_OPERATION",
    ),
    "no commit": (lambda batch: with_content(batch, last_commit=None), "last_commit: is missing"),
    "a commit of another height": (
        lambda batch: with_content(batch, last_commit=replace(commit_of(batch), height=2)),
        "last_commit: height: must be 1",
    ),
    "a commit of another batch": (
        lambda batch: with_content(batch, last_commit=replace(commit_of(batch), batch_hash=ZERO)),
        "last_commit: batch_hash: must be",
    ),
    "a commit of another round": (
        lambda batch: with_content(batch, last_commit=replace(commit_of(batch), round=1)),
        "last_commit: signatures: that of",
    ),
    "a commit without a quorum": (
        lambda batch: with_content(
            batch, last_commit=replace(commit_of(batch), signatures=commit_of(batch).signatures[:2])
        ),
        "last_commit: signatures: 2 of 4 validators, but a quorum is 3",
    ),
    "a commit that counts one validator twice": (
        lambda batch: with_content(
            batch, last_commit=replace(commit_of(batch), signatures=commit_of(batch).signatures[:1] * 3)
        ),
        "last_commit: signatures: .* is there twice",
    ),
    "a commit in another order": (
        lambda batch: with_content(
            batch, last_commit=replace(commit_of(batch), signatures=commit_of(batch).signatures[::-1])
        ),
        "last_commit: signatures: must be sorted",
    ),
    "a proof finalised before": (lambda batch: with_content(batch, proofs=(FIRST,)), "proofs: proof 0: NONCE_REPLAY"),
    "a proof twice": (lambda batch: with_content(batch, proofs=(SECOND, SECOND)), "proofs: proof 1: NONCE_REPLAY"),
}


@pytest.mark.parametrize("broken", BROKEN_RULES)
async def test_a_batch_that_breaks_one_rule_is_refused_by_its_name(broken: str) -> None:
    breaking, message = BROKEN_RULES[broken]
    chain, _ = await chain_of_one()
    valid = (await build(chain, [SECOND])).batch
    head = chain.head
    for judge_clock in (False, True):
        await chain.judge(valid, proposed_in_round=0, judge_clock=judge_clock)
        with pytest.raises(InvalidBatch, match=message) as caught:
            await chain.judge(breaking(valid), proposed_in_round=0, judge_clock=judge_clock)
        assert caught.value.bad_proof is None
    assert chain.head is head


async def test_no_commit_stands_in_the_first_batch() -> None:
    chain = await open_chain(GENESIS)
    batch = (await build(chain, [FIRST])).batch
    with_commit = with_content(batch, last_commit=commit_for(batch, NAMES))
    with pytest.raises(InvalidBatch, match="last_commit: must be nil at height 1"):
        await chain.judge(with_commit, proposed_in_round=0, judge_clock=True)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (signed_proof("carol", accuracy_m=51.0), "LOW_GPS_ACCURACY"),
        (signed_proof("carol")._replace(signature=SECOND.signature), "BAD_SIGNATURE"),
        (signed_proof("carol", triangle=locate(0.0, 0.0, 10)), "OUT_OF_BOUNDS"),
    ],
)
async def test_a_proof_that_anybody_can_see_is_bad_is_the_proposers_fault(bad: SignedProof, code: str) -> None:
    chain, _ = await chain_of_one()
    batch = with_content((await build(chain, [SECOND])).batch, proofs=(SECOND, bad))
    with pytest.raises(InvalidBatch, match=code) as caught:
        await chain.judge(batch, proposed_in_round=0, judge_clock=True)
    assert caught.value.bad_proof is not None


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (signed_proof("carol", timestamp_ms=START_MS + 1_000 + 120_001), "CLOCK_DRIFT"),
        (signed_proof("carol", timestamp_ms=START_MS + 1_000 - 300_001), "CLOCK_DRIFT"),
        (signed_proof("carol", level=11), "TRIANGLE_NOT_FOUND"),
        (signed_proof("alice", lat=47.5, timestamp_ms=START_MS + 10_000), "TOO_FAST"),
        (signed_proof("alice", timestamp_ms=START_MS + 9_999), "MORATORIUM"),
    ],
)
async def test_a_proof_that_only_the_state_refuses_is_not_called_visible_to_anybody(
    bad: SignedProof, code: str
) -> None:
    chain, _ = await chain_of_one()
    batch = with_content((await build(chain, [SECOND])).batch, proofs=(SECOND, bad))
    with pytest.raises(InvalidBatch, match=f"proofs: proof 1: {code}") as caught:
        await chain.judge(batch, proposed_in_round=0, judge_clock=True)
    assert caught.value.bad_proof is None


async def test_a_fresh_batch_is_of_its_round_and_of_about_now() -> None:
    chain, clock = await chain_of_one()
    batch = (await build(chain, [SECOND])).batch
    with pytest.raises(InvalidBatch, match="must be of round 1"):
        await chain.judge(batch, proposed_in_round=1, judge_clock=True)
    for advance_ms in (120_000, -125_000):
        clock.advance(advance_ms)
        await chain.judge(batch, proposed_in_round=0, judge_clock=True)
    for advance_ms, rule in (
        (-1, "timestamp_ms: 5001 ms ahead of this node's clock; at most 5000 are allowed"),
        (125_002, "timestamp_ms: 120001 ms behind this node's clock; at most 120000 are allowed"),
    ):
        clock.advance(advance_ms)
        with pytest.raises(InvalidBatch, match=rule):
            await chain.judge(batch, proposed_in_round=0, judge_clock=True)


async def test_a_proposer_cannot_set_the_chain_ahead_by_more_than_clocks_differ_however_often_it_tries() -> None:
    chain, clock = await chain_of_one()
    for turn in range(4):
        honest_ms = clock.now_ms() + 1_000
        for ahead_ms, is_taken in ((120_000, False), (5_000, True)):
            clock.advance(honest_ms + ahead_ms - clock.now_ms())
            built = await build(chain, [signed_proof(f"walker-{turn}", timestamp_ms=honest_ms)])
            clock.advance(honest_ms - clock.now_ms())
            if is_taken:
                await chain.judge(built.batch, proposed_in_round=0, judge_clock=True)
            else:
                with pytest.raises(InvalidBatch, match="ahead of this node's clock"):
                    await chain.judge(built.batch, proposed_in_round=0, judge_clock=True)
        await chain.finalise(built, commit_for(built.batch, validator_names(len(chain.validators))))
        assert chain.head.chain.timestamp_ms - clock.now_ms() == 5_000


async def test_a_batch_that_a_quorum_has_vouched_for_may_be_of_another_round_and_old() -> None:
    chain, clock = await chain_of_one()
    batch = (await build(chain, [SECOND])).batch
    clock.advance(86_400_000)
    await chain.judge(batch, proposed_in_round=None, judge_clock=False)


async def test_a_proof_that_is_known_is_not_verified_again_unless_its_signature_differs() -> None:
    chain, clock = await chain_of_one()
    unverifiable = SECOND._replace(signature=bytes(64) + b"\x1b")
    trusting = Chain(
        genesis=GENESIS,
        storage=chain.storage,
        head=chain.head,
        last_commit=(
            await Chain.open(genesis=GENESIS, storage=chain.storage, clock=clock, known=lambda _: None)
        )._last_commit,
        clock=clock,
        known={SECOND.proof_id: unverifiable}.get,
    )
    batch = (await build(chain, [SECOND])).batch
    await trusting.judge(batch, proposed_in_round=0, judge_clock=True)
    await trusting.judge(with_content(batch, proofs=(unverifiable,)), proposed_in_round=0, judge_clock=True)
    another = SECOND._replace(signature=FIRST.signature)
    with pytest.raises(InvalidBatch, match="BAD_SIGNATURE"):
        await trusting.judge(with_content(batch, proofs=(another,)), proposed_in_round=0, judge_clock=True)


async def test_nothing_is_built_when_no_candidate_can_follow() -> None:
    chain, _ = await chain_of_one()
    proposer = chain.validators.proposer(2, 0).address
    assert await chain.build([], round_number=0, proposer=proposer) is None
    assert await chain.build([FIRST], round_number=0, proposer=proposer) is None


async def test_a_built_batch_keeps_to_the_limit_and_is_after_the_last_even_if_the_clock_went_back() -> None:
    chain, clock = await chain_of_one()
    clock.advance(-5_000)
    judged = await build(chain, [signed_proof(f"walker-{index}", level=9) for index in range(8)] * 4)
    assert len(judged.batch.proofs) == 8
    crowd = [signed_proof(f"walker-{index}", lat=10.0 + index % 5, level=9) for index in range(30)]
    judged = await build(chain, crowd)
    assert judged.batch.proofs == tuple(crowd[:20])
    assert judged.batch.header.timestamp_ms == START_MS + 1
    await chain.judge(judged.batch, proposed_in_round=0, judge_clock=True)


async def test_a_commit_counts_only_with_a_quorum_of_this_height() -> None:
    chain, _ = await chain_of_one()
    batch = (await build(chain, [SECOND])).batch
    chain.check_commit(commit_for(batch, NAMES[:3], round_number=5), height=2, batch_hash=batch.hash)
    with pytest.raises(InvalidCommit, match="quorum"):
        chain.check_commit(commit_for(batch, NAMES[:2]), height=2, batch_hash=batch.hash)
    with pytest.raises(InvalidCommit, match="height"):
        chain.check_commit(commit_for(batch, NAMES), height=3, batch_hash=batch.hash)


async def test_a_chain_opened_again_goes_on_where_it_stood() -> None:
    storage, clock = MemoryStorage(), SetClock(START_MS)
    chain = await open_chain(GENESIS, storage=storage, clock=clock)
    await finalise(chain, [FIRST])
    again = await open_chain(GENESIS, storage=storage, clock=clock)
    assert again.head == chain.head
    assert again.next_height == 2
    judged = await build(chain, [SECOND])
    assert await build(again, [SECOND]) == judged
    await again.judge(judged.batch, proposed_in_round=0, judge_clock=True)


WALKERS = [
    [
        signed_proof(f"walker-{walker}", lat=lat, lon=8.5417, level=level, timestamp_ms=START_MS + step * 20_000)
        for step, (lat, level) in enumerate([(47.3769, 8), (47.3775, 9), (47.3780, 8), (47.6, 8), (47.3785, 8)])
    ]
    for walker in range(6)
]
CROWD = [proof for walk in WALKERS for proof in walk]


@settings(max_examples=25)
@given(
    heights=st.lists(
        st.tuples(st.lists(st.sampled_from(CROWD), max_size=25), st.integers(1, 90_000), st.integers(0, 5)),
        min_size=1,
        max_size=4,
    )
)
def test_what_one_node_builds_another_finds_valid_with_the_same_outcome(
    heights: Sequence[tuple[list[SignedProof], int, int]],
) -> None:
    async def scenario() -> None:
        clock = SetClock(START_MS)
        builder, judge = [await open_chain(GENESIS, clock=clock) for _ in range(2)]
        for candidates, passing_ms, round_number in heights:
            clock.advance(passing_ms)
            proposer = builder.validators.proposer(builder.next_height, round_number).address
            built = await builder.build(candidates, round_number=round_number, proposer=proposer)
            if built is None:
                continue
            received = decode_batch(encode_batch(built.batch))
            judged = await judge.judge(received, proposed_in_round=round_number, judge_clock=True)
            assert judged == built
            commit = commit_for(received, NAMES[:3], round_number=round_number)
            await builder.finalise(built, commit)
            await judge.finalise(judged, commit)
            assert builder.head == judge.head

    trio.run(scenario)


async def test_both_engines_have_equal_roots_after_the_same_batches(tmp_path: Path) -> None:
    clock = SetClock(START_MS)
    async with open_storage(SqliteSettings(tmp_path / "ledger.sqlite")) as sqlite:
        in_memory = await open_chain(GENESIS, clock=clock)
        on_disk = await open_chain(GENESIS, storage=sqlite, clock=clock)
        assert state_root(on_disk.head.lanes) == state_root(in_memory.head.lanes)
        for step in range(5):
            # The last batches are past the window of the first, so that nonces expire.
            clock.advance(150_000)
            proofs = [
                signed_proof(f"walker-{walker}", level=10, timestamp_ms=clock.now_ms(), nonce=f"step-{step}")
                for walker in range(5 if step < 2 else 1)
            ]
            if step > 2:
                # The eleventh click has subdivided the triangle.
                proofs = [signed_proof("walker-0", level=11, timestamp_ms=clock.now_ms())]
            judged = await finalise(in_memory, proofs)
            assert len(judged.batch.proofs) == len(proofs)
            received = decode_batch(encode_batch(judged.batch))
            applied = await on_disk.judge(received, proposed_in_round=None, judge_clock=False)
            await on_disk.finalise(applied, commit_for(received, NAMES))
            assert on_disk.head == in_memory.head
        assert state_root(on_disk.head.lanes) == state_root(in_memory.head.lanes)


async def test_a_pre_commit_that_comes_late_is_in_the_next_batch_if_it_is_for_this_one() -> None:
    chain = await open_chain(GENESIS)
    judged = await build(chain, [FIRST])
    await chain.finalise(judged, commit_for(judged.batch, NAMES[1:]))
    (entry,) = commit_for(judged.batch, NAMES[:1]).signatures
    vote = PreCommit(1, 0, judged.batch.hash, entry.validator, entry.signature)
    others = [replace(vote, height=2), replace(vote, round=1), replace(vote, batch_hash=ZERO)]
    for useless in (*others, replace(vote, batch_hash=None), replace(vote, validator=address("stranger"))):
        chain.note_late_pre_commit(useless)
    assert len(commit_of((await build(chain, [SECOND])).batch).signatures) == 3
    for _ in range(2):
        chain.note_late_pre_commit(vote)
    batch = (await build(chain, [SECOND])).batch
    assert commit_of(batch) == commit_for(judged.batch, NAMES)
    await chain.judge(batch, proposed_in_round=0, judge_clock=False)


async def test_a_large_batch_is_built_and_judged_off_the_event_loop_and_a_small_one_is_not() -> None:
    off_the_loop = 0

    async def offload(work: Callable[[], T], /) -> T:
        nonlocal off_the_loop
        off_the_loop += 1
        return work()

    offload_of_task.set(offload)
    chain = await open_chain(GENESIS)
    small = await build(chain, [signed_proof(f"few-{index}") for index in range(SMALL_BATCH_PROOFS_MAX)])
    await chain.judge(small.batch, proposed_in_round=0, judge_clock=False)
    assert off_the_loop == 0
    many = [signed_proof(f"many-{index}", lat=10.0 + index) for index in range(SMALL_BATCH_PROOFS_MAX + 1)]
    large = await build(chain, many)
    assert len(large.batch.proofs) == len(many)
    assert off_the_loop == 1
    await chain.judge(large.batch, proposed_in_round=0, judge_clock=False)
    assert off_the_loop > 2, "proofs are verified, and the batch is applied, on threads"
