"""Bugs to plant in what a validator signs, and when; `planted_bugs.py` has them in its table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from consensus import recollection
from consensus.inputs import OwnMessagesRecovered
from consensus.lock import ProofOfLock
from consensus.messages import SignedMessage
from consensus.progress import Progress
from consensus.state import ConsensusState
from step_node.engine.doppelganger import DoppelgangerWatch
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


def lock_that_the_history_shows_forgotten() -> Sequence[AbstractContextManager[Any]]:
    """Round and step come back from the history, the lock does not."""

    def lock_again(_progress: Progress, _own: list[SignedMessage], _proof: ProofOfLock | None) -> None: ...

    return [patch.object(recollection, "_lock_again", lock_again)]


def recovered_only_when_refused() -> Sequence[AbstractContextManager[Any]]:
    """A jump of rounds signs past the lock before anything is refused."""
    refused, recovered = OwnKey._refused, OwnKey.recovered
    asked_by_refusal: list[OwnKey] = []

    async def told_apart(
        self: OwnKey, error: Any, message: SignedMessage, state: ConsensusState
    ) -> OwnMessagesRecovered | None:
        asked_by_refusal.append(self)
        try:
            return await refused(self, error, message, state)  # type: ignore[return-value]  # it gives nothing else
        finally:
            asked_by_refusal.remove(self)

    async def only_then(self: OwnKey, state: ConsensusState) -> OwnMessagesRecovered | None:
        return await recovered(self, state) if self in asked_by_refusal else None

    return [patch.object(OwnKey, "_refused", told_apart), patch.object(OwnKey, "recovered", only_then)]


def takes_another_keys_history() -> Sequence[AbstractContextManager[Any]]:
    """A home has one history, and whatever key stands beside it is believed to be its."""
    return [
        patch.object(NodeHome, "signing_history", lambda self, _validator: self.data / "signing_history.log"),
        patch.object(guard, "_header", lambda _chain_id, _validator: b"whoever's"),
    ]


def deaf_watch() -> Sequence[AbstractContextManager[Any]]:
    """Nobody listens for another process with the own key."""
    return [patch.object(DoppelgangerWatch, "hear", lambda *_: None)]
