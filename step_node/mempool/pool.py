"""The mempool: proofs that have passed every gate and wait to be finalised.

It is bounded in proofs; deduplicated by proof id and by (account, nonce); and fair: the proposer is offered one proof
of each account in turn, as `mempool.turns` says, and one account may hold `ACCOUNT_PROOFS_MAX` places. What
is in it stays until the chain has decided: a proof leaves when it is finalised, or when the finalised state shows that
it never can be. Nothing is evicted to make room: a full mempool refuses newcomers, since a client was told that its
proof is accepted.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from step_node.clock import monotonic_ms
from step_node.explanations.details import Details
from step_node.ledger.records import Account, LastProof, Triangle
from step_node.ledger.state_gates import check_movement, clicks_max, is_timely
from step_node.mempool.movement import with_speed
from step_node.mempool.seconds import BySecond
from step_node.mempool.turns import Turns
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

PROOFS_MAX = 50_000
"""The default bound; the configuration may set another."""

ACCOUNT_PROOFS_MAX = 64
"""With the default moratorium an account can have 43 valid proofs within the window; further ones are refused."""

TRIANGLE_CLICKS = "triangle_clicks"
"""The name of the limit that `check_clicks` asks for, in details."""


@dataclass(frozen=True, slots=True)
class MempoolStatistics:
    """What `/status` and `/metrics` show of the mempool."""

    proofs: int
    accounts: int
    proofs_max: int


class _Waiting(NamedTuple):
    """A proof, how many had come before it, and when it came."""

    number: int
    arrived_at_ms: int
    proof: SignedProof


class Mempool:
    """See the module's docstring. Not thread-safe: it lives on the event loop.

    `monotonic_ms` is what waiting is measured by, never the wall clock: that one may be set back by an hour, and one
    proof that has arrived before would then hold up all later ones for as long.
    """

    def __init__(self, *, proofs_max: int = PROOFS_MAX, monotonic_ms: Callable[[], int] = monotonic_ms) -> None:
        self._proofs_max = proofs_max
        self._monotonic_ms = monotonic_ms
        self._by_id: dict[bytes, _Waiting] = {}
        """In order of arrival."""
        self._arrivals = 0
        self._by_second = BySecond()
        self._by_account: dict[bytes, list[SignedProof]] = {}
        """Each account's waiting proofs, by timestamp."""
        self._by_triangle: dict[int, set[bytes]] = {}
        self._turns = Turns(proofs_max)

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, proof_id: object) -> bool:
        return proof_id in self._by_id

    def get(self, proof_id: bytes) -> SignedProof | None:
        """The waiting proof with this id, already verified."""
        waiting = self._by_id.get(proof_id)
        return None if waiting is None else waiting.proof

    def ids(self) -> Iterator[bytes]:
        """The ids of all waiting proofs, longest-waiting first."""
        return iter(self._by_id)

    def set_places(self, proofs_max: int) -> None:
        """Have another bound from now on. What waits stays, also where it is more."""
        self._proofs_max = proofs_max
        self._turns.set_places(proofs_max)

    def statistics(self) -> MempoolStatistics:
        """Counts for operators."""
        return MempoolStatistics(len(self._by_id), len(self._by_account), self._proofs_max)

    def check(self, proof: SignedProof, parameters: Parameters, *, newcomer_from: str | None = None) -> Refusal | None:
        """Why `proof` cannot join those that wait, or None. Its own presence is no reason.

        `newcomer_from` is the source that it comes through, if its account is not in the ledger yet.
        """
        if proof.proof_id in self._by_id:
            return None
        queue = self._by_account.get(proof.account)
        if queue is not None:
            if any(waiting.nonce == proof.nonce for waiting in queue):
                return Refusal(
                    RefusalCode.NONCE_REPLAY,
                    f"nonce: another waiting proof of this account uses {proof.nonce!r}",
                    Details(value=proof.nonce),
                )
            if len(queue) >= ACCOUNT_PROOFS_MAX:
                return Refusal(
                    RefusalCode.RATE_LIMITED,
                    f"account: {ACCOUNT_PROOFS_MAX} proofs of this account wait already; wait until one is final",
                    Details(gate="account_places", value=len(queue), limit=ACCOUNT_PROOFS_MAX, unit="proofs"),
                )
            refusal = self._check_neighbours(proof, queue, parameters)
            if refusal is not None:
                return refusal
        if len(self._by_id) >= self._proofs_max:
            return Refusal(
                RefusalCode.MEMPOOL_FULL,
                f"{self._proofs_max} proofs wait already; try again in a few seconds",
                Details(gate="places", value=len(self._by_id), limit=self._proofs_max, unit="proofs"),
            )
        return self._turns.check(proof, newcomer_from)

    def check_clicks(self, proof: SignedProof, triangle: Triangle | None) -> Refusal | None:
        """Why a client cannot be promised that `proof` waits, or None: those that wait may use its triangle up.

        `triangle` is the record as it stands, if there is one. Not asked of what peers pass on: nothing is promised of
        that, and two nodes' clients may have filled the same triangle.
        """
        waiting = self.waiting_in(proof.triangle.integer)
        clicks = 0 if triangle is None else triangle.clicks
        last_click = clicks_max(proof.triangle.level)
        if proof.proof_id in self._by_id or clicks + waiting < last_click:
            return None
        return Refusal(
            RefusalCode.RATE_LIMITED,
            f"triangleId: {waiting} proofs wait in this triangle, which has {clicks} clicks and ends at its"
            f" {last_click}th; try again when they are final",
            Details(gate=TRIANGLE_CLICKS, value=clicks + waiting, limit=last_click, unit="clicks", waiting=waiting),
        )

    def waiting_in(self, triangle: int) -> int:
        """How many proofs wait in this triangle (its integer form)."""
        return len(self._by_triangle.get(triangle, ()))

    def last_waiting(self, account: bytes) -> LastProof | None:
        """Where and when the latest waiting proof of `account` was made."""
        queue = self._by_account.get(account)
        return _place_of(queue[-1]) if queue else None

    def add(self, proof: SignedProof, *, newcomer_from: str | None = None) -> bool:
        """Let a proof in that was checked with this `newcomer_from`. False if it was there already."""
        if proof.proof_id in self._by_id:
            return False
        if newcomer_from is None:
            self.note_history([proof.account])
        self._by_id[proof.proof_id] = _Waiting(self._arrivals, self._monotonic_ms(), proof)
        self._arrivals += 1
        self._by_second.add(proof.proof_id, proof.timestamp_ms)
        insort(self._by_account.setdefault(proof.account, []), proof, key=_timestamp_ms)
        self._by_triangle.setdefault(proof.triangle.integer, set()).add(proof.proof_id)
        self._turns.add(proof, newcomer_from)
        return True

    def remove(self, proof_id: bytes) -> SignedProof | None:
        """Take a proof out; None if it was not there."""
        waiting = self._by_id.pop(proof_id, None)
        if waiting is None:
            return None
        proof = waiting.proof
        self._by_second.remove(proof_id, proof.timestamp_ms)
        queue = self._by_account[proof.account]
        queue.remove(proof)
        if not queue:
            del self._by_account[proof.account]
        in_triangle = self._by_triangle[proof.triangle.integer]
        in_triangle.discard(proof_id)
        if not in_triangle:
            del self._by_triangle[proof.triangle.integer]
        self._turns.remove(proof)
        return proof

    def note_history(self, accounts: Iterable[bytes]) -> None:
        """These accounts are in the ledger now, and newcomers no longer."""
        for account in accounts:
            if self._turns.is_newcomer(account):
                self._turns.note_history(account, [proof.proof_id for proof in self._by_account[account]])

    def waited_ms(self, proof_id: bytes) -> int | None:
        """How long a proof has waited here; None if it does not."""
        waiting = self._by_id.get(proof_id)
        return None if waiting is None else self._monotonic_ms() - waiting.arrived_at_ms

    def touching(self, accounts: Iterable[bytes], triangles: Iterable[int]) -> list[SignedProof]:
        """The waiting proofs whose account or triangle is among these: those a finalised batch may have decided."""
        found: dict[bytes, SignedProof] = {}
        for account in accounts:
            queue = self._by_account.get(account)
            if queue is not None:
                found.update((proof.proof_id, proof) for proof in queue)
        for triangle in triangles:
            found.update((proof_id, self._by_id[proof_id].proof) for proof_id in self._by_triangle.get(triangle, ()))
        return list(found.values())

    def older_than(self, timestamp_ms: int) -> list[SignedProof]:
        """The waiting proofs whose own timestamp lies before this, longest-waiting first."""
        # Asked after each batch, and nearly always for none: not all of them are looked at.
        older = [self._by_id[proof_id] for proof_id in self._by_second.between(0, timestamp_ms)]
        return [waiting.proof for waiting in sorted(older, key=_number)]

    def candidates(self, limit: int, *, time_ms: int, parameters: Parameters) -> list[SignedProof]:
        """Up to `limit` proofs for a batch of that time: one of each account in turn, in order of their timestamps."""

        def timely(account: bytes) -> Iterator[SignedProof]:
            return (one for one in self._by_account[account] if is_timely(one, time_ms, parameters))

        return list(islice(self._turns.in_turn(timely), limit))

    def work_due_in_ms(self, *, time_ms: int, parameters: Parameters) -> int | None:
        """How long until a batch should be proposed: once enough proofs wait that are timely in a batch of that time,
        or one of those has waited for the batch interval. 0 is now; None while nothing timely waits."""
        # Asked many times a second, and what the clock has passed by stays until it is settled: only the timely ones,
        # in the sense of `check_clock`, are looked at, and no more than `batch_target_proofs` of them.
        oldest_ms, newest_ms = time_ms - parameters.proof_max_age_ms, time_ms + parameters.clock_drift_ms
        timely = list(islice(self._by_second.between(oldest_ms, newest_ms + 1), parameters.batch_target_proofs))
        if len(timely) == parameters.batch_target_proofs:
            return 0
        if not timely:
            return None
        longest_waiting = min((self._by_id[proof_id] for proof_id in timely), key=_number)
        waited_ms = self._monotonic_ms() - longest_waiting.arrived_at_ms
        return max(0, parameters.batch_interval_ms - waited_ms)

    def _check_neighbours(self, proof: SignedProof, queue: list[SignedProof], parameters: Parameters) -> Refusal | None:
        """The movement gates against the account's own waiting proofs just before and just after this one."""
        at = bisect_right(queue, proof.timestamp_ms, key=_timestamp_ms)
        if at > 0:
            before = queue[at - 1]
            refusal = check_movement(proof, _as_if_finalised(before), parameters)
            if refusal is not None:
                return with_speed(refusal, proof, _place_of(before))
        if at < len(queue):
            after = queue[at]
            refusal = check_movement(after, _as_if_finalised(proof), parameters)
            if refusal is not None:
                return with_speed(_seen_from_before(refusal, proof, after), proof, _place_of(after))
        return None


