"""Whatever the guard is asked, and whenever it crashes, it never authorises what could contradict what it has.

Hypothesis plays the operator, the chain and the disk: it asks for signatures, raises floors, doubts and settles, merges
the histories of other machines, forgets, and crashes. A crash keeps what was synced, and of an append that was being
written when it came any number of bytes. The model remembers only what was authorised, and what has been promised.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from step_node.signing import guard as guard_module
from step_node.signing import history as history_module
from step_node.signing.guard import DoubleSignRefused, SigningGuard, SigningRule
from step_node.signing.history import HistoriesContradict, HistoryContent, SignedRecord, SigningKind

KEY = b"k" * 20
HEIGHTS, ROUNDS = st.integers(1, 6), st.integers(0, 4)
KINDS = st.sampled_from((SigningKind.PRE_VOTE, SigningKind.PRE_COMMIT))
VALUES = st.sampled_from((b"a", b"b", b""))
RECORDS = st.builds(SignedRecord, HEIGHTS, ROUNDS, KINDS, VALUES)
CONTENTS = st.builds(
    HistoryContent,
    st.lists(RECORDS, max_size=4, unique_by=lambda record: record[:3]).map(tuple),
    st.integers(0, 4),
    st.none() | st.just("of elsewhere"),
)


class GuardModel(RuleBasedStateMachine):
    """The guard, and beside it what must hold of it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "history"
        self.patch = pytest.MonkeyPatch()
        self.authorised: dict[tuple[int, int, SigningKind], bytes] = {}
        """Of this history since it was last forgotten: settling after that is the chain's word."""
        self.floor = 0
        self.is_doubtful = False
        self.guard = self.opened()

    @initialize(entries_max=st.integers(1, 8), rounds_kept=st.integers(1, 5))
    def sizes(self, entries_max: int, rounds_kept: int) -> None:
        """How soon it compacts, and what it then keeps."""
        self.patch.setattr(guard_module, "ENTRIES_MAX", entries_max)
        self.patch.setattr(history_module, "ROUNDS_KEPT", rounds_kept)

    def opened(self) -> SigningGuard:
        return SigningGuard.open(self.path, chain_id="step-test", validator=KEY)

    @rule(record=RECORDS)
    def authorise(self, record: SignedRecord) -> None:
        """Ask for a signature."""
        broken = self.rule_broken_by(record)
        assert (broken is SigningRule.DOUBT) == self.is_doubtful
        assert (broken is SigningRule.FLOOR) == (not self.is_doubtful and record.height <= self.floor)
        if broken is not None:
            return
        assert self.authorised.setdefault((record.height, record.round, record.kind), record.value) == record.value

    def rule_broken_by(self, record: SignedRecord) -> SigningRule | None:
        """None: it is authorised."""
        try:
            self.guard.authorise(*record)
        except DoubleSignRefused as refused:
            return refused.rule
        return None

    @rule(record=RECORDS)
    def authorise_what_is_due(self, record: SignedRecord) -> None:
        """At a height above everything, with no doubt, nothing is refused: the guard is no stone wall."""
        height = max([self.floor, self.guard.height, *(key[0] for key in self.authorised)]) + 1
        if not self.is_doubtful and height <= 30:
            self.guard.authorise(height, record.round, record.kind, record.value)
            self.authorised[(height, record.round, record.kind)] = record.value

    @rule(height=st.integers(0, 6))
    def raise_floor(self, height: int) -> None:
        """The chain shows what is final."""
        self.guard.raise_floor(height)
        self.floor = max(self.floor, height)

    @rule()
    def doubt(self) -> None:
        """The chain shows more than the history knows."""
        self.guard.doubt("a copy was put back")
        self.is_doubtful = True

    @rule(floor=st.integers(0, 6))
    def settle(self, floor: int) -> None:
        """The chain has gone past whatever the key can have signed."""
        self.guard.settle(floor)
        self.floor, self.is_doubtful = max(self.floor, floor), False

    @rule(content=CONTENTS)
    def merge(self, content: HistoryContent) -> None:
        """Another machine's history is imported."""
        before = self.guard.content()
        try:
            self.guard.merge(content)
        except HistoriesContradict:
            assert self.guard.content() == before
            return
        self.floor = max(self.floor, content.floor)
        self.is_doubtful = self.is_doubtful or content.doubt is not None
        for record in self.guard.history():
            # Signed elsewhere: as good as authorised here, unless something else was that is forgotten, and then it is
            # at the floor or below or among the forgotten rounds.
            self.authorised.setdefault(record[:3], record.value)

    @rule()
    def forget(self) -> None:
        """It cannot be true: replaced by a doubt, which is settled above everything that was signed."""
        highest = max((key[0] for key in self.authorised), default=0)
        self.guard.forget("it cannot be true")
        self.guard.settle(max(highest, self.floor))
        self.floor, self.is_doubtful = max(highest, self.floor), False

    @rule()
    def reopen(self) -> None:
        """A clean end, and a start."""
        before = self.guard.content()
        self.guard.close()
        self.guard = self.opened()
        assert self.guard.content() == before

    @rule(record=RECORDS, torn=st.integers(0, 200))
    def crash_while_it_authorises(self, record: SignedRecord, torn: int) -> None:
        """The disk takes some bytes of an append, or all of them, and nobody is answered."""
        before, whole = self.guard.content(), self.path.read_bytes()
        self.rule_broken_by(record)
        written = self.path.read_bytes()
        self.guard.close()
        if written.startswith(whole):
            self.path.write_bytes(whole + written[len(whole) :][:torn])
        self.guard = self.opened()
        now = self.guard.content()
        if record in now.records and record not in before.records:
            # Bound by it, though nobody was told: what the model knows of it later is at most this.
            self.authorised.setdefault(record[:3], record.value)

    @invariant()
    def says_what_was_promised(self) -> None:
        """The guard's own account of itself."""
        assert self.guard.floor == self.floor
        assert self.guard.is_doubtful == self.is_doubtful
        assert self.guard.is_doubtful == (self.guard.doubt_reason is not None)

    def teardown(self) -> None:
        """Leave nothing."""
        self.guard.close()
        self.patch.undo()
        self.directory.cleanup()


TestGuardModel = GuardModel.TestCase
TestGuardModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
