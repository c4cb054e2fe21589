"""Evidence against the shipped chain: what convicts, what is forged, and that nothing is applied twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from consensus.commit import InvalidCommit
from consensus.evidence import InvalidEvidence, contradiction
from consensus.messages import Evidence, EvidenceKind, Exhibit, PreCommit, PreVote, ProofBatch, SignedMessage
from mesh import locate
from step_node.api.batches.answers import BatchAnswers
from step_node.batch.batch import Batch, BatchContent, decode_batch, encode_batch, exhibit_of, proof_leaf
from step_node.batch.merkle import LEFT, RIGHT, merkle_path, merkle_root, root_of_path
from step_node.chain.chain import Chain
from step_node.chain.judging import InvalidBatch
from step_node.crypto.eip191 import sign
from step_node.engine.evidence_pool import POOL_EVIDENCE_PER_ACCUSED_MAX, EvidencePool
from step_node.ledger.evidence import accuse_of_invalid_batch, offence_in
from step_node.ledger.offences import OffenceKind
from step_node.ledger.records import Account, NonceRecord, Triangle, ValidatorState
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import RestoredState
from tests.storage.made_up_snapshot import Exported
from tests.support.chains import CHAIN_ID, build, commit_for, finalise, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address, private_key, signed_proof

GENESIS = make_genesis(4)
NAMES = validator_names(4)
CULPRIT = NAMES[0]
HASH, OTHER_HASH = b"\x01" * 32, b"\x02" * 32
GOOD = [signed_proof(f"walker-{index}", nonce=f"n-{index}") for index in range(4)]
BAD = signed_proof("carol", nonce="bad")._replace(signature=GOOD[0].signature)


def signed(message: SignedMessage, name: str, *, chain_id: str = CHAIN_ID) -> SignedMessage:
    return replace(message, signature=sign(message.signing_line(chain_id), private_key(name)))


def pre_vote(batch_hash: bytes | None, *, name: str = CULPRIT, height: int = 1, chain_id: str = CHAIN_ID) -> PreVote:
    message = signed(PreVote(height, 0, batch_hash, address(name)), name, chain_id=chain_id)
    assert isinstance(message, PreVote)
    return message


def double_vote(height: int = 1) -> Evidence:
    return contradiction(pre_vote(HASH, height=height), pre_vote(OTHER_HASH, height=height))


def batch_with(original: Batch, proofs: tuple[SignedProof, ...]) -> Batch:
    """The batch with these proofs, as a proposer who checks nothing would make it."""
    proof_ids_root, proofs_root, body_hash = BatchContent(proofs, original.last_commit).roots()
    header = replace(original.header, proof_ids_root=proof_ids_root, proofs_root=proofs_root, body_hash=body_hash)
    return Batch(header, proofs, original.last_commit)


async def invalid_batch() -> Batch:
    chain = await open_chain(GENESIS)
    return batch_with((await build(chain, GOOD)).batch, (*GOOD[:2], BAD, GOOD[2]))


def vote_for(batch: Batch, *, name: str = CULPRIT) -> PreVote:
    return pre_vote(batch.hash, name=name)


def proposal_of(batch: Batch) -> ProofBatch:
    proposer = next(name for name in NAMES if address(name) == batch.header.proposer)
    message = signed(ProofBatch(1, 0, -1, batch.hash, b"", batch.header.proposer), proposer)
    assert isinstance(message, ProofBatch)
    return message


def convict(evidence: Evidence) -> bytes:
    return offence_in(evidence, chain_id=CHAIN_ID, parameters=GENESIS.parameters).accused


def with_evidence(batch: Batch, *evidence: Evidence) -> Batch:
    content = BatchContent(batch.proofs, batch.last_commit, tuple(evidence))
    _, _, body_hash = content.roots()
    return content.with_header(replace(batch.header, body_hash=body_hash))


# --- Merkle paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", range(1, 18))
def test_every_leaf_has_a_path_to_the_root_and_no_other_has(count: int) -> None:
    leaves = [bytes([index]) for index in range(count)]
    root = merkle_root(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle_path(leaves, index)
        assert root_of_path(leaf, path) == root
        assert root_of_path(b"other", path) != root
        for place, step in enumerate(path):
            turned = (RIGHT if step[:1] == LEFT else LEFT) + step[1:]
            assert root_of_path(leaf, (*path[:place], turned, *path[place + 1 :])) != root


def test_an_inner_node_is_no_leaf() -> None:
    leaves = [b"a", b"b", b"c", b"d"]
    sibling = merkle_path(leaves, 0)[1]
    node = merkle_path(leaves, 2)[1][1:]
    assert root_of_path(node, (sibling,)) != merkle_root(leaves)
    assert root_of_path(b"a", (b"\x02" + bytes(32),)) is None


# --- what convicts ----------------------------------------------------------------------------------------------------


async def test_who_proposes_or_votes_for_a_batch_with_a_bad_proof_is_convicted_by_one_proof() -> None:
    batch = await invalid_batch()
    exhibit = exhibit_of(decode_batch(encode_batch(batch)), 2)
    assert convict(accuse_of_invalid_batch(vote_for(batch), exhibit)) == address(CULPRIT)
    assert convict(accuse_of_invalid_batch(proposal_of(batch), exhibit)) == batch.header.proposer
    pre_commit = signed(PreCommit(1, 0, batch.hash, address(CULPRIT)), CULPRIT)
    assert isinstance(pre_commit, PreCommit)
    assert convict(accuse_of_invalid_batch(pre_commit, exhibit)) == address(CULPRIT)


@pytest.mark.parametrize(
    "bad",
    [
        signed_proof("carol", accuracy_m=51.0),
        signed_proof("carol", triangle=locate(0.0, 0.0, 10)),
    ],
)
async def test_each_stateless_gate_convicts(bad: SignedProof) -> None:
    batch = batch_with(await invalid_batch(), (*GOOD, bad))
    assert convict(accuse_of_invalid_batch(vote_for(batch), exhibit_of(batch, 4))) == address(CULPRIT)


async def test_bytes_that_are_no_proof_convict_too() -> None:
    batch = await invalid_batch()
    leaves = [b"no proof at all", proof_leaf(GOOD[0])]
    header = replace(batch.header, proofs_root=merkle_root(leaves))
    odd = Batch(header, batch.proofs, batch.last_commit)
    exhibit = replace(exhibit_of(odd, 0), proof=leaves[0], path=merkle_path(leaves, 0))
    assert convict(accuse_of_invalid_batch(vote_for(odd), exhibit)) == address(CULPRIT)


Forgery = Callable[[Batch, Exhibit], Evidence]
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "a vote for nil": (
        lambda _, exhibit: accuse_of_invalid_batch(pre_vote(None), exhibit),
        "the header is not that of the batch",
    ),
    "a vote for another batch": (
        lambda _, exhibit: accuse_of_invalid_batch(pre_vote(HASH), exhibit),
        "the header is not that of the batch",
    ),
    "a vote on another chain": (
        lambda batch, exhibit: accuse_of_invalid_batch(pre_vote(batch.hash, chain_id="step-other-1"), exhibit),
        "not signed by",
    ),
    "a vote signed by another": (
        lambda batch, exhibit: accuse_of_invalid_batch(replace(vote_for(batch), validator=address(NAMES[1])), exhibit),
        "not signed by",
    ),
    "an unreadable signature": (
        lambda batch, exhibit: accuse_of_invalid_batch(replace(vote_for(batch), signature=bytes(65)), exhibit),
        "cannot be read",
    ),
    "a header that is none": (
        lambda _, exhibit: accuse_of_invalid_batch(
            pre_vote(hashlib.sha256(b"x").digest()), replace(exhibit, header=b"x")
        ),
        "the header cannot be read",
    ),
    "a valid proof": (
        lambda batch, _: accuse_of_invalid_batch(vote_for(batch), exhibit_of(batch, 1)),
        "the proof is good",
    ),
    "the path of another proof": (
        lambda batch, exhibit: accuse_of_invalid_batch(
            vote_for(batch), replace(exhibit, path=exhibit_of(batch, 1).path)
        ),
        "the proof is not one of that batch",
    ),
    "a bad proof of another batch": (
        lambda batch, exhibit: accuse_of_invalid_batch(
            vote_for(batch_with(batch, tuple(GOOD))),
            replace(exhibit, header=exhibit_of(batch_with(batch, tuple(GOOD)), 0).header),
        ),
        "the proof is not one of that batch",
    ),
    "a shorter path": (
        lambda batch, exhibit: accuse_of_invalid_batch(vote_for(batch), replace(exhibit, path=exhibit.path[:1])),
        "the proof is not one of that batch",
    ),
    "a proposal called a vote": (
        lambda batch, exhibit: Evidence(EvidenceKind.INVALID_VOTE, proposal_of(batch), None, exhibit),
        "do not make it",
    ),
    "a vote called a double vote": (
        lambda batch, exhibit: Evidence(EvidenceKind.DOUBLE_SIGN, vote_for(batch), None, exhibit),
        "do not make it",
    ),
    "two messages and an exhibit": (
        lambda batch, exhibit: Evidence(EvidenceKind.INVALID_VOTE, vote_for(batch), vote_for(batch), exhibit),
        "needs one message and an exhibit",
    ),
    "a vote and nothing else": (
        lambda batch, _: Evidence(EvidenceKind.INVALID_VOTE, vote_for(batch)),
        "needs two messages",
    ),
    "the same vote twice": (
        lambda batch, _: Evidence(EvidenceKind.DOUBLE_SIGN, vote_for(batch), vote_for(batch)),
        "say the same",
    ),
    "votes of different heights": (
        lambda _, __: Evidence(EvidenceKind.DOUBLE_SIGN, pre_vote(HASH), pre_vote(OTHER_HASH, height=2)),
        "one height and round",
    ),
    "votes of two validators": (
        lambda _, __: Evidence(EvidenceKind.DOUBLE_SIGN, pre_vote(HASH), pre_vote(OTHER_HASH, name=NAMES[1])),
        "one validator",
    ),
    "votes on another chain": (
        lambda _, __: contradiction(
            pre_vote(HASH, chain_id="step-other-1"), pre_vote(OTHER_HASH, chain_id="step-other-1")
        ),
        "not signed by",
    ),
}


@pytest.mark.parametrize("case", FORGERIES)
async def test_forged_evidence_proves_nothing_and_makes_a_batch_invalid(case: str) -> None:
    forge, reason = FORGERIES[case]
    batch = await invalid_batch()
    evidence = forge(batch, exhibit_of(batch, 2))
    with pytest.raises(InvalidEvidence, match=reason):
        convict(evidence)
    chain = await open_chain(GENESIS)
    carrying = with_evidence((await build(chain, GOOD)).batch, evidence)
    with pytest.raises(InvalidBatch, match=f"evidence: evidence 0: .*{reason}") as caught:
        await chain.judge(carrying, proposed_in_round=0, judge_clock=True)
    assert caught.value.bad_proof is None


# --- in a batch -------------------------------------------------------------------------------------------------------


async def slash(chain: Chain, evidence: Evidence) -> None:
    proposer = chain.validators.proposer(chain.next_height, 0).address
    built = await chain.build([], round_number=0, proposer=proposer, evidence=[(evidence, chain.offence_in(evidence))])
    assert built is not None
    judged = await chain.judge(decode_batch(encode_batch(built.batch)), proposed_in_round=0, judge_clock=True)
    assert judged == built
    names = [name for name in NAMES if address(name) in chain.validators]
    await chain.finalise(judged, commit_for(judged.batch, names))


async def test_who_reads_a_batch_is_told_whom_its_evidence_accuses() -> None:
    chain = await open_chain(GENESIS, clock=SetClock(START_MS))
    await finalise(chain, GOOD[:1])
    await slash(chain, double_vote())
    answer = await BatchAnswers(chain.storage).get(2)
    assert answer is not None
    assert json.loads(answer.body)["evidence"] == [
        {"kind": "DOUBLE_SIGN", "accused": f"0x{address(CULPRIT).hex()}", "offenceHeight": 1}
    ]


async def test_evidence_in_a_batch_slashes_once_and_is_recorded() -> None:
    clock = SetClock(START_MS)
    chain = await open_chain(GENESIS, clock=clock)
    await finalise(chain, GOOD[:1])
    await slash(chain, double_vote())
    (slashing,) = await chain.storage.slashings(limit=10)
    assert (slashing.kind, slashing.validator, slashing.height) == (OffenceKind.DOUBLE_SIGN, address(CULPRIT), 2)
    assert address(CULPRIT) not in chain.validators
    assert len(chain.validators) == 3
    record = next(one for one in chain.head.validators if one.address == address(CULPRIT))
    assert record.state is ValidatorState.JAILED
    # The next batch carries the commit of the set that the culprit was still in.
    clock.advance(20_000)
    others = [name for name in NAMES if name != CULPRIT]
    batch = (await build(chain, GOOD[1:2])).batch
    judged = await chain.judge(batch, proposed_in_round=0, judge_clock=True)
    again = with_evidence(batch, contradiction(pre_vote(HASH, height=2), pre_vote(None, height=2)))
    with pytest.raises(InvalidBatch, match=r"evidence 0: .* was slashed at height 2 already"):
        await chain.judge(again, proposed_in_round=0, judge_clock=True)
    proposer = chain.validators.proposer(3, 0).address
    accusation = (double_vote(), chain.offence_in(double_vote()))
    assert await chain.build([], round_number=0, proposer=proposer, evidence=[accusation]) is None
    await chain.finalise(judged, commit_for(batch, others))


async def test_a_chain_opened_after_a_change_of_the_set_knows_both_sets() -> None:
    clock = SetClock(START_MS)
    chain = await open_chain(GENESIS, clock=clock)
    await slash(chain, double_vote())
    again = await open_chain(GENESIS, storage=chain.storage, clock=clock)
    batch = (await build(chain, GOOD[1:2])).batch
    assert batch.last_commit is not None
    assert address(CULPRIT) in {signature.validator for signature in batch.last_commit.signatures}
    await again.judge(batch, proposed_in_round=0, judge_clock=True)


async def test_a_chain_that_goes_on_from_a_snapshot_knows_the_sets_of_its_height() -> None:
    clock = SetClock(START_MS)
    chain = await open_chain(GENESIS, clock=clock)
    await slash(chain, double_vote())
    others = [name for name in NAMES if name != CULPRIT]
    judged = await build(chain, GOOD[:1])
    await chain.finalise(judged, commit_for(judged.batch, others))
    (base,) = await chain.storage.batches(2, 1)
    exported = Exported()
    await chain.storage.export(exported)
    records = [one for one in exported.records if isinstance(one, Account | Triangle | NonceRecord)]
    joined = await open_chain(GENESIS, clock=clock)
    await joined.restore(RestoredState(chain.head, base, lambda: [records]))
    joined.check_commit(commit_for(judged.batch, others), height=2, batch_hash=judged.batch.hash)
    with pytest.raises(InvalidCommit, match="is not a validator of height 2"):
        joined.check_commit(commit_for(judged.batch, NAMES), height=2, batch_hash=judged.batch.hash)
    assert await joined.commit_of(2) == await chain.commit_of(2)
    assert await joined.commit_of(1) is None
    await joined.judge((await build(chain, GOOD[1:2])).batch, proposed_in_round=0, judge_clock=True)


async def test_one_batch_holds_no_evidence_twice() -> None:
    chain = await open_chain(GENESIS)
    batch = with_evidence((await build(chain, GOOD)).batch, double_vote(), double_vote())
    with pytest.raises(InvalidBatch, match=r"evidence 1: .* was slashed at height 1 already"):
        await chain.judge(batch, proposed_in_round=0, judge_clock=True)


async def test_who_contradicts_the_commit_that_it_is_in_is_convicted_even_when_the_height_is_done() -> None:
    chain = await open_chain(GENESIS)
    await finalise(chain, GOOD[:1])
    late = signed(PreCommit(1, 0, HASH, address(CULPRIT)), CULPRIT)
    assert isinstance(late, PreCommit)
    evidence = chain.late_contradiction(late)
    assert evidence is not None
    assert convict(evidence) == address(CULPRIT)
    assert chain.offence_refusal(chain.offence_in(evidence)) is None
    counted = replace(late, batch_hash=chain.head.chain.batch_hash)
    for harmless in (counted, replace(late, round=1), replace(late, height=2), replace(late, validator=bytes(20))):
        assert chain.late_contradiction(harmless) is None


# --- the pool ---------------------------------------------------------------------------------------------------------


def opened(path: Path) -> EvidencePool:
    return EvidencePool.open(path, chain_id=CHAIN_ID, parameters=GENESIS.parameters)


async def test_evidence_outlives_a_restart_and_goes_when_it_is_settled(tmp_path: Path) -> None:
    chain = await open_chain(GENESIS)
    pool = opened(tmp_path / "evidence")
    evidence = double_vote()
    offence = chain.offence_in(evidence)
    assert await pool.add(evidence, offence, GENESIS.parameters)
    assert not await pool.add(evidence, offence, GENESIS.parameters)
    again = opened(tmp_path / "evidence")
    assert again.candidates(GENESIS.parameters) == ((evidence, offence),)
    await again.drop_settled(chain.offence_refusal)
    assert len(again) == 1
    await slash(chain, evidence)
    await again.drop_settled(chain.offence_refusal)
    assert len(again) == len(opened(tmp_path / "evidence")) == 0


async def test_the_gravest_of_an_accused_is_proposed_and_few_are_kept() -> None:
    batch = await invalid_batch()
    pool = EvidencePool()
    light = accuse_of_invalid_batch(vote_for(batch), exhibit_of(batch, 2))
    pieces = [light, double_vote(), contradiction(pre_vote(HASH), pre_vote(None)), light]
    taken = [
        await pool.add(piece, offence_in(piece, chain_id=CHAIN_ID, parameters=GENESIS.parameters), GENESIS.parameters)
        for piece in pieces
    ]
    assert taken == [True, True, True, False]
    assert len(pool) == POOL_EVIDENCE_PER_ACCUSED_MAX
    ((proposed, _),) = pool.candidates(GENESIS.parameters)
    assert proposed == double_vote()


async def test_an_accused_cannot_fill_its_places_with_lighter_pieces_of_its_own() -> None:
    batch = await invalid_batch()
    pool = EvidencePool()
    exhibit = exhibit_of(batch, 2)
    pre_commit = signed(PreCommit(1, 0, batch.hash, address(CULPRIT)), CULPRIT)
    assert isinstance(pre_commit, PreCommit)
    light = [accuse_of_invalid_batch(vote, exhibit) for vote in (vote_for(batch), pre_commit)]
    for piece in [*light, double_vote()]:
        offence = offence_in(piece, chain_id=CHAIN_ID, parameters=GENESIS.parameters)
        assert await pool.add(piece, offence, GENESIS.parameters)
    assert len(pool) == POOL_EVIDENCE_PER_ACCUSED_MAX
    ((proposed, _),) = pool.candidates(GENESIS.parameters)
    assert proposed == double_vote()


@pytest.mark.parametrize("content", [b"\x00", b"no evidence"])
async def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, content: bytes) -> None:
    path, aside = tmp_path / "evidence", tmp_path / "evidence.damaged"
    path.write_bytes(content)
    with structlog.testing.capture_logs() as logged:
        pool = opened(path)
    assert [(entry["log_level"], entry["set_aside"]) for entry in logged] == [("error", str(aside))]
    chain, evidence = await open_chain(GENESIS), double_vote()
    assert await pool.add(evidence, chain.offence_in(evidence), GENESIS.parameters)
    assert len(opened(path)) == 1
    assert aside.read_bytes() == content


def test_a_file_that_cannot_be_read_is_said_and_does_without(tmp_path: Path) -> None:
    (tmp_path / "evidence").mkdir()
    with structlog.testing.capture_logs() as logged:
        assert len(opened(tmp_path / "evidence")) == 0
    assert [entry["log_level"] for entry in logged] == ["error"]
