"""What must hold at every moment of every history, checked from outside, with as little of the node's code as can be.

The node's own checks are what is under test, so a quorum is counted here anew, a proof is looked at anew, and value is
added up anew. Whatever breaks stops the history at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.inputs import LogWritten, encode_input
from consensus.messages import Commit, Evidence, Message, PreCommit, ProofBatch
from consensus.state import without_batch
from consensus.wire import decode
from mesh import contains
from step_node.batch.batch import Batch, MalformedBatch, decode_batch
from step_node.chain.chain import COMMIT_BYTES_MAX
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import BadSignature, digest, recover_address
from step_node.ledger.commitment import EMPTY_LANES, commit_changes, state_root
from step_node.ledger.records import ChainRecord, Record
from step_node.ledger.state import StateHead
from step_node.ledger.validators import validator_set
from step_node.operations.operation import UpgradeOperation, decode_operation, signing_line
from step_node.proofs.proof import SignedProof
from step_node.signing.guard import SigningGuard
from step_node.storage.interface import FinalisedBatch
from step_node.storage.memory import MemoryStorage
from step_node.testing.simulator.clock import SimulatedClock
from step_node.testing.simulator.rules_checker import RulesChecker
from step_node.testing.simulator.slashing_checker import SlashingChecker
from step_node.testing.simulator.trace import Trace


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and by whom."""

    promise: str
    who: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.who}: {self.what}"


def members_of(head: StateHead) -> list[bytes]:
    """The addresses of the validators of the height after `head`, sorted."""
    return sorted(validator.address for validator in validator_set(head.validators))


class Agreed:
    """What all honest nodes have agreed on at one height, as the first of them finalised it."""

    def __init__(self, finalised: FinalisedBatch, batch: Batch) -> None:
        self.batch = batch
        self.chain: ChainRecord = finalised.changes.head.chain
        self.root = state_root(finalised.changes.head.lanes)
        self.next_members = members_of(finalised.changes.head)


