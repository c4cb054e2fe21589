"""Byzantine validators: a whole node of the shipped code, whose messages are bent on their way out.

A liar's node follows the protocol; it has no double-sign guard. What it publishes passes through
`ByzantineValidator.tamper`, which may send something else, to each peer something else, or nothing; what it hears, it
can answer with votes of its own.
There is no second implementation of consensus here: votes and proposals are built from the shipped parts.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from consensus.evidence import contradiction
from consensus.messages import (
    Commit,
    Evidence,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    decode_message,
    encode_message,
)
from consensus.wire import decode, encode
from step_node.batch.batch import Batch, BatchContent, BatchHeader, decode_batch, encode_batch
from step_node.batch.outline import outline_of
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.crypto.eip191 import sign
from step_node.network.protocols import ProposalOutline, consensus_topic
from step_node.node.node import Node
from step_node.proofs.proof import SignedProof
from step_node.signing.signer import ValidatorSigner
from step_node.storage.interface import StoredBatch
from step_node.testing.simulator.network import SimulatedNetwork, message_in
from step_node.testing.simulator.schedules import Plot
from step_node.testing.simulator.settings import Tactic

if TYPE_CHECKING:
    from step_node.signing.guard import SigningGuard
    from step_node.signing.history import SigningKind

MEMORY_MESSAGES_MAX = 200
MISCHIEF_SECONDS = 0.5
FRAME_RATE = 0.1
"""How likely each mischief is to be a false accusation in gossip: for a few of them every peer hangs up."""


class GuardlessSigner(ValidatorSigner):
    """Signs whatever it is asked to."""

    def __init__(self, private_key: bytes, guard: SigningGuard) -> None:
        super().__init__(private_key, guard)
        self._key = private_key

    def sign(self, kind: SigningKind | str, height: int, round: int, value: bytes, line: str) -> bytes:  # noqa: A002, ARG002
        """Sign `line` without a look at any history."""
        return sign(line, self._key)


class ByzantineValidator:
    """What one life of a Byzantine validator does with its network."""

    def __init__(
        self,
        *,
        network: SimulatedNetwork,
        node: Node,
        private_key: bytes,
        address: bytes,
        chain_id: str,
        tactics: frozenset[Tactic],
        rng: random.Random,
        note: Callable[[str], None],
        plot: Callable[[], Plot | None],
        outlines: bool,
    ) -> None:
        self._network = network
        self._node = node
        self._key = private_key
        self._address = address
        self._chain_id = chain_id
        self._topic = consensus_topic(chain_id)
        self._tactics = tactics
        self._rng = rng
        self._note = note
        self._plot = plot
        self._outlines = outlines
        self._heard: deque[bytes] = deque(maxlen=MEMORY_MESSAGES_MAX)
        self._votes: dict[tuple[int, int, str, bytes | None], set[bytes]] = {}
        self._claimed: dict[tuple[int, int], bytes] = {}
        """(height, round) -> what was proposed there though no honest node should take it: it votes for that."""
        network.tamper = self.tamper
        network.overhear = self.overhear

    # --- what it says itself ------------------------------------------------------------------------------------

    def tamper(self, topic: str, data: bytes) -> list[tuple[str, bytes]] | None:
        """See `SimulatedNetwork.tamper`."""
        if topic != self._topic:
            return None
        message = decode_message(data)
        plot = self._plot()
        if plot is not None and plot.has_accomplices and not plot.is_over and _height_of(message) == plot.height:
            return self._play_along(plot, message)
        if isinstance(message, ProofBatch) and message.proposer == self._address:
            return self._bend_proposal(message, data)
        if isinstance(message, PreVote | PreCommit) and message.validator == self._address:
            return self._bend_vote(message)
        return [] if Tactic.SILENT in self._tactics else None

    def _play_along(self, plot: Plot, message: Message) -> list[tuple[str, bytes]] | None:
        """Be honest until the lock is taken, then claim another batch's quorum of that very round (L28)."""
        if isinstance(message, ProofBatch | PreVote | PreCommit) and message.signer == self._address:
            if isinstance(message, ProofBatch) and message.round > plot.round:
                data = self._claim(message, plot.round)
            elif isinstance(message, PreVote | PreCommit) and _place(message) in self._claimed:
                data = self._vote(message, self._claimed[_place(message)])
            else:
                return None
            return [(peer, data) for peer in self._network.peers()]
        return None

    def _claim(self, message: ProofBatch, valid_round: int) -> bytes:
        """The proposal of a batch that is new, as if a quorum had pre-voted it in `valid_round`."""
        batch = decode_batch(message.batch)
        if message.valid_round >= 0:
            batch = _later_by(batch, 1)
        self._claimed[message.height, message.round] = batch.hash
        self._note("claims a quorum of pre-votes that never was")
        return self._proposal_of(batch, replace(message, valid_round=valid_round))

    def _bend_proposal(self, message: ProofBatch, data: bytes) -> list[tuple[str, bytes]] | None:
        rng, peers = self._rng, self._network.peers()
        if Tactic.SILENT in self._tactics:
            return []
        if Tactic.AHEAD in self._tactics and message.valid_round < 0:
            message = self._ahead(message)
            data = encode_message(message)
        if Tactic.FALSE_ROUND in self._tactics and message.round > 0 and rng.random() < 0.8:
            data = self._claim(message, rng.randrange(message.round))
        framed = self._made_up_evidence() if Tactic.FRAME in self._tactics and rng.random() < 0.5 else None
        if framed is not None:
            self._note("proposes a batch with evidence that it made up")
            data = self._proposal_of(_with_evidence(decode_batch(message.batch), framed), message)
        if Tactic.INVALID in self._tactics and rng.random() < 0.6:
            self._note("proposes an invalid batch")
            spoilt = self._spoil(decode_batch(message.batch))
            self._claimed[message.height, message.round] = spoilt.hash
            data = self._proposal_of(spoilt, message)
            if rng.random() < 0.7:
                return [(peer, data) for peer in peers]
        elif Tactic.INVALID in self._tactics and self._outlines:
            return [(peer, rng.choice((data, self._false_outline(message)))) for peer in peers]
        if Tactic.WITHHOLD in self._tactics:
            return [(peer, data) for peer in peers if rng.random() < 0.4]
        if Tactic.EQUIVOCATE in self._tactics:
            twin = self._proposal_of(_later_by(decode_batch(message.batch), 1), message)
            if rng.random() < 0.3:
                return [(peer, each) for peer in peers for each in (data, twin)]
            return [(peer, rng.choice((data, twin))) for peer in peers]
        return [(peer, data) for peer in peers]

    def _false_outline(self, message: ProofBatch) -> bytes:
        """An outline under the hash that was proposed, of whose proofs one is left out or signed otherwise."""
        self._note("proposes in an outline that is not the header's")
        batch = decode_batch(message.batch)
        proofs = batch.proofs[:-1]
        if batch.proofs and self._rng.random() < 0.5:
            proofs = (*proofs, _with_other_signature(batch.proofs[-1]))
        outline = outline_of(replace(batch, proofs=proofs), encloses=lambda _: self._rng.random() < 0.8)
        return encode(ProposalOutline.of(message, encode(outline)))

    def _ahead(self, message: ProofBatch) -> ProofBatch:
        """The proposal of its batch with a time that lies ahead: by what others just allow, or by much more.

        Always by the same for one height and round: it repeats its proposals, and would convict itself otherwise.
        """
        parameters = self._node.driver._chain.parameters
        is_bold = (message.height + message.round // len(self._node.driver.state.validators)) % 2
        ahead_ms = (parameters.clock_drift_ms if is_bold else parameters.batch_ahead_ms) - 100
        batch = _later_by(decode_batch(message.batch), ahead_ms)
        self._claimed[message.height, message.round] = batch.hash
        self._note(f"stamps a batch {ahead_ms} ms ahead")
        bent = replace(message, batch_hash=batch.hash, batch=encode_batch(batch), signature=b"")
        return replace(bent, signature=sign(bent.signing_line(self._chain_id), self._key))

    def _bend_vote(self, message: PreVote | PreCommit) -> list[tuple[str, bytes]] | None:
        rng, peers = self._rng, self._network.peers()
        if Tactic.SILENT in self._tactics:
            return []
        claimed = self._claimed.get(_place(message))
        if claimed is not None:
            data = self._vote(message, claimed)
            return [(peer, data) for peer in peers]
        if Tactic.DOUBLE_VOTE not in self._tactics:
            return None
        others = {hash_ for height, number, _, hash_ in self._votes if (height, number) == _place(message)}
        values = sorted(others | {None, message.batch_hash}, key=lambda value: value or b"")
        if rng.random() < 0.3:
            return [(peer, self._vote(message, value)) for peer in peers for value in values]
        return [(peer, self._vote(message, rng.choice(values))) for peer in peers]

    # --- what it hears ------------------------------------------------------------------------------------------

    def overhear(self, sender: str, topic: str, data: bytes) -> None:
        """See `SimulatedNetwork.overhear`."""
        del sender
        if topic != self._topic:
            return
        message = message_in(data)
        if self._rng.random() < 0.2:
            self._heard.append(data)
        if not isinstance(message, PreVote | PreCommit):
            return
        key = (message.height, message.round, message.type, message.batch_hash)
        voters = self._votes.setdefault(key, set())
        voters.add(message.validator)
        if len(self._votes) > MEMORY_MESSAGES_MAX:
            del self._votes[next(iter(self._votes))]
        validators = self._node.driver.state.validators
        if Tactic.COMPLETE in self._tactics and len(voters) == validators.quorum - validators.faults_max:
            vote = self._vote(replace(message, validator=self._address), message.batch_hash)
            everybody = self._rng.random() < 0.5
            for peer in self._network.peers():
                if everybody or self._rng.random() < 0.5:
                    self._network.send_to(peer, self._topic, vote)

    # --- what it does unasked -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Do mischief every now and then, until cancelled."""
        while True:
            await trio.sleep(MISCHIEF_SECONDS * (0.5 + self._rng.random()))
            if Tactic.AMNESIA in self._tactics:
                driver = self._node.driver
                driver._machine.state = replace(driver.state, locked_round=-1, locked_hash=None)
            if Tactic.REPLAY in self._tactics and self._heard:
                for _ in range(5):
                    self._send_to_some(self._rng.choice(list(self._heard)))
            if Tactic.FLOOD in self._tactics:
                self._flood()
            if Tactic.FRAME in self._tactics and self._rng.random() < FRAME_RATE:
                framed = self._made_up_evidence()
                if framed is not None:
                    self._note("accuses an honest validator")
                    self._send_to_some(encode_message(framed))
            if Tactic.USURP in self._tactics:
                await self._usurp()

    def _flood(self) -> None:
        if self._rng.random() < 0.1:
            self._send_to_some(self._rng.randbytes(100))
        state = self._node.driver.state
        for _ in range(10):
            far = max(state.round, 0) + self._rng.randrange(1_000)
            self._send_to_some(
                self._vote(PreVote(state.height, far, None, self._address), self._rng.choice((None, bytes(32))))
            )

    async def _usurp(self) -> None:
        """Propose a batch in a round that is another's."""
        state = self._node.driver.state
        number = max(state.round, 0)
        proposer = self._rng.choice((self._address, state.validators.proposer(state.height, number).address))
        chain = self._node.driver._chain
        candidates = [waiting.proof for waiting in self._node._mempool._by_id.values()]
        judged = await chain.build(candidates, round_number=number, proposer=proposer)
        if judged is not None and judged.batch.header.height == self._node.driver.state.height:
            self._note(f"usurps round {number}")
            template = ProofBatch(state.height, number, -1, bytes(32), b"", self._address)
            self._send_to_some(self._proposal_of(judged.batch, template))

    def _send_to_some(self, data: bytes) -> None:
        for peer in self._network.peers():
            if self._rng.random() < 0.7:
                self._network.send_to(peer, self._topic, data)

    # --- making messages ----------------------------------------------------------------------------------------

    def _vote(self, vote: PreVote | PreCommit, value: bytes | None) -> bytes:
        return self._signed(replace(vote, batch_hash=value, signature=b""))

    def _proposal_of(self, batch: Batch, like: ProofBatch) -> bytes:
        return self._signed(replace(like, batch_hash=batch.hash, batch=encode_batch(batch), signature=b""))

    def _signed(self, message: SignedMessage) -> bytes:
        return encode_message(replace(message, signature=sign(message.signing_line(self._chain_id), self._key)))

    def _made_up_evidence(self) -> Evidence | None:
        """A vote of another's that it has heard, and one against it that the other has never signed."""
        votes = [
            vote
            for vote in map(message_in, self._heard)
            if isinstance(vote, PreVote | PreCommit) and vote.validator != self._address
        ]
        if not votes:
            return None
        vote = self._rng.choice(votes)
        other = replace(vote, batch_hash=self._rng.randbytes(32))
        if self._rng.random() < 0.5:
            other = replace(other, signature=sign(other.signing_line(self._chain_id), self._key))
        return contradiction(vote, other)

    def _spoil(self, batch: Batch) -> Batch:
        proofs, header, last_commit = batch.proofs, batch.header, batch.last_commit
        match self._rng.randrange(8):
            case 0 | 4 | 5 | 6 if proofs:
                proofs = (*proofs[:-1], _with_other_signature(proofs[-1]))
            case 1 if proofs:
                proofs = (*proofs, proofs[0])
            case 2:
                header = replace(header, state_root=bytes(32))
            case 3 if last_commit is not None:
                last_commit = replace(last_commit, signatures=last_commit.signatures[:1])
            case _:
                header = replace(header, timestamp_ms=header.timestamp_ms + 3_600_000)
        return _batch_of(header, BatchContent(proofs, last_commit, batch.evidence, batch.operations))


def forged(stored: StoredBatch) -> StoredBatch:
    """What a forger serves in place of a finalised batch: another one, with the same pre-commits under it."""
    batch = _later_by(decode_batch(stored.batch), 1)
    commit = decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX)
    return replace(
        stored,
        batch_hash=batch.hash,
        batch=encode_batch(batch),
        commit=encode(replace(commit, batch_hash=batch.hash)),
    )


def _batch_of(header: BatchHeader, content: BatchContent) -> Batch:
    proof_ids_root, proofs_root, body_hash = content.roots()
    return content.with_header(
        replace(header, proof_ids_root=proof_ids_root, proofs_root=proofs_root, body_hash=body_hash)
    )


def _with_evidence(batch: Batch, piece: Evidence) -> Batch:
    return _batch_of(batch.header, BatchContent(batch.proofs, batch.last_commit, (piece,), batch.operations))


def _height_of(message: Message) -> int:
    return message.first.height if isinstance(message, Evidence) else message.height


def _later_by(batch: Batch, milliseconds: int) -> Batch:
    header = replace(batch.header, timestamp_ms=batch.header.timestamp_ms + milliseconds)
    return Batch(header, batch.proofs, batch.last_commit, batch.evidence, batch.operations)


def _with_other_signature(proof: SignedProof) -> SignedProof:
    return proof._replace(signature=bytes([proof.signature[0] ^ 1]) + proof.signature[1:])


def _place(message: PreVote | PreCommit) -> tuple[int, int]:
    return message.height, message.round
