"""What an import finds wrong: each discrepancy as a line of a file, and of each kind a count and some examples.

A database may have millions of them, so nothing else is kept.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, TextIO

EXAMPLES_MAX: Final = 3
"""Of each kind; the others are in the file."""

TEXT_CHARACTERS_MAX: Final = 120
"""Of an id or a value that stands in a discrepancy: a document may hold 16 MB, and what is beyond is cut off."""

RULE_CHARACTERS_MAX: Final = 400
"""Of a rule with the values that break it."""


class Kind(StrEnum):
    """The kinds of discrepancies, in the order in which they are told."""

    ACCOUNT_UNREADABLE = "account-unreadable"
    ACCOUNT_TWICE = "account-twice"
    TRIANGLE_MADE_UP = "triangle-made-up"
    TRIANGLE_IMPOSSIBLE = "triangle-impossible"
    TRIANGLE_WITHOUT_PARENT = "triangle-without-parent"
    CHILDREN_DIFFER = "children-differ"
    CLICKS_DIFFER = "clicks-differ"
    CLICKS_OUTSIDE = "clicks-outside"
    LAST_CLICK_UNREADABLE = "last-click-unreadable"
    EVENT_UNREADABLE = "event-unreadable"
    EVENT_AFTER_GENESIS = "event-after-genesis"
    EVENT_OF_NO_ACCOUNT = "event-of-no-account"
    EVENT_OUTSIDE = "event-outside"
    NONCE_TWICE = "nonce-twice"
    REWARD_UNREADABLE = "reward-unreadable"
    REWARDS_DIFFER = "rewards-differ"

    @property
    def effect(self) -> str:
        """What the import does about one."""
        return _EFFECTS[self]


_EFFECTS: Final = {
    Kind.ACCOUNT_UNREADABLE: "the account and its balance are left out",
    Kind.ACCOUNT_TWICE: "all accounts of this address are left out, with their balances",
    Kind.TRIANGLE_MADE_UP: "the triangle is left out: the mesh's own is untouched",
    Kind.TRIANGLE_IMPOSSIBLE: "the triangle is left out: the mesh's own is untouched",
    Kind.TRIANGLE_WITHOUT_PARENT: "the triangle is left out: it cannot exist yet",
    Kind.CHILDREN_DIFFER: "the mesh's own four children come into being",
    Kind.CLICKS_DIFFER: "the clicks of the triangle count, not those of its events",
    Kind.CLICKS_OUTSIDE: "the clicks of the triangle count, as what was paid for them stays in the balances",
    Kind.LAST_CLICK_UNREADABLE: "none: the chain keeps no such time",
    Kind.EVENT_UNREADABLE: "the event is left out: no position, no nonce, no reward of it counts",
    Kind.EVENT_AFTER_GENESIS: "the event is left out, but for its reward in the sums",
    Kind.EVENT_OF_NO_ACCOUNT: "the event is left out, but for its reward in the sums",
    Kind.EVENT_OUTSIDE: "its position does not count as the account's last; its nonce is used",
    Kind.NONCE_TWICE: "the nonce is used, as of its latest event",
    Kind.REWARD_UNREADABLE: "it counts as 0 in the sums",
    Kind.REWARDS_DIFFER: "the balance of the account counts, not the sum of its rewards",
}


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """What is wrong with which field of which document, and the rule."""

    kind: Kind
    collection: str
    document: str
    field: str
    rule: str

    def __str__(self) -> str:
        return f"{self.collection} {self.document}: {self.field}: {self.rule}"


class Unusable(ValueError):
    """A document that the import cannot use: which field breaks which rule."""

    def __init__(self, kind: Kind, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.kind = kind
        self.field = field
        self.rule = rule


class Report:
    """Takes discrepancies in. `file` gets each of them as one line of JSON."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        self.counts: Counter[Kind] = Counter()
        self.examples: dict[Kind, list[Discrepancy]] = {}

    def note(self, kind: Kind, collection: str, document: object, field: str, rule: str) -> None:
        """One more. Raises OSError."""
        found = Discrepancy(kind, collection, cut(document), field, cut(rule, RULE_CHARACTERS_MAX))
        self.counts[kind] += 1
        if self.counts[kind] <= EXAMPLES_MAX:
            self.examples.setdefault(kind, []).append(found)
        if self._file is not None:
            self._file.write(json.dumps(asdict(found), ensure_ascii=True) + "\n")


def cut(value: object, characters: int = TEXT_CHARACTERS_MAX) -> str:
    """A value of a document as text of a bounded length, in which nothing can speak to a terminal."""
    text = value[: characters + 1] if isinstance(value, str) else str(value)
    shown = text if len(text) <= characters else f"{text[:characters]}…"
    return shown if shown.isprintable() else ascii(shown)
