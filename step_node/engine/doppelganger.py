"""The doppelganger watch: does anybody else sign with this validator's key?

Two processes with one key contradict one another sooner or later, and half the stake is gone. What this validator
signs is in its signing history before anybody else can see it. So a message of the height that the history is about, or
of a later one, that carries this validator's signature and is not in the history was signed by somebody else.

The watch goes on for as long as the node runs. A careful operator has the node listen for a while before it signs
anything at all (`start --check-doppelganger`). On an idle chain there is nothing to hear.
"""

from __future__ import annotations

from consensus.messages import Commit, Evidence, Message
from step_node.crypto.eip191 import digest
from step_node.engine.signed_value import signed_value
from step_node.errors import StepNodeError
from step_node.signing.guard import SigningGuard
from step_node.signing.history import ROUNDS_KEPT, SignedRecord


class DoppelgangerFound(StepNodeError):
    """Another process signs with this validator's key. This one must not sign any more."""

    exit_status = 4


class DoppelgangerWatch:
    """Compares what is heard with what `guard` says was signed here."""

    def __init__(self, *, address: bytes, chain_id: str, guard: SigningGuard) -> None:
        self._address = address
        self._chain_id = chain_id
        self._guard = guard

    def hear(self, message: Message) -> None:
        """Look at a message whose signature has been checked. Raises `DoppelgangerFound`."""
        if isinstance(message, Commit | Evidence) or message.signer != self._address:
            return
        history = self._guard.history()
        height = history[0].height if history else 0
        if message.height < height:
            return  # The history of that height is forgotten.
        kind, value = signed_value(message)
        line = message.signing_line(self._chain_id)
        signed = SignedRecord(message.height, message.round, kind, digest(line) + value)
        if signed in history:
            return
        forgotten_round = max((record.round for record in history), default=0) - ROUNDS_KEPT
        if message.height == height and message.round <= forgotten_round:
            return
        raise DoppelgangerFound(
            f"another process signs with the key of validator 0x{self._address.hex()}: a {message.type} for height"
            f" {message.height}, round {message.round} was heard that this node has not signed. Find the other process"
            " and stop it for good before you start this one again; both together would lose half the stake."
        )
