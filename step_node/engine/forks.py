"""Seeing that a quorum has contradicted what is final here: more than a third of the votes are a culprit's.

A commit of a height that is done is of no use to consensus, which has moved on. But two quorums for two batches of one
height mean that the promise of finality is broken, and the node must say so when it hears of it, not when the next
batch fails. Who signed both in one round is convicted by the two signatures; nobody is convicted where the commits are
of two rounds, since a vote for another batch in a later round may be honest (docs/protocol.md §4).
"""

from __future__ import annotations

from dataclasses import dataclass

from consensus.evidence import contradiction
from consensus.messages import Commit, Evidence, PreCommit
from step_node.chain.chain import Chain


@dataclass(frozen=True, slots=True)
class Fork:
    """Two commits of one height for two batches: what this node has finalised, and what it has been told."""

    own: Commit
    other: Commit

    @property
    def height(self) -> int:
        """The height of both."""
        return self.own.height

    def evidence(self) -> tuple[Evidence, ...]:
        """Against each validator that has signed both in one round."""
        if self.own.round != self.other.round:
            return ()
        own = {entry.validator: entry for entry in self.own.signatures}
        return tuple(
            contradiction(
                PreCommit(self.height, self.own.round, self.own.batch_hash, entry.validator, entry.signature),
                PreCommit(self.height, self.other.round, self.other.batch_hash, other.validator, other.signature),
            )
            for other in self.other.signatures
            if (entry := own.get(other.validator)) is not None
        )


async def fork_shown_by(commit: Commit, chain: Chain) -> Fork | None:
    """The fork that a commit, which a quorum is known to have signed, makes with the finalised batch of its height.

    None where there is no contradiction between signed commits, where the height is not final yet, or where it lies
    before the snapshot from which the node joined. Raises `StorageUnavailable`.
    """
    if not 0 < commit.height < chain.next_height:
        return None
    own = await chain.commit_of(commit.height)
    if own is None or own.batch_hash == commit.batch_hash:
        return None
    # Nobody is accused, and no alarm raised, by what somebody may have written into the store: it must be signed too.
    return Fork(own, commit) if chain.is_signed(own) else None
