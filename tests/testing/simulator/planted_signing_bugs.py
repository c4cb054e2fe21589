"""Bugs to plant in what a validator signs, and when; `planted_bugs.py` has them in its table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from consensus import machine, recollection
from consensus.inputs import OwnMessagesRecovered
from consensus.progress import Progress
from consensus.reasons import Ignored
from consensus.state import ConsensusState
from step_node.engine.doppelganger import DoppelgangerWatch
from step_node.engine.lock_file import LockFile
from step_node.engine.own_key import OwnKey
from step_node.engine.participation import Told
from step_node.home.paths import NodeHome
from step_node.network.outlook import NetworkOutlook
from step_node.signing import guard


def signs_while_behind() -> Sequence[AbstractContextManager[Any]]:
    """Nobody is ever ahead, as far as consensus is told."""
    return [
        patch.object(NetworkOutlook, "shown", property(lambda _self: 0)),
        patch.object(NetworkOutlook, "is_catching_up", property(lambda _self: False)),
        patch.object(NetworkOutlook, "told", lambda _self: Told(peers=1)),
    ]


def refusal_that_waits_for_ever() -> Sequence[AbstractContextManager[Any]]:
    """What was signed is never sent again."""

    async def recovered(_self: OwnKey, _state: ConsensusState) -> OwnMessagesRecovered | None:
        return None

    return [patch.object(OwnKey, "recovered", recovered)]


def lock_forgotten_with_the_log() -> Sequence[AbstractContextManager[Any]]:
    """The votes come back from the signing history, and are sent again; the lock does not."""
    original = recollection.own_messages_recovered

    def recovered(progress: Progress, event: OwnMessagesRecovered) -> Ignored | None:
        locked_hash, locked_round = progress.state.locked_hash, progress.state.locked_round
        ignored = original(progress, event)
        progress.update(locked_hash=locked_hash, locked_round=locked_round)
        return ignored

    return [patch.object(machine, "own_messages_recovered", recovered)]


def proof_of_lock_not_kept() -> Sequence[AbstractContextManager[Any]]:
    """The history alone brings the lock back, and nobody has the batch any more."""
    return [patch.object(LockFile, "kept", lambda _self, _height: None)]


def takes_another_keys_history() -> Sequence[AbstractContextManager[Any]]:
    """A home has one history, and whatever key stands beside it is believed to be its."""
    return [
        patch.object(NodeHome, "signing_history", lambda self, _validator: self.data / "signing_history.log"),
        patch.object(guard, "_header", lambda _chain_id, _validator: b"whoever's"),
    ]


def deaf_watch() -> Sequence[AbstractContextManager[Any]]:
    """Nobody listens for another process with the own key."""
    return [patch.object(DoppelgangerWatch, "hear", lambda *_: None)]
