"""What a commit and a piece of evidence prove to somebody who was not there, and what does not prove it."""

from dataclasses import replace

import pytest

from consensus.commit import InvalidCommit, commit_of, verify_commit
from consensus.evidence import InvalidEvidence, contradiction, verify_contradiction
from consensus.messages import Commit, Evidence, EvidenceKind, PreCommit, PreVote, ProofBatch
from tests.consensus.network import CHAIN_ID, HEIGHT, address, batch_of, pretend_recover, sign, validator_set

HASH, BATCH = batch_of("one")
OTHER, _ = batch_of("two")
VALIDATORS = validator_set(4)
COMMIT = commit_of(sign(PreCommit(HEIGHT, 2, HASH, address(index))) for index in (2, 0, 1))
ENTRIES = COMMIT.signatures
STRANGER = commit_of([sign(PreCommit(HEIGHT, 2, HASH, address(9)))]).signatures


def check(commit: Commit) -> None:
    verify_commit(
        commit, chain_id=CHAIN_ID, height=HEIGHT, batch_hash=HASH, validators=VALIDATORS, recover=pretend_recover
    )


def test_a_quorum_of_pre_commits_proves_that_a_batch_is_final() -> None:
    check(COMMIT)


@pytest.mark.parametrize(
    ("commit", "rule"),
    [
        (replace(COMMIT, height=HEIGHT + 1), "height: must be 5, not 6"),
        (replace(COMMIT, batch_hash=OTHER), "batch_hash: must be"),
        (replace(COMMIT, round=3), "cannot be read|not its own"),
        (replace(COMMIT, signatures=ENTRIES[:2]), "2 of 4 validators, but a quorum is 3"),
        (replace(COMMIT, signatures=(ENTRIES[0], ENTRIES[0], ENTRIES[1])), "is there twice"),
        (replace(COMMIT, signatures=ENTRIES[::-1]), "sorted by validator"),
        (replace(COMMIT, signatures=(*ENTRIES[:2], *STRANGER)), "not a validator of height 5"),
        (
            replace(COMMIT, signatures=(*ENTRIES[:2], replace(ENTRIES[2], signature=ENTRIES[1].signature))),
            "not its own",
        ),
    ],
)
def test_anything_else_does_not(commit: Commit, rule: str) -> None:
    with pytest.raises(InvalidCommit, match=rule):
        check(commit)


def convict(evidence: Evidence) -> bytes:
    return verify_contradiction(evidence, chain_id=CHAIN_ID, recover=pretend_recover)


ACCEPT = sign(PreVote(HEIGHT, 0, HASH, address(2)))
REJECT = sign(PreVote(HEIGHT, 0, None, address(2)))
PROPOSAL = sign(ProofBatch(HEIGHT, 0, -1, HASH, BATCH, address(1)))
OTHER_PROPOSAL = sign(ProofBatch(HEIGHT, 0, -1, OTHER, b"x", address(1)))


def test_two_votes_or_two_proposals_convict_their_signer_in_either_order() -> None:
    assert convict(contradiction(ACCEPT, REJECT)) == address(2)
    assert contradiction(ACCEPT, REJECT) == contradiction(REJECT, ACCEPT)
    assert convict(contradiction(PROPOSAL, OTHER_PROPOSAL)) == address(1)


def test_evidence_never_carries_a_batch() -> None:
    evidence = contradiction(PROPOSAL, OTHER_PROPOSAL)
    assert isinstance(evidence.first, ProofBatch)
    assert evidence.first.batch == b""


@pytest.mark.parametrize(
    ("evidence", "rule"),
    [
        (contradiction(ACCEPT, ACCEPT), "say the same"),
        (contradiction(ACCEPT, replace(REJECT, round=1)), "one height and round"),
        (contradiction(ACCEPT, sign(PreVote(HEIGHT, 0, None, address(3)))), "one validator"),
        (contradiction(ACCEPT, replace(REJECT, signature=bytes(65))), "cannot be read"),
        (Evidence(EvidenceKind.DOUBLE_SIGN, ACCEPT, REJECT), "canonical order"),
        (Evidence(EvidenceKind.DOUBLE_SIGN, REJECT, sign(PreCommit(HEIGHT, 0, HASH, address(2)))), "do not make it"),
        (Evidence(EvidenceKind.CONFLICTING_PROPOSAL, REJECT, ACCEPT), "do not make it"),
    ],
)
def test_evidence_that_proves_nothing_is_refused(evidence: Evidence, rule: str) -> None:
    with pytest.raises(InvalidEvidence, match=rule):
        convict(evidence)
