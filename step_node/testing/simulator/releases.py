"""Two releases of the program in one world: the shipped one, and the one before it, which lacks the newest rules.

The table of rules is one for a whole program, and here all nodes are in one. So for the length of a history it is
replaced by one that has, for each task, what the release knows that the task's node runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from step_node.ledger import rules
from step_node.ledger.rules import RULES, Rules
from step_node.node.health import upgrade_watch

NEWEST_RULES: Final = max(RULES)
OLDER_RULES: Final = NEWEST_RULES - 1

newest_rules_of_task: ContextVar[int] = ContextVar("newest_rules_of_task", default=NEWEST_RULES)
"""The newest version of the rules that the release knows which runs in this task and in those that it starts."""


class RulesOfTask(Mapping[int, Rules]):
    """`RULES`, as far as the release of whoever looks has them."""

    def __getitem__(self, version: int) -> Rules:
        if version > newest_rules_of_task.get():
            raise KeyError(version)
        return RULES[version]

    def __iter__(self) -> Iterator[int]:
        return (version for version in RULES if version <= newest_rules_of_task.get())

    def __len__(self) -> int:
        return sum(1 for _ in self)


@contextmanager
def rules_by_release() -> Iterator[None]:
    """Have each node know the rules of its own release, for the length of a history."""
    modules = [vars(rules), vars(upgrade_watch)]
    for names in modules:
        names["RULES"] = RulesOfTask()
    try:
        yield
    finally:
        for names in modules:
            names["RULES"] = RULES
