"""The doppelganger watch: does anybody else sign with this validator's key?

Two processes with one key contradict one another sooner or later, and half the stake is gone. What this validator
signs is in its signing history before anybody else can see it. So a message that carries this validator's signature,
that the history should know of and does not, was signed by somebody else.

What the history should know of: whatever came before the last that it has, and everything later, unless the key may
have signed that before this node knew: an older copy of the history may have been put back. That it learns from the
chain: until `begin` is called nothing later than the history is held against anybody, and then nothing of the heights
up to the one that was given. Messages of earlier heights say nothing, since the history of a height is forgotten with
the next one.

The watch hears everything that carries the key's signature (`network.gossip`), before anything else is asked about it,
and the commits of finalised batches; it goes on for as long as the node runs. It never stops a node by anybody's word:
only a signature of the own key that was not made here does. A careful operator has the node listen for a while before
it signs anything at all (`start --check-doppelganger`). On an idle chain there is nothing to hear.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import structlog
import trio

from consensus.messages import Commit, Evidence, Message, PreCommit, SignedMessage
from step_node.crypto.eip191 import BadSignature, digest
from step_node.crypto.lines import recover_signer
from step_node.errors import StepNodeError
from step_node.signing.history import ROUNDS_KEPT, SignedRecord
from step_node.signing.signed_value import signed_value
from step_node.signing.signer import SigningHistory

SAY_AGAIN_SECONDS = 60.0
"""How often at most the log says that the own key is heard and cannot be judged yet: anybody can repeat messages."""

log = structlog.get_logger("consensus")


class DoppelgangerFound(StepNodeError):
    """Another process signs with this validator's key. This one must not sign any more."""

    exit_status = 4


class Suspicion(Enum):
    """What a message under the own key says of another process."""

    NONE = "the history has it, or has forgotten its height or round"
    UNCLEAR = "the history does not have it, and need not"
    CERTAIN = "the history would have it"


class DoppelgangerWatch:
    """Compares what is heard with what `guard` says was signed here. Lives on the event loop."""

    def __init__(self, *, address: bytes, chain_id: str, guard: SigningHistory) -> None:
        self.address = address
        """Whose signature is listened for, 20 bytes."""
        self._chain_id = chain_id
        self._guard = guard
        self._known_height: int | None = None
        self.found: DoppelgangerFound | None = None
        """What `run` raises, once there is something."""
        self._found_event = trio.Event()
        self._said_at = -SAY_AGAIN_SECONDS

    @property
    def is_doubtful(self) -> bool:
        """Whether the history may lack what this very key has signed here: then a message proves nothing.

        So it may, too, where the key is in another process and this node is out of touch with it: then another node of
        the same operator may be the one that signs.
        """
        return self._guard.is_doubtful or not self._guard.is_current

    def begin(self, known_height: int) -> None:
        """What the key has signed up to this height is known from the chain: for later ones the history is complete.

        May be called again, with a greater height.
        """
        self._known_height = max(known_height, self._known_height or 0)

    def follow(self, address: bytes, guard: SigningHistory, *, known_height: int) -> None:
        """Listen for another key from now on, which this process signs with above `known_height`."""
        self.address, self._guard, self._known_height = address, guard, known_height

    def hear(self, message: Message) -> None:
        """Look at a message, whoever it is from. Neither raises nor waits; what it finds makes `run` raise."""
        if self.found is not None:
            return
        for signed in self._own_messages(message):
            suspicion = self._suspicion(signed)
            if suspicion is not Suspicion.NONE and self._is_signed(signed):
                self._note(signed, suspicion)

    async def run(self) -> None:
        """Wait for a doppelganger. Raises `DoppelgangerFound`."""
        await self._found_event.wait()
        if self.found is not None:
            raise self.found

    def _own_messages(self, message: Message) -> Iterator[SignedMessage]:
        match message:
            case Commit():
                for entry in message.signatures:
                    if entry.validator == self.address:
                        yield PreCommit(
                            message.height, message.round, message.batch_hash, entry.validator, entry.signature
                        )
            case Evidence():
                yield from (
                    one for one in (message.first, message.second) if one is not None and one.signer == self.address
                )
            case _ if message.signer == self.address:
                yield message

    def _suspicion(self, message: SignedMessage) -> Suspicion:
        # Asked once: a signature may be authorised, on a thread, at any moment.
        history = self._guard.history()
        height = history[0].height if history else 0
        if message.height < height:
            return Suspicion.NONE  # The history of that height is forgotten.
        kind, value = signed_value(message)
        record = SignedRecord(message.height, message.round, kind, digest(message.signing_line(self._chain_id)) + value)
        if record in history:
            return Suspicion.NONE
        if self.is_doubtful:
            return Suspicion.UNCLEAR
        if message.height == height:
            if message.round <= max(each.round for each in history) - ROUNDS_KEPT:
                return Suspicion.NONE
            if any(each.kind == kind and each.round >= message.round for each in history):
                return Suspicion.CERTAIN  # The guard lets nothing be signed after what it would have come before.
        known = self._known_height
        return Suspicion.CERTAIN if known is not None and message.height > known else Suspicion.UNCLEAR

    def _is_signed(self, message: SignedMessage) -> bool:
        try:
            return recover_signer(message.signing_line(self._chain_id), message.signature) == self.address
        except BadSignature:
            return False

    def _note(self, message: SignedMessage, suspicion: Suspicion) -> None:
        if suspicion is Suspicion.UNCLEAR:
            if trio.current_time() - self._said_at >= SAY_AGAIN_SECONDS:
                self._said_at = trio.current_time()
                log.warning(
                    "a message is heard that carries this validator's signature and is not in its signing history: it"
                    " may be from before this start; if not, another process signs with the key",
                    type=message.type,
                    height=message.height,
                    round=message.round,
                )
            return
        self.found = DoppelgangerFound(
            f"another process signs with the key of validator 0x{self.address.hex()}: a {message.type} for height"
            f" {message.height}, round {message.round} was heard that is not in this node's signing history. Find the"
            " other process and stop it for good before you start this one again; both together would lose half the"
            " stake. If there is none, the signing history is an old one, and must not be used."
        )
        log.critical("another process signs with this validator's key", height=message.height, round=message.round)
        self._found_event.set()
