"""Whose proof is offered next, and who may still come in: accounts with a history, and newcomers by their sources.

Accounts cost nothing, so proofs of throw-away ones could take every place and every turn. What does cost something is
a history: an account that is in the ledger has earned, or was given, something before. So accounts with a history
stand in one line; the others, newcomers, in a line for each *source*, which is the client's address or the peer that
their first waiting proof came through. Turns go alternately to the accounts with a history and to newcomers, among
newcomers to one source after the other, and in a line to one account after the other. Who has had a turn goes to the
end. While one side has nobody, the other has all turns. Either side may hold `SIDE_PLACES` of all places at most, so
that some are left for the other, and one source `SOURCE_PLACES` with its newcomers' proofs.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from math import ceil
from typing import TypeVar

from step_node.explanations.details import Details
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

SIDE_PLACES = Fraction(3, 4)
"""What part of all places accounts with a history may hold, and newcomers: a quarter is left for the others."""

SOURCE_PLACES = Fraction(1, 4)
"""What part of all places newcomers from one source may hold."""

T = TypeVar("T")


class Turns:
    """See the module's docstring. Every operation but `in_turn` takes the same time however many wait."""

    def __init__(self, places: int) -> None:
        self.set_places(places)
        self._proofs = 0
        self._known: OrderedDict[bytes, int] = OrderedDict()
        """How many proofs of each account with a history wait; whose turn is next comes first."""
        self._newcomers: OrderedDict[str, OrderedDict[bytes, int]] = OrderedDict()
        """The same of newcomers, by source; the source whose turn is next comes first."""
        self._line_of: dict[bytes, str] = {}
        """In which source's line a newcomer stands."""
        self._source_of: dict[bytes, str] = {}
        """Through whom each newcomer's proof has come, by proof id; not always its account's first."""
        self._by_source: Counter[str] = Counter()

    def set_places(self, places: int) -> None:
        """There are so many places from now on, for those that come."""
        self._side_places = ceil(places * SIDE_PLACES)
        self._source_places = ceil(places * SOURCE_PLACES)

    @property
    def newcomers(self) -> int:
        """How many of the waiting proofs are newcomers'."""
        return len(self._source_of)

    def check(self, proof: SignedProof, newcomer_from: str | None) -> Refusal | None:
        """Why there is no place for `proof`, or None. `newcomer_from`: its source, if its account has no history."""
        if newcomer_from is None or proof.account in self._known:
            if self._proofs - self.newcomers < self._side_places:
                return None
            return Refusal(
                RefusalCode.MEMPOOL_FULL,
                f"{self._side_places} proofs of accounts that are in the ledger wait already; try again in seconds",
                Details(
                    gate="known_places",
                    value=self._proofs - self.newcomers,
                    limit=self._side_places,
                    unit="proofs",
                ),
            )
        if self._by_source[newcomer_from] >= self._source_places:
            return Refusal(
                RefusalCode.RATE_LIMITED,
                f"account: it is not in the ledger yet, and {self._source_places} proofs of such accounts wait that"
                f" came from where this one does ({newcomer_from}); try again in a few seconds",
                Details(
                    gate="source_places",
                    value=self._by_source[newcomer_from],
                    limit=self._source_places,
                    unit="proofs",
                ),
            )
        if self.newcomers >= self._side_places:
            return Refusal(
                RefusalCode.MEMPOOL_FULL,
                f"account: it is not in the ledger yet, and {self._side_places} proofs of such accounts wait already;"
                " try again in a few seconds",
                Details(gate="newcomer_places", value=self.newcomers, limit=self._side_places, unit="proofs"),
            )
        return None

    def add(self, proof: SignedProof, newcomer_from: str | None) -> None:
        """A proof waits now. If its account stands among the newcomers and is none, `note_history` comes first."""
        account = proof.account
        self._proofs += 1
        if newcomer_from is None or account in self._known:
            self._known[account] = self._known.get(account, 0) + 1
            return
        line = self._newcomers.setdefault(self._line_of.setdefault(account, newcomer_from), OrderedDict())
        line[account] = line.get(account, 0) + 1
        self._source_of[proof.proof_id] = newcomer_from
        self._by_source[newcomer_from] += 1

    def remove(self, proof: SignedProof) -> None:
        """A proof waits no longer: its account has had a turn."""
        account = proof.account
        self._proofs -= 1
        if account in self._known:
            _end_turn(self._known, account)
            return
        line_of = self._line_of[account]
        line = self._newcomers[line_of]
        _end_turn(line, account)
        self._forget_source(proof.proof_id)
        if account not in line:
            del self._line_of[account]
        if line:
            self._newcomers.move_to_end(line_of)
        else:
            del self._newcomers[line_of]

    def is_newcomer(self, account: bytes) -> bool:
        """Whether proofs of `account` wait, and it has no history."""
        return account in self._line_of

    def note_history(self, account: bytes, proof_ids: Iterable[bytes]) -> None:
        """`account`, which was a newcomer, has a history by now; `proof_ids` are all its proofs that wait."""
        line_of = self._line_of.pop(account)
        line = self._newcomers[line_of]
        self._known[account] = line.pop(account)
        if not line:
            del self._newcomers[line_of]
        for proof_id in proof_ids:
            self._forget_source(proof_id)

    def in_turn(self, waiting: Callable[[bytes], Iterator[T]]) -> Iterator[T]:
        """What `waiting` gives of each account, as the turns go. Lazily: no more is looked at than is taken."""
        known = _round_robin(map(waiting, self._known))
        newcomers = _round_robin(_round_robin(map(waiting, line)) for line in self._newcomers.values())
        return _round_robin((known, newcomers))

    def _forget_source(self, proof_id: bytes) -> None:
        source = self._source_of.pop(proof_id)
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]


def _end_turn(line: OrderedDict[bytes, int], account: bytes) -> None:
    line[account] -= 1
    if line[account]:
        line.move_to_end(account)
    else:
        del line[account]


def _round_robin(turns: Iterable[Iterator[T]]) -> Iterator[T]:
    """One of each in turn, until none has any left."""
    while True:
        still: list[Iterator[T]] = []
        for turn in turns:
            for one in turn:
                yield one
                still.append(turn)
                break
        if not still:
            return
        turns = still