def _number(waiting: _Waiting) -> int:
    return waiting.number


def _timestamp_ms(proof: SignedProof) -> int:
    return proof.timestamp_ms


def _place_of(proof: SignedProof) -> LastProof:
    return LastProof(proof.timestamp_ms, proof.lat, proof.lon)


def _as_if_finalised(proof: SignedProof) -> Account:
    return Account(proof.account, last_proof=_place_of(proof))


def _seen_from_before(refusal: Refusal, proof: SignedProof, after: SignedProof) -> Refusal:
    """The refusal of `after`, which waits already, if `proof` came first: as one of `proof`, which is told it."""
    elapsed_ms = proof.timestamp_ms - after.timestamp_ms
    details = refusal.details._replace(elapsed_ms=elapsed_ms, last_proof_at_ms=after.timestamp_ms)
    if refusal.code is RefusalCode.MORATORIUM:
        return Refusal(
            refusal.code,
            f"timestamp: {-elapsed_ms} ms before a proof of this account that waits already; at least"
            f" {details.limit} ms must lie between two",
            details._replace(value=elapsed_ms),
        )
    return Refusal(
        refusal.code,
        f"lat, lon: too far from a proof of this account that waits already, made {-elapsed_ms} ms after this one, for"
        f" {details.limit} m/s",
        details,
    )
