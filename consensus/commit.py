"""A commit: the pre-commits that prove to anybody that a batch is final (protocol.md §4)."""

from collections.abc import Callable, Iterable

from consensus.messages import Commit, CommitSignature, PreCommit
from consensus.values import ValidatorSet


class InvalidCommit(ValueError):
    """The commit does not prove that the batch is final. The message says why."""


def commit_of(pre_commits: Iterable[PreCommit]) -> Commit:
    """The commit that these pre-commits of one height, round and batch make, each validator's once.

    Raises: ValueError if there is none, or one is for nil.
    """
    votes = sorted(pre_commits, key=lambda vote: vote.validator)
    if not votes or votes[0].batch_hash is None:
        raise ValueError("pre_commits: a commit is made of pre-commits for a batch")
    signatures = tuple(CommitSignature(vote.validator, vote.signature) for vote in votes)
    return Commit(votes[0].height, votes[0].round, votes[0].batch_hash, signatures)


def verify_commit(
    commit: Commit,
    *,
    chain_id: str,
    height: int,
    batch_hash: bytes,
    validators: ValidatorSet,
    recover: Callable[[str, bytes], bytes],
) -> None:
    """Check that `commit` finalises `batch_hash` at `height`, of which `validators` is the set.

    `recover(line, signature)` gives the address that signed `line` (EIP-191), or raises ValueError.

    Raises: InvalidCommit if it is of another height or batch, if fewer than a quorum signed, if signatures are not
    sorted by validator or a validator is there twice or is a stranger, or if a signature is not that validator's.
    """
    if commit.height != height:
        raise InvalidCommit(f"height: must be {height}, not {commit.height}")
    if commit.batch_hash != batch_hash:
        raise InvalidCommit(f"batch_hash: must be 0x{batch_hash.hex()}, not 0x{commit.batch_hash.hex()}")
    check_commit_signers(commit, validators)
    verify_commit_signatures(commit, chain_id=chain_id, recover=recover)


def check_commit_signers(commit: Commit, validators: ValidatorSet) -> None:
    """Check all of `verify_commit` that is cheap: who signed, before the first signature is recovered.

    Raises: InvalidCommit if fewer than a quorum of `validators` signed, if signatures are not sorted by validator or a
    validator is there twice or is a stranger.
    """
    if len(commit.signatures) < validators.quorum:
        raise InvalidCommit(
            f"signatures: {len(commit.signatures)} of {len(validators)} validators, but a quorum is {validators.quorum}"
        )
    previous = b""
    for entry in commit.signatures:
        if entry.validator == previous:
            raise InvalidCommit(f"signatures: 0x{entry.validator.hex()} is there twice")
        if entry.validator < previous:
            raise InvalidCommit("signatures: must be sorted by validator")
        if entry.validator not in validators:
            raise InvalidCommit(f"signatures: 0x{entry.validator.hex()} is not a validator of height {commit.height}")
        previous = entry.validator


def verify_commit_signatures(commit: Commit, *, chain_id: str, recover: Callable[[str, bytes], bytes]) -> None:
    """Check that each pre-commit in `commit` is signed by the validator that it names, whoever the validators are.

    Raises: InvalidCommit.
    """
    for entry in commit.signatures:
        line = PreCommit(commit.height, commit.round, commit.batch_hash, entry.validator).signing_line(chain_id)
        try:
            signer = recover(line, entry.signature)
        except ValueError as error:
            raise InvalidCommit(f"signatures: that of 0x{entry.validator.hex()} cannot be read: {error}") from error
        if signer != entry.validator:
            raise InvalidCommit(f"signatures: that of 0x{entry.validator.hex()} is not its own")
