"""The proof of the last lock outlives the consensus log; a file that cannot be used is passed over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from consensus.lock import ProofOfLock
from consensus.messages import CommitSignature, PreVote
from step_node.engine.lock_file import LockFile
from tests.engine.seats import NAMES, pre_votes, proposal_of
from tests.support.chains import CHAIN_ID, make_genesis, open_chain
from tests.support.proofs import address, signed_proof

OWN = address(NAMES[0])


async def made_proof() -> ProofOfLock:
    chain = await open_chain(make_genesis(4))
    proposal, _ = await proposal_of(chain, signed_proof("alice"))
    votes = [vote for vote in pre_votes(NAMES[:3], proposal.batch_hash) if isinstance(vote, PreVote)]
    entries = tuple(CommitSignature(vote.validator, vote.signature) for vote in votes)
    return ProofOfLock(1, 0, proposal.batch_hash, proposal.batch, entries)


def opened(path: Path, *, chain_id: str = CHAIN_ID, validator: bytes = OWN) -> LockFile:
    return LockFile.open(path, chain_id=chain_id, validator=validator)


async def test_what_was_kept_is_there_after_a_restart_for_its_height_alone(tmp_path: Path) -> None:
    path, proof = tmp_path / "proof_of_lock", await made_proof()
    assert opened(path).kept(1) is None
    opened(path).keep(proof)
    assert opened(path).kept(1) == proof
    assert opened(path).kept(2) is None


async def test_a_later_lock_replaces_the_one_before_and_the_same_is_not_written_again(tmp_path: Path) -> None:
    path, proof = tmp_path / "proof_of_lock", await made_proof()
    locks = opened(path)
    locks.keep(proof)
    written = path.stat().st_ino
    locks.keep(proof)
    assert path.stat().st_ino == written
    locks.keep(replace(proof, height=2, pre_votes=()))
    assert path.stat().st_ino != written
    assert opened(path).kept(2) == replace(proof, height=2, pre_votes=())


async def test_another_chains_or_keys_proof_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "proof_of_lock"
    opened(path).keep(await made_proof())
    assert opened(path, chain_id="another").kept(1) is None
    assert opened(path, validator=address(NAMES[1])).kept(1) is None
    assert opened(path).kept(1) is not None


@pytest.mark.parametrize("offset", [0, 60, 130, -1])
async def test_a_damaged_file_is_passed_over(tmp_path: Path, offset: int) -> None:
    path = tmp_path / "proof_of_lock"
    opened(path).keep(await made_proof())
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    assert opened(path).kept(1) is None
    path.write_bytes(content[:40])
    assert opened(path).kept(1) is None


async def test_a_proof_that_is_not_signed_or_of_another_batch_is_passed_over(tmp_path: Path) -> None:
    path, proof = tmp_path / "proof_of_lock", await made_proof()
    forged = replace(proof.pre_votes[0], signature=proof.pre_votes[1].signature)
    for bad in (replace(proof, pre_votes=(forged,)), replace(proof, batch_hash=bytes(32)), replace(proof, batch=b"")):
        opened(path).keep(bad)
        assert opened(path).kept(1) is None
        path.unlink()
