"""Bugs to plant in how rules, and a validator's key, change at a height; `planted_bugs.py` has them in its table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from step_node.engine import finalising
from step_node.ledger import execution
from step_node.ledger.protocol_record import ProtocolRecord
from step_node.ledger.rules import RULES, Rules
from step_node.ledger.upgrades import UpgradeSheet
from step_node.node.succession import Succession
from step_node.offload import offload_of_task
from step_node.testing.simulator import host as host_module
from step_node.testing.simulator.releases import newest_rules_of_task

ONE_NODE = "v0"


def _is_at_the_one_node() -> bool:
    host = getattr(offload_of_task.get(), "__self__", None)
    return getattr(host, "name", "") == ONE_NODE


def _change_off_by(heights: int, *, everywhere: bool) -> Sequence[AbstractContextManager[Any]]:
    original = UpgradeSheet.end_batch

    def end_batch(self: UpgradeSheet) -> None:
        agreed = self.record.agreed
        if agreed is None or not (everywhere or _is_at_the_one_node()):
            original(self)
        elif agreed.activation_height + heights == self._height + 1:
            self.record = ProtocolRecord(in_force=agreed)

    return [patch.object(UpgradeSheet, "end_batch", end_batch)]


def a_node_changes_rules_early() -> Sequence[AbstractContextManager[Any]]:
    return _change_off_by(-1, everywhere=False)


def a_node_changes_rules_late() -> Sequence[AbstractContextManager[Any]]:
    return _change_off_by(1, everywhere=False)


def all_change_rules_late() -> Sequence[AbstractContextManager[Any]]:
    """All nodes agree about it, and are wrong."""
    return _change_off_by(1, everywhere=True)


def goes_on_under_unknown_rules() -> Sequence[AbstractContextManager[Any]]:
    """Who does not know the rules of the next height judges it by the last that it knows."""

    def rules_of(protocol: ProtocolRecord) -> Rules:
        return RULES[min(protocol.version, newest_rules_of_task.get())]

    return [patch.object(module, "rules_of", rules_of) for module in (finalising, execution, host_module)]


def next_key_not_taken() -> Sequence[AbstractContextManager[Any]]:
    """A node that runs stays with the key that has been replaced."""
    return [patch.object(Succession, "take", lambda *_: None)]
