"""Whether who contradicts itself is punished for it, once, and nobody else: counted outside of the ledger.

Stakes and what is burnt are reckoned anew, from genesis and the evidence in each finalised batch.

**When an equivocation has reached a node.** Two different votes, or two different proposals, of one validator, height
and round have reached an honest node when its consensus loop has taken in both of them in one life of the node, and
has come to the end of what it does about the second: each while the node was at that height and still undecided, in a
round of which it keeps the votes (ROUNDS_BEHIND_MAX and ROUNDS_AHEAD_MAX of `consensus.state`), from a member of that
height's set, a proposal from whoever's turn it is, and with a disk that was not full meanwhile. A message that is
lost, dies with the node in a crash, or comes when the height is over, has not reached it: nothing in the protocol
keeps those. From two such nodes on, the culprit must be slashed in the end, unless the height has come to lie below
the chain's evidence floor.
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.messages import Evidence, EvidenceKind, Message, PreCommit, PreVote, ProofBatch
from step_node.batch.batch import Batch
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import BadSignature, digest, recover_address
from step_node.ledger.state import StateHead

WITNESSES = 2
"""Honest nodes that an equivocation must have reached."""

Place = tuple[bytes, int, int, str]
"""(signer, height, round, type of message)."""


class SlashingChecker:
    """See the module's docstring. `broken(promise, what)` is told of what does not hold."""

    def __init__(self, genesis: Genesis, honest: frozenset[bytes], broken: Callable[[str, str], None]) -> None:
        self._chain_id = genesis.chain_id
        self._parameters = genesis.parameters
        self._honest = honest
        self._broken = broken
        self._stakes_ustep = {one.address: one.stake_ustep for one in genesis.head().validators}
        self._burnt_ustep = 0
        self._slashed_at: dict[bytes, int] = {}
        self._floor_height = 0
        self._first_said: dict[tuple[str, int, Place], tuple[bytes | None, int]] = {}
        self._witnesses: dict[Place, set[str]] = {}

    # --- what reaches whom --------------------------------------------------------------------------------------

    def took_in(self, who: str, life: int, message: Message) -> None:
        """The honest node `who`, in its life of that number, has dealt with a message that counts, to the end."""
        if not isinstance(message, ProofBatch | PreVote | PreCommit):
            return
        place = (message.signer, message.height, message.round, message.type)
        says = (message.batch_hash, message.valid_round if isinstance(message, ProofBatch) else -1)
        if self._first_said.setdefault((who, life, place), says) != says:
            self._witnesses.setdefault(place, set()).add(who)

    def unpunished(self) -> list[str]:
        """Equivocations that must still end in a slash."""
        return [
            f"0x{signer.hex()[:8]} {kind} height {height} round {number}, seen by {' '.join(sorted(names))}"
            for (signer, height, number, kind), names in self._witnesses.items()
            if len(names) >= WITNESSES and max(self._slashed_at.get(signer, 0), self._floor_height) < height
        ]

    # --- what is done about it ----------------------------------------------------------------------------------

    def finalised(self, batch: Batch, after: StateHead) -> None:
        """A batch is finalised, and leaves the state `after`."""
        height = batch.header.height
        for piece in batch.evidence:
            self._punish(piece, height)
        self._floor_height = after.chain.evidence_floor_height
        stakes_ustep = {one.address: one.stake_ustep for one in after.validators}
        if stakes_ustep != self._stakes_ustep or after.chain.burnt_ustep != self._burnt_ustep:
            self._broken(
                "an offence costs what the protocol says, once",
                f"height {height}: burnt {after.chain.burnt_ustep} µSTEP in all, not {self._burnt_ustep}",
            )

    def _punish(self, piece: Evidence, height: int) -> None:
        accused, offence_height = piece.first.signer, piece.first.height
        if accused in self._honest:
            self._broken("an honest validator is never slashed", f"height {height}: {piece!r:.200}")
        elif not self._proves(piece):
            self._broken("validity", f"height {height}: evidence proves nothing: {piece!r:.200}")
        elif offence_height <= self._slashed_at.get(accused, 0):
            self._broken("an offence costs what the protocol says, once", f"height {height}: {piece!r:.200}")
        is_contradiction = piece.kind in (EvidenceKind.DOUBLE_SIGN, EvidenceKind.CONFLICTING_PROPOSAL)
        parameters = self._parameters
        share_bps = parameters.slash_double_sign_bps if is_contradiction else parameters.slash_invalid_bps
        amount_ustep = self._stakes_ustep.get(accused, 0) * share_bps // 10_000
        self._stakes_ustep[accused] = self._stakes_ustep.get(accused, 0) - amount_ustep
        self._burnt_ustep += amount_ustep
        self._slashed_at[accused] = height

    def _proves(self, piece: Evidence) -> bool:
        """Whether everything in it is signed by the accused, and the two halves, if it is two, differ."""
        messages = [piece.first] if piece.second is None else [piece.first, piece.second]
        try:
            signers = {recover_address(digest(one.signing_line(self._chain_id)), one.signature) for one in messages}
        except BadSignature:
            return False
        return signers == {piece.first.signer} and len({one.signing_line(self._chain_id) for one in messages}) == len(
            messages
        )
