"""What a history has gone through, as a search sees it: the steps of the honest nodes' consensus, alone and together.

Two kinds of features. A *step* is one node's: where it stood (phase, round, whether it was locked and had a valid
batch), what came in, and what came of it (ignored and why, or which effects). A *constellation* is all nodes' at once:
how far behind the furthest each is, and in which phase, round and lock. Bugs of consensus are histories through rare
constellations; so a history that has reached a new one is worth starting from.
"""

from __future__ import annotations

from consensus.inputs import Input, MessageReceived
from consensus.machine import Transition
from consensus.state import ConsensusState

ROUNDS_TOLD_APART = 3
"""Rounds from here on count as one."""
HEIGHTS_TOLD_APART = 2

Feature = tuple[object, ...]


class Coverage:
    """The features of one history. Only what honest nodes do is looked at."""

    def __init__(self) -> None:
        self.steps: set[Feature] = set()
        self.constellations: set[Feature] = set()
        self._stands: dict[str, tuple[int, Feature]] = {}

    def applied(self, who: str, before: ConsensusState, item: Input, transition: Transition) -> None:
        """The machine of the honest node `who` has made a step."""
        after = transition.state
        name = item.message.type if isinstance(item, MessageReceived) else type(item).__name__
        effects = tuple(type(effect).__name__ for effect in transition.effects)
        self.steps.add((_stand(before), before.own_address in before.validators, name, transition.ignored, effects))
        stand = after.height, _stand(after)
        if self._stands.get(who) != stand:
            self._stands[who] = stand
            top = max(height for height, _ in self._stands.values())
            self.constellations.add(
                tuple(
                    sorted((min(top - height, HEIGHTS_TOLD_APART), *where) for height, where in self._stands.values())
                )
            )

    def refused(self, kind: str, round_number: int) -> None:
        """The guard of an honest node has refused to sign."""
        self.steps.add(("refused", kind, min(round_number, ROUNDS_TOLD_APART)))


def _stand(state: ConsensusState) -> Feature:
    return (
        state.phase.value,
        min(max(state.round, -1), ROUNDS_TOLD_APART),
        state.locked_hash is not None,
        state.valid_hash is not None and state.valid_hash != state.locked_hash,
    )