class Invariants:
    """Watches the honest validators. `on_violation` is told of the first thing that breaks."""

    def __init__(
        self, genesis: Genesis, honest: set[bytes], trace: Trace, on_violation: Callable[[Violation], None]
    ) -> None:
        self._genesis = genesis
        self.honest = honest
        """The addresses of all keys that honest validators have had."""
        self._trace = trace
        self._on_violation = on_violation
        head = genesis.head()
        self._first_members = members_of(head)
        self._genesis_chain = head.chain
        self._genesis_root = state_root(head.lanes)
        self._agreed: dict[int, Agreed] = {}
        self._signed: dict[tuple[bytes, str, int, int], str] = {}
        self._highest_signed: dict[bytes, int] = {}
        self._seen_on_disk: set[tuple[str, int, int, str]] = set()
        self._nonces: set[tuple[bytes, str]] = set()
        self._last_proofs: dict[bytes, int] = {}
        self.slashing_checker = SlashingChecker(genesis, honest, lambda promise, what: self.broken(promise, "", what))
        self._rules_checker = RulesChecker(genesis, self.broken)
        self.honest_clocks: list[SimulatedClock] = []
        """The clocks of all honest machines."""
        self.violations: list[Violation] = []
        self.double_signs = 0
        self.equivocations: set[tuple[bytes, int, int, str]] = set()
        """(validator, height, round, kind) of which an honest node has reported evidence."""

    @property
    def height(self) -> int:
        """The highest height that an honest node has finalised."""
        return len(self._agreed)

    def agreed_proofs(self, *, height_max: int | None = None) -> set[bytes]:
        """The ids of all finalised proofs, or of those up to a height."""
        return {
            proof.proof_id
            for height, agreed in self._agreed.items()
            if height_max is None or height <= height_max
            for proof in agreed.batch.proofs
        }

    def broken(self, promise: str, who: str, what: str) -> None:
        """Report a violation."""
        violation = Violation(promise, who, what)
        self.violations.append(violation)
        self._trace.note(who, f"VIOLATION {promise}: {what}")
        self._on_violation(violation)

    # --- signing ------------------------------------------------------------------------------------------------

    def signed(
        self,
        who: str,
        key: bytes,
        kind: str,
        height: int,
        round_number: int,
        line: str,
        *,
        shown: int,
        newest_rules: int,
    ) -> None:
        """The honest node `who` has used the key of the validator `key`; to it had been shown that height `shown` is
        final, and it knows the rules up to version `newest_rules`."""
        self._rules_checker.used(who, height, newest_rules, "signs")
        if height <= shown:
            self.broken("an honest validator signs only at the head", who, f"{line!r}; {shown} is final")
        self._highest_signed[key] = max(height, self._highest_signed.get(key, 0))
        earlier = self._signed.setdefault((key, kind, height, round_number), line)
        if earlier != line:
            self.double_signs += 1
            self.broken("an honest validator signs once", who, f"signed {line!r} after {earlier!r}")

    def opened(self, who: str, key: bytes, guard: SigningGuard) -> None:
        """An honest node starts with this history of its key: what the key has signed is in it, or it is doubtful."""
        known, signed = max(guard.height, guard.floor), self._highest_signed.get(key, 0)
        if known < signed and not guard.is_doubtful:
            what = f"0x{key.hex()[:8]} has signed at height {signed}; its history ends at {known}"
            self.broken("a key starts with its own history, or with a word", who, what)

    def sent(self, who: str, own_address: bytes, message: Message, log_on_disk: bytes) -> None:
        """An honest validator is about to send a message; `log_on_disk` is what a crash would leave of its log."""
        if isinstance(message, Evidence):
            accused = message.first
            self.equivocations.add((accused.signer, accused.height, accused.round, accused.type))
            return
        if isinstance(message, Commit) or message.signer != own_address:
            return
        kind = getattr(message, "kind", "")
        key = (who, message.height, message.round, message.type + kind)
        if key in self._seen_on_disk:
            return
        self._seen_on_disk.add(key)
        unsigned = without_batch(message) if isinstance(message, ProofBatch) else message
        fields = {name: getattr(unsigned, name) for name in unsigned.__dataclass_fields__ if name != "type"}
        entry = encode_input(LogWritten(type(unsigned)(**{**fields, "signature": b""})))
        # Unsigned it stands there where it is intended, in an entry of its own or in the state that a compacted log
        # begins with; with its signature, where it was recovered from the signing history.
        intended = entry.partition(b"entry")[2].rpartition(b"\xa4type")[0]
        if intended not in log_on_disk and message.signature not in log_on_disk:
            self.broken("a vote is on disk before it is on the wire", who, f"{message.type} of round {message.round}")

    # --- finalising ---------------------------------------------------------------------------------------------

    def finalised(self, who: str, finalised: FinalisedBatch, storage: MemoryStorage, *, newest_rules: int) -> None:
        """An honest node, which knows the rules up to version `newest_rules`, has stored a batch."""
        stored = finalised.stored
        height = stored.height
        self._trace.note(who, f"finalises {height} {stored.batch_hash.hex()[:8]}")
        agreed = self._agreed.get(height)
        if agreed is None:
            agreed = self._first_to_finalise(who, finalised)
            if agreed is None:
                return
        self._rules_checker.used(who, height, newest_rules, "finalises")
        if agreed.batch.hash != stored.batch_hash:
            self.broken(
                "agreement",
                who,
                f"height {height}: {stored.batch_hash.hex()[:8]}, others {agreed.batch.hash.hex()[:8]}",
            )
            return
        self._check_commit(who, decode(Commit, stored.commit, bytes_max=COMMIT_BYTES_MAX), height, stored.batch_hash)
        root = state_root(finalised.changes.head.lanes)
        if root != agreed.root:
            self.broken("equal state roots", who, f"height {height}: {root.hex()[:8]}, others {agreed.root.hex()[:8]}")
        self._check_value(who, storage, finalised.changes.head.chain)

    def restored(self, who: str, head: StateHead) -> None:
        """An honest node has joined from a snapshot."""
        height, root = head.chain.height, state_root(head.lanes)
        self._trace.note(who, f"joins at height {height} from a snapshot")
        agreed = self._agreed.get(height)
        if agreed is None:
            self.broken("agreement", who, f"joins at height {height}, which nobody has finalised")
        elif agreed.root != root:
            self.broken("equal state roots", who, f"height {height}: {root.hex()[:8]}, others {agreed.root.hex()[:8]}")

    def banned(self, who: str, whom: str) -> None:
        """The honest node `who` bans the honest node `whom`."""
        self.broken("no honest node bans an honest node", who, f"bans {whom}")

    def _first_to_finalise(self, who: str, finalised: FinalisedBatch) -> Agreed | None:
        stored = finalised.stored
        if stored.height != len(self._agreed) + 1:
            self.broken("validity", who, f"height {stored.height} is finalised before {len(self._agreed) + 1}")
            return None
        try:
            batch = decode_batch(stored.batch)
        except MalformedBatch as error:
            self.broken("validity", who, f"height {stored.height}: {error}")
            return None
        before = self._agreed.get(stored.height - 1)
        for what in self._faults_of(batch, before):
            self.broken("validity", who, f"height {stored.height}: {what}")
        self._check_time(who, batch)
        agreed = Agreed(finalised, batch)
        self._check_minted(who, agreed, before, sum(receipt.reward_ustep for receipt in finalised.receipts))
        signers = () if batch.last_commit is None else tuple(one.validator for one in batch.last_commit.signatures)
        self.slashing_checker.finalised(
            batch,
            finalised.changes.head,
            signers=signers,
            members_before=() if before is None else self._members(stored.height - 1),
            members=self._members(stored.height),
        )
        self._rules_checker.finalised(
            who, batch, finalised.changes.head, finalised.receipts, self._members(stored.height)
        )
        self._agreed[stored.height] = agreed
        return agreed

    def _faults_of(self, batch: Batch, before: Agreed | None) -> list[str]:
        header = batch.header
        faults = []
        members = self._members(header.height)
        expected_proposer = members[(header.height + header.round) % len(members)]
        if header.proposer != expected_proposer:
            faults.append("its proposer was not the one whose turn it was")
        if header.previous_batch_hash != (self._genesis.hash if before is None else before.batch.hash):
            faults.append("it does not follow the batch before")
        if header.state_root != (self._genesis_root if before is None else before.root):
            faults.append("its state root is not that of the batch before")
        if before is not None and header.timestamp_ms <= before.batch.header.timestamp_ms:
            faults.append("it is not later than the batch before")
        if before is None:
            faults.extend(["it has a last commit"] if batch.last_commit is not None else [])
        elif batch.last_commit is None:
            faults.append("it has no last commit")
        else:
            self._check_commit("last_commit", batch.last_commit, header.height - 1, before.batch.hash)
        for proof in batch.proofs:
            faults.extend(self._faults_of_proof(proof, header.timestamp_ms))
        for operation in map(decode_operation, batch.operations):
            line = signing_line(operation, self._genesis.chain_id)
            may_sign = [operation.owner, *([operation.validator] if isinstance(operation, UpgradeOperation) else [])]
            if _signer_of(line, operation.signature) not in may_sign:
                faults.append("an operation is not signed by its owner, nor, of an upgrade, by its validator")
        if not (batch.proofs or batch.evidence or batch.operations):
            faults.append("it is empty")
        return faults

    def _faults_of_proof(self, proof: SignedProof, batch_time_ms: int) -> list[str]:
        parameters = self._genesis.parameters
        faults = []
        if _recovered(proof.proof_id, proof.signature) != proof.account:
            faults.append("a proof is not signed by its account")
        if not contains(proof.triangle, proof.lat, proof.lon):
            faults.append("a proof's point is not in its triangle")
        if (proof.account, proof.nonce) in self._nonces:
            faults.append(f"a nonce is used twice: {proof.nonce}")
        self._nonces.add((proof.account, proof.nonce))
        last_ms = self._last_proofs.get(proof.account)
        if last_ms is not None and proof.timestamp_ms - last_ms < parameters.moratorium_ms:
            faults.append("two proofs of one account are too close")
        self._last_proofs[proof.account] = proof.timestamp_ms
        ahead_ms = proof.timestamp_ms - batch_time_ms
        if not -parameters.proof_max_age_ms <= ahead_ms <= parameters.clock_drift_ms:
            faults.append("a proof is too old or from the future")
        return faults

    def _check_time(self, who: str, batch: Batch) -> None:
        """A liar's batch has had a quorum, and those of it who are honest have compared its time with their clocks."""
        members, header = self._members(batch.header.height), batch.header
        liars = [member for member in members if member not in self.honest]
        if header.proposer not in liars:
            return
        judges = _quorum(len(members)) - len(liars)
        latest_ms = sorted((clock.latest_ms for clock in self.honest_clocks), reverse=True)[judges - 1]
        ahead_ms = header.timestamp_ms - latest_ms
        if ahead_ms > self._genesis.parameters.batch_ahead_ms:
            what = f"height {header.height}: {ahead_ms} ms ahead of all clocks of honest validators but {judges - 1}"
            self.broken("no liar sets the chain's time ahead", who, what)

    def _members(self, height: int) -> list[bytes]:
        """The validators of a height, whose turns go in this order."""
        before = self._agreed.get(height - 1)
        return self._first_members if before is None else before.next_members

    def _check_commit(self, who: str, commit: Commit, height: int, batch_hash: bytes) -> None:
        members = self._members(height)
        quorum = _quorum(len(members))
        signers = set()
        for entry in commit.signatures:
            line = PreCommit(height, commit.round, batch_hash, entry.validator).signing_line(self._genesis.chain_id)
            is_own = _signer_of(line, entry.signature) == entry.validator
            if is_own and entry.validator in members:
                signers.add(entry.validator)
        if len(signers) < quorum:
            self.broken("a finalised batch has a quorum", who, f"height {height}: {len(signers)} of {quorum}")

    # --- value --------------------------------------------------------------------------------------------------

    def _check_minted(self, who: str, agreed: Agreed, before: Agreed | None, rewards_ustep: int) -> None:
        earlier = self._genesis_chain if before is None else before.chain
        signers = agreed.batch.last_commit
        pool_ustep = earlier.paid_ustep * self._genesis.parameters.validator_reward_bps // 10_000 if signers else 0
        minted_ustep = agreed.chain.minted_ustep - earlier.minted_ustep
        if minted_ustep != rewards_ustep + pool_ustep:
            self.broken("conservation", who, f"height {agreed.chain.height}: minted {minted_ustep} µSTEP")

    def _check_value(self, who: str, storage: MemoryStorage, chain: ChainRecord) -> None:
        balances_ustep = sum(account.balance_ustep for account in storage._accounts.values())
        if balances_ustep != chain.balances_ustep:
            self.broken("conservation", who, f"height {chain.height}: accounts hold {balances_ustep} µSTEP")
        if chain.minted_ustep != balances_ustep + chain.stakes_ustep + chain.burnt_ustep:
            self.broken("conservation", who, f"height {chain.height}: {chain}")

    def check_store(self, who: str, storage: MemoryStorage) -> None:
        """At the end: the commitment of a store's head is that of its records, computed from nothing."""
        head = storage._head
        if head is None:
            return
        records: list[Record] = [
            *storage._accounts.values(),
            *storage._triangles.values(),
            *storage._nonces.values(),
            *head.records,
        ]
        if commit_changes(EMPTY_LANES, removed=(), added=records) != head.lanes:
            self.broken("equal state roots", who, f"height {head.chain.height}: the root is not that of the records")

    def slashed(self, storages: Sequence[MemoryStorage]) -> int:
        """How many validators have been slashed, in the furthest of these stores."""
        return max((len({one.validator for one in storage._slashings}) for storage in storages), default=0)


def _quorum(members: int) -> int:
    return next(count for count in range(members + 1) if 3 * count >= 2 * members)


def _signer_of(line: str, signature: bytes) -> bytes:
    return _recovered(digest(line), signature)


def _recovered(digest_: bytes, signature: bytes) -> bytes:
    """Who has signed, or b"" if nobody has."""
    try:
        return recover_address(digest_, signature)
    except BadSignature:
        return b""
