"""What a validator that only follows overhears of its height: a commit, and the batch that it is about.

Whoever hears a commit of the next height knows that this height is final, and signs nothing there. But perhaps nobody
who delivers batches has finalised it: a liar made the commit of votes that reached nobody else, or whoever made it is
gone. A follower that waited for the batch and its commit to come together would wait for ever, and with it a chain that
needs its vote. So it puts the two together itself: the commit that it has, and the proposal, which those have who
pre-committed it. That takes no signature, and who has the proposal only hears the commit from it.
"""

from __future__ import annotations

from consensus.messages import Commit, Message, ProofBatch
from consensus.state import ConsensusState


class Overheard:
    """Of one height, which `state` is about: what the machine knew when it was stopped counts as heard."""

    def __init__(self, state: ConsensusState) -> None:
        self.commit: Commit | None = state.commit
        self.final_batch: bytes | None = None if state.commit is None else state.batches.get(state.commit.batch_hash)
        """The encoded batch that the commit makes final; None if the one or the other is missing."""

    def hear(self, message: Message) -> None:
        """A message of this height, whose signatures have been checked."""
        if isinstance(message, Commit) and self.commit is None:
            self.commit = message
        elif isinstance(message, ProofBatch) and self.commit and message.batch_hash == self.commit.batch_hash:
            self.final_batch = message.batch
