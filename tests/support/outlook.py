"""How far the chain has come elsewhere, as a test says."""

from __future__ import annotations

from dataclasses import dataclass

from step_node.engine.participation import Told


@dataclass
class SetOutlook:
    """At first, three members of the set have told that nobody is ahead."""

    shown: int = 0
    is_catching_up: bool = False
    peers: int = 3
    members: int = 3
    promised: int = 0

    def told(self) -> Told:
        return Told(self.peers, self.members, self.promised)
