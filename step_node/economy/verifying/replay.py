"""A chain executed again, batch by batch, by the same code as in a node, over a store of its own.

Nothing is believed: each batch must be signed by a quorum of the validators that the state has by then, follow the one
before, find the state root that its header names, hold proofs and operations that are signed, and give the receipts
that it commits to. So the state after it is made by the rules from genesis (or from the state that the replay began
with), and by nothing else. Money is counted by the ledger itself, which raises where a batch makes or loses any.

What is kept is the state; batches and receipts are let go of, so a long chain takes no more room than its state.
"""

from __future__ import annotations

from typing import Final

from consensus.commit import InvalidCommit
from consensus.messages import Commit
from consensus.wire import WireError, decode
from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX, Chain
from step_node.chain.genesis import Genesis
from step_node.chain.judging import InvalidBatch, JudgedBatch
from step_node.clock import Clock
from step_node.economy.verifying.derived import Derived
from step_node.ledger.state import StateHead
from step_node.offload import run_blocking
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import Prunable, Storage

PRUNED_EVERY_BATCHES: Final = 256
"""How often the past is let go of; so much of it is kept, too."""


class BatchRejected(ValueError):
    """A batch is not one of this chain, or not what it says of itself. `height` is the first that is wrong."""

    def __init__(self, height: int, reason: str) -> None:
        super().__init__(f"batch {height}: {reason}")
        self.height = height
        self.reason = reason


class Replay:
    """See the module's docstring. `storage` holds the state that it begins with, and nobody else writes to it."""

    def __init__(self, chain: Chain, vouched: dict[bytes, SignedProof] | None) -> None:
        self._chain = chain
        self._vouched = vouched
        self.proofs = 0
        """How many it has executed."""
        self.versions: set[int] = set()
        """Of the rules that the executed batches were judged by."""
        self.judged: JudgedBatch | None = None
        """The last batch that it has executed, with what came of it."""
        self.derived = Derived(chain.head, chain.chain_id)
        """What the economy shows of the batches that were executed."""
        self.begins_at_genesis = chain.head.chain.height == 0 and chain.genesis.initial_state is None
        """Whether all there is has been made by the batches, and by the allocations of genesis."""

    @classmethod
    async def begin(cls, genesis: Genesis, storage: Storage, clock: Clock, *, trusts_quorums: bool = False) -> Replay:
        """A replay of what follows the state in `storage`. With `trusts_quorums` the signatures of proofs are not
        recovered again: those who have signed their batch have done so."""
        vouched: dict[bytes, SignedProof] | None = {} if trusts_quorums else None
        known = _nobody if vouched is None else vouched.get
        return cls(await Chain.open(genesis=genesis, storage=storage, clock=clock, known=known), vouched)

    @property
    def head(self) -> StateHead:
        """Where it stands."""
        return self._chain.head

    @property
    def storage(self) -> Storage:
        """The state as it was made."""
        return self._chain.storage

    async def take(self, encoded_batch: bytes, encoded_commit: bytes) -> JudgedBatch:
        """Execute the next batch. Raises `BatchRejected`, and then stands where it stood."""
        height = self._chain.next_height
        try:
            batch, commit = await run_blocking(_decoded, encoded_batch, encoded_commit)
            if self._vouched is not None:
                self._vouched.clear()
                self._vouched.update((proof.proof_id, proof) for proof in batch.proofs)
            judged = await self._chain.judge(batch, proposed_in_round=None, judge_clock=False)
            self._chain.check_commit(commit, height=height, batch_hash=batch.hash)
        except (MalformedBatch, WireError) as error:
            raise BatchRejected(height, f"cannot be read: {error}") from error
        except InvalidBatch as error:
            raise BatchRejected(height, str(error)) from error
        except InvalidCommit as error:
            raise BatchRejected(height, f"its commit: {error}") from error
        await self._chain.finalise(judged, commit)
        self.judged = judged
        self.proofs += len(batch.proofs)
        self.versions.add(batch.header.protocol_version)
        await self.derived.take(judged)
        if height % PRUNED_EVERY_BATCHES == 0:
            await self._let_go(height - PRUNED_EVERY_BATCHES + 1)
        return judged

    async def _let_go(self, below: int) -> None:
        for what in (Prunable.BATCHES, Prunable.HISTORIES):
            while await self.storage.prune(what, below=below):
                pass


def _decoded(batch: bytes, commit: bytes) -> tuple[Batch, Commit]:
    return decode_batch(batch), decode(Commit, commit, bytes_max=COMMIT_BYTES_MAX)


def _nobody(_proof_id: bytes) -> None:
    """No proof is known beforehand."""
