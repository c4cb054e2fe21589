"""What a gossiped message of consensus is worth: whether it is passed on, and whether who sent it is at fault.

It is judged *before* it is passed on, so garbage goes no further than the first honest node. The neighbour that handed
it over has to answer for it, and that may be an honest node which stands elsewhere on the chain. So two questions are
kept apart (docs/adr/0013-honest-faults.md):

- What follows from the bytes, and from what never changes (genesis, the chain's name, the protocol's limits), is the
  same for every node. A message that fails there was passed on by nobody honest, and costs points.
- What follows from the head, the set of validators or the height is known differently by honest nodes. A message that
  fails there goes no further, and costs nothing: it is `UNVERIFIABLE`, or `STALE` where it is over.

What is free must be cheap, since anybody can send it: the second kind of question is asked first, and the first
signature is recovered only of a message that may be of use. Repetition is bounded where a message holds many
signatures, which is in commits. How many messages a neighbour may send at all is bounded by its share (`p2p.limits`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from consensus.commit import InvalidCommit, check_commit_signers
from consensus.evidence import InvalidEvidence
from consensus.messages import Commit, Evidence, ProofBatch, SignedMessage
from consensus.wire import WireError
from p2p.limits import Rate, Share
from p2p.network import Fault
from step_node.batch.batch import MalformedBatch, identity_in
from step_node.chain.chain import Chain
from step_node.crypto.eip191 import BadSignature
from step_node.crypto.lines import recover_signer
from step_node.ledger.offences import Offence, OffenceKind
from step_node.network.protocols import GossipedMessage, ProposalOutline, decode_gossiped

HEIGHTS_AHEAD_MAX = 1
"""A vote, or any message that one validator signs, of a height further ahead of the next one is of no use yet: the
driver would not keep it, and whoever is that far behind catches up by sync."""
HEIGHTS_BEHIND_MAX = 1
"""One of a height further behind the next one is of no use any more. That of the head's own height may be a late
pre-commit, and who is one height behind needs it."""

OWN_MESSAGES_MAX = 64
"""Messages under the own key that wait for their reader; a further one is dropped, since one tells enough."""

SAID_SECONDS = 1.0
"""For so long a further commit of the same batch says nothing new, whoever has signed it. Each of a hundred validators
sends one for every height; and lost ones are said again after a second."""
SAID_COMMITS_MAX = 64
"""Commits remembered for that; beyond it the oldest is verified again when it comes again."""

ELSEWHERE_COMMITS_RATE = Rate(messages_per_second=4, messages_burst=16, bytes_per_second=1, bytes_burst=1)
"""Commits of other heights than the next and the head's own whose signatures are verified. There is one height a
second; beyond it somebody is replaying the chain, at up to a hundred signatures a message."""


class Refused(ValueError):
    """A gossiped message that must go no further, and what its sender has done wrong.

    `told_height` is the height that an honest sender must have finalised to pass it on; 0 if it tells nothing of that.
    """

    def __init__(self, fault: Fault, reason: str, *, told_height: int = 0) -> None:
        super().__init__(reason)
        self.fault = fault
        self.told_height = told_height


@dataclass(frozen=True, slots=True)
class ConsensusGossipMessage:
    """A message of consensus; of a proposal the batch is still to be decoded or filled (`network.proposals`).

    `proven` is False for a commit or evidence of another height than the next: it is for peers that are elsewhere.
    """

    message: GossipedMessage
    proven: bool


class ConsensusJudge:
    """Judges messages as the node on `chain` sees them now. Lives on the event loop.

    `clock` is in seconds and never goes back.
    """

    def __init__(
        self,
        chain: Chain,
        *,
        own_address: bytes | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._chain = chain
        self._own_address = own_address
        self._own_send, self.own_messages = trio.open_memory_channel[SignedMessage](OWN_MESSAGES_MAX)
        """Each message heard that `own_address` has signed, of any height: that another process signs with the key must
        be noticed by a node that is behind, too."""
        self._clock = clock
        self._said: OrderedDict[tuple[int, bytes], float] = OrderedDict()
        """(height, batch hash) of commits that were verified -> when."""
        self._elsewhere = Share(ELSEWHERE_COMMITS_RATE, clock)

    def use_key(self, address: bytes) -> None:
        """Hear what this key (its address) has signed, in place of the one before."""
        self._own_address = address

    def judge(self, data: bytes) -> ConsensusGossipMessage:
        """The message in `data`, with its signatures checked. Raises `Refused`."""
        try:
            message = decode_gossiped(data)
        except WireError as error:
            raise Refused(Fault.MALFORMED, str(error)) from error
        match message:
            case Commit():
                return self._judge_commit(message)
            case Evidence():
                return self._judge_evidence(message)
            case ProposalOutline():
                self._judge_signed(message.with_batch(b""))
                _check_identity("PROPOSAL_OUTLINE", message.outline, message.batch_hash)
            case _:
                self._judge_signed(message)
                if isinstance(message, ProofBatch):
                    _check_identity("PROOF_BATCH", message.batch, message.batch_hash)
        return ConsensusGossipMessage(message, proven=True)

    def _judge_signed(self, message: SignedMessage) -> None:
        chain, kind = self._chain, message.type
        if message.signer == self._own_address:
            self._check_signature(message)
            with suppress(trio.WouldBlock):
                self._own_send.send_nowait(message)
        if message.height > chain.next_height + HEIGHTS_AHEAD_MAX:
            raise Refused(
                Fault.UNVERIFIABLE,
                f"{kind}.height: {message.height}, and {chain.next_height} is the next",
                told_height=message.height - 1 - HEIGHTS_AHEAD_MAX,
            )
        if message.height < chain.next_height - HEIGHTS_BEHIND_MAX:
            raise Refused(Fault.STALE, f"{kind}.height: {message.height} is over; {chain.next_height} is the next")
        if not chain.may_sign(message.signer, message.height):
            raise Refused(
                Fault.UNVERIFIABLE, f"{kind}: 0x{message.signer.hex()} is no validator of height {message.height} here"
            )
        self._check_signature(message)

    def _check_signature(self, message: SignedMessage) -> None:
        try:
            signer = recover_signer(message.signing_line(self._chain.chain_id), message.signature)
        except BadSignature as error:
            raise Refused(Fault.BAD_SIGNATURE, f"{message.type}: {error}") from error
        if signer != message.signer:
            raise Refused(Fault.BAD_SIGNATURE, f"{message.type}: is not signed by 0x{message.signer.hex()}")

    def _judge_commit(self, commit: Commit) -> ConsensusGossipMessage:
        """Of the next height it is proven. Of another height the set may have been another; if a quorum of the set that
        is known here has signed it, it shows how far the chain has come, or that it has forked."""
        chain, height = self._chain, commit.height
        if height < chain.head.chain.height and chain.recent_hash(height) == commit.batch_hash:
            raise Refused(Fault.STALE, f"{commit.type}: height {height} is final, with this batch")
        # An honest node has checked who signed before it passes a commit on, but against the set that it knows.
        try:
            check_commit_signers(commit, chain.validators_of(height) or chain.validators)
        except InvalidCommit as error:
            raise Refused(Fault.UNVERIFIABLE, f"{commit.type}: {error}") from error
        said, now = (height, commit.batch_hash), self._clock()
        if now < self._said.get(said, -SAID_SECONDS) + SAID_SECONDS:
            raise Refused(Fault.STALE, f"{commit.type}: that this batch is final at height {height} was said just now")
        if chain.validators_of(height) is None and not self._elsewhere.take(0):
            raise Refused(Fault.UNVERIFIABLE, f"{commit.type}: too many of heights that are elsewhere")
        try:
            chain.check_commit(commit, height=height, batch_hash=commit.batch_hash)
        except InvalidCommit as error:
            raise Refused(Fault.BAD_SIGNATURE, f"{commit.type}: {error}") from error
        self._said[said] = now
        self._said.move_to_end(said)
        while len(self._said) > SAID_COMMITS_MAX:
            self._said.popitem(last=False)
        return ConsensusGossipMessage(commit, proven=height == chain.next_height)

    def _judge_evidence(self, evidence: Evidence) -> ConsensusGossipMessage:
        """What the next batch could not punish here, and of whom nothing is known, goes no further: who can use it has
        it said again."""
        chain, first = self._chain, evidence.first
        refusal = chain.offence_refusal(Offence(OffenceKind(evidence.kind.value), first.signer, first.height, b""))
        if refusal is not None:
            raise Refused(Fault.UNVERIFIABLE, f"{evidence.type}: {refusal}")
        try:
            # By the chain's parameters, which are those of genesis at every height (protocol.md §4).
            chain.offence_in(evidence)
        except InvalidEvidence as error:
            raise Refused(Fault.BAD_SIGNATURE, f"{evidence.type}: {error}") from error
        return ConsensusGossipMessage(evidence, proven=first.height == chain.next_height)


def _check_identity(kind: str, batch: bytes, batch_hash: bytes) -> None:
    """That the header of a batch, or of its outline, is the one proposed. Its body is decoded by who reads the message,
    off the event loop."""
    try:
        identity = identity_in(batch)
    except MalformedBatch as error:
        raise Refused(Fault.MALFORMED, f"{kind}.batch: {error}") from error
    if identity != batch_hash:
        raise Refused(Fault.INVALID_DATA, f"{kind}.batch_hash: is not the identity of the batch")
