"""Whether who contradicts itself is punished for it, once, and nobody else: counted outside of the ledger.

Stakes and what is burnt are reckoned anew, from genesis and the evidence, operations and absences in each finalised
batch. Of the ledger's own records one thing is taken: when a key has been replaced.

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

from collections.abc import Callable, Collection

from consensus.messages import Evidence, EvidenceKind, Message, PreCommit, PreVote, ProofBatch
from step_node.batch.batch import Batch
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import BadSignature, address_of, digest, recover_address
from step_node.ledger import validators as validator_rules
from step_node.ledger.records import ValidatorState
from step_node.ledger.state import StateHead
from step_node.operations.operation import Register, RotateKey, Unbond, Withdraw, decode_operation

WITNESSES = 2
"""Honest nodes that an equivocation must have reached."""

Place = tuple[bytes, int, int, str]
"""(signer, height, round, type of message)."""


class SlashingChecker:
    """See the module's docstring. `broken(promise, what)` is told of what does not hold."""

    def __init__(self, genesis: Genesis, honest: set[bytes], broken: Callable[[str, str], None]) -> None:
        self._chain_id = genesis.chain_id
        self._parameters = genesis.parameters
        self._honest = honest
        self._broken = broken
        self._stakes_ustep = {one.address: one.stake_ustep for one in genesis.head().validators}
        self._burnt_ustep = 0
        self._settled: dict[bytes, tuple[int, int]] = {}
        """Who has a stake -> (the height of the batch that slashed it last, what offences up to there have cost)."""
        self._answered: dict[bytes, int] = {}
        """Key -> the height up to which it has answered for its equivocations, as far as it still could."""
        self._next_keys: dict[bytes, bytes] = {}
        """Validators whose key is to be replaced, and by whose."""
        self._successors: dict[bytes, bytes] = {}
        """Keys that were replaced, and by which."""
        self._absences: dict[bytes, tuple[int, int]] = {}
        """Validator -> (the batch time since which it is missing from commits, in how many batches)."""
        self.jailed_for_absence: set[bytes] = set()
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
            if len(names) >= WITNESSES and max(self._answered.get(signer, 0), self._floor_height) < height
        ]

    # --- what is done about it ----------------------------------------------------------------------------------

    def finalised(
        self,
        batch: Batch,
        after: StateHead,
        *,
        signers: Collection[bytes],
        members_before: Collection[bytes],
        members: Collection[bytes],
    ) -> None:
        """A batch is finalised, and leaves the state `after`.

        `signers` have pre-committed the height before, whose set is `members_before` (empty for genesis); `members` is
        that of the batch's own height.
        """
        height = batch.header.height
        self._count_absences(batch, signers, members_before, members)
        for piece in batch.evidence:
            self._punish(piece, height)
        for operation in map(decode_operation, batch.operations):
            match operation:
                case Register():
                    address = address_of(operation.public_key)
                    self._stakes_ustep[address] = self._stakes_ustep.get(address, 0) + operation.stake_ustep
                    self._absences.pop(address, None)
                    self._end_bonding(address)
                case Withdraw():
                    self._stakes_ustep.pop(operation.validator, None)
                    self._end_bonding(operation.validator)
                case RotateKey():
                    self._next_keys[operation.validator] = address_of(operation.public_key)
                case Unbond():
                    pass
        self._replace_keys(after)
        self._floor_height = after.chain.evidence_floor_height
        stakes_ustep = {one.address: one.stake_ustep for one in after.validators if one.stake_ustep}
        expected_ustep = {address: stake_ustep for address, stake_ustep in self._stakes_ustep.items() if stake_ustep}
        if stakes_ustep != expected_ustep or after.chain.burnt_ustep != self._burnt_ustep:
            self._broken(
                "an offence costs what the protocol says, once",
                f"height {height}: burnt {after.chain.burnt_ustep} µSTEP in all, not {self._burnt_ustep}; stakes"
                f" {_shown(stakes_ustep)}, not {_shown(expected_ustep)}",
            )

    def _count_absences(
        self, batch: Batch, signers: Collection[bytes], members_before: Collection[bytes], members: Collection[bytes]
    ) -> None:
        now_ms, parameters = batch.header.timestamp_ms, self._parameters
        for who in members_before:
            if who in signers:
                self._absences.pop(who, None)
                continue
            if who not in self._stakes_ustep and who not in self._successors:
                continue  # It has withdrawn.
            since_ms, batches = self._absences.get(who, (now_ms, 0))
            self._absences[who] = since_ms, batches + 1
            is_long = now_ms - since_ms > parameters.offline_ms and batches + 1 >= validator_rules.OFFLINE_BATCHES_MIN
            if is_long and who in members:
                self._burn(who, parameters.slash_offline_bps, batch.header.height, batch.header.height - 1)
                self.jailed_for_absence.add(who)

    def _replace_keys(self, after: StateHead) -> None:
        """Take over from the records which keys have been replaced, and which never will be."""
        records = {one.address: one for one in after.validators}
        for old, new in tuple(self._next_keys.items()):
            record = records.get(old)
            if record is not None and record.state is ValidatorState.ROTATED:
                self._stakes_ustep[new] = self._stakes_ustep.pop(old)
                self._successors[old] = new
                if old in self._absences:
                    self._absences[new] = self._absences.pop(old)
                self._settled[new] = self._settled.pop(old, (0, 0))
                self._answered[new] = self._answered.get(old, 0)
                del self._next_keys[old]
            elif record is None or not record.next_public_key:
                del self._next_keys[old]

    def _punish(self, piece: Evidence, height: int) -> None:
        accused, offence_height = piece.first.signer, piece.first.height
        if accused in self._honest:
            self._broken("an honest validator is never slashed", f"height {height}: {piece!r:.200}")
        elif not self._proves(piece):
            self._broken("validity", f"height {height}: evidence proves nothing: {piece!r:.200}")
        is_contradiction = piece.kind in (EvidenceKind.DOUBLE_SIGN, EvidenceKind.CONFLICTING_PROPOSAL)
        share_bps = self._parameters.slash_double_sign_bps if is_contradiction else self._parameters.slash_invalid_bps
        if not self._burn(accused, share_bps, height, offence_height):
            self._broken("an offence costs what the protocol says, once", f"height {height}: {piece!r:.200}")

    def _burn(self, accused: bytes, share_bps: int, height: int, offence_height: int) -> int:
        """Whoever has the stake now answers for what any of its keys has done; what it costs.

        Of all that was done up to a slash, the gravest counts, and it is a share of what was staked before that slash.
        """
        holder = accused
        while holder in self._successors:
            holder = self._successors[holder]
        settled_height, settled_ustep = self._settled.get(holder, (0, 0))
        if offence_height > settled_height:
            settled_height, settled_ustep = height, 0
        stake_ustep = self._stakes_ustep.get(holder, 0)
        amount_ustep = max(0, (stake_ustep + settled_ustep) * share_bps // 10_000 - settled_ustep)
        self._stakes_ustep[holder] = stake_ustep - amount_ustep
        self._burnt_ustep += amount_ustep
        self._settled[holder] = settled_height, settled_ustep + amount_ustep
        self._absences.pop(holder, None)
        if share_bps == self._parameters.slash_double_sign_bps:
            for key in self._keys_of(holder):
                self._answered[key] = settled_height
        return amount_ustep

    def _end_bonding(self, holder: bytes) -> None:
        """Its stake is withdrawn, or it begins anew: what it has been slashed for is all it can be slashed for."""
        settled_height, _ = self._settled.pop(holder, (0, 0))
        for key in self._keys_of(holder):
            self._answered[key] = max(self._answered.get(key, 0), settled_height)

    def _keys_of(self, holder: bytes) -> list[bytes]:
        """Its key, and those that it has replaced."""
        keys = [holder]
        for key in keys:
            keys += [old for old, new in self._successors.items() if new == key]
        return keys

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


def _shown(stakes_ustep: dict[bytes, int]) -> str:
    return " ".join(f"{address.hex()[:6]}:{stakes_ustep[address]}" for address in sorted(stakes_ustep))
