"""Looking through a chain of finalised batches that is there already: is each what the next one says it is?

A batch names the hash of the one before, so whoever believes the last header believes all of them. The last is believed
for its commit. Commits are held against the validators of their height wherever that set is known (of genesis, of the
present, and those that links lead to); of another set's commit every signature is recovered, and it is the header after
it that vouches for its batch. Nothing is executed here: whether the state is what the batches make it is asked of the
state root, by whoever has the state.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.commit import InvalidCommit, verify_commit, verify_commit_signatures
from consensus.messages import Commit
from consensus.values import ValidatorSet
from consensus.wire import WireError, decode
from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.crypto.lines import recover_signer


class BrokenChain(ValueError):
    """A batch is not what the chain says of it. `height` is the first that is wrong."""

    def __init__(self, height: int, reason: str) -> None:
        super().__init__(f"height {height}: {reason}")
        self.height = height
        self.reason = reason


class ChainAudit:
    """Takes the batches of a chain in order. Not for an event loop: each costs a signature's recovery for each vote.

    `find_set(hash)` is the validator set with that hash, if it is known. `after` is the (height, hash) that the first
    batch has to follow; None takes the first one as it is, as in a store that began with a snapshot.
    """

    def __init__(
        self, *, chain_id: str, find_set: Callable[[bytes], ValidatorSet | None], after: tuple[int, bytes] | None
    ) -> None:
        self._chain_id = chain_id
        self._find_set = find_set
        self._after = after
        self._timestamp_ms = -1
        self.batches = 0
        self.proofs = 0
        self.quorums = 0
        """Commits that were held against the validators of their height."""

    @property
    def last(self) -> tuple[int, bytes] | None:
        """The (height, hash) of the last batch taken, or what the first one has to follow."""
        return self._after

    def take(self, height: int, encoded_batch: bytes, encoded_commit: bytes) -> tuple[Batch, Commit]:
        """The batch that is said to be of `height`, and its commit, decoded. Raises `BrokenChain`."""
        try:
            batch = decode_batch(encoded_batch)
            commit = decode(Commit, encoded_commit, bytes_max=COMMIT_BYTES_MAX)
        except (MalformedBatch, WireError) as error:
            raise BrokenChain(height, f"cannot be read: {error}") from error
        self._check_place(height, batch)
        self._check_commit(batch, commit)
        self._after, self._timestamp_ms = (height, batch.hash), batch.header.timestamp_ms
        self.batches += 1
        self.proofs += len(batch.proofs)
        return batch, commit

    def _check_place(self, height: int, batch: Batch) -> None:
        header, after = batch.header, self._after
        if header.chain_id != self._chain_id:
            raise BrokenChain(height, f"is of the chain {header.chain_id!r}, not of {self._chain_id!r}")
        if header.height != height or (after is not None and height != after[0] + 1):
            raise BrokenChain(height, f"the batch that stands there is of height {header.height}")
        if header.timestamp_ms <= self._timestamp_ms:
            raise BrokenChain(height, "its time is not after that of the batch before")
        if after is None:
            return
        if header.previous_batch_hash != after[1]:
            raise BrokenChain(height, f"does not follow the batch of height {after[0]}: one of the two is another one")
        signed = batch.last_commit
        if after[0] > 0 and (signed is None or (signed.height, signed.batch_hash) != after):
            raise BrokenChain(height, "carries a commit of another batch than the one before")

    def _check_commit(self, batch: Batch, commit: Commit) -> None:
        height = batch.header.height
        if (commit.height, commit.batch_hash) != (height, batch.hash):
            raise BrokenChain(height, "its commit is of another batch")
        validators = self._find_set(batch.header.validator_set_hash)
        try:
            if validators is None:
                verify_commit_signatures(commit, chain_id=self._chain_id, recover=recover_signer)
                return
            verify_commit(
                commit,
                chain_id=self._chain_id,
                height=height,
                batch_hash=batch.hash,
                validators=validators,
                recover=recover_signer,
            )
        except InvalidCommit as error:
            raise BrokenChain(height, f"its commit: {error}") from error
        self.quorums += 1
