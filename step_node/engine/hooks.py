"""What consensus calls in the rest of the node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from consensus.inputs import Input
from consensus.machine import Transition
from consensus.messages import Message
from consensus.state import ConsensusState
from step_node.chain.judging import JudgedBatch
from step_node.engine.participation import Told
from step_node.signing.signer import Signer


async def _nothing() -> None: ...


def _plainly(_message: Message) -> AbstractContextManager[None]:
    return nullcontext()


def _no_successor() -> Signer | None:
    return None


def _unseen(_before: ConsensusState, _item: Input, _transition: Transition) -> None: ...


class Outlook(Protocol):
    """How far the chain has come elsewhere, as far as this node knows."""

    @property
    def shown(self) -> int:
        """The greatest height that a commit, signed by a quorum, has shown to be final; at least the own one. May be
        asked on any thread."""
        ...

    @property
    def is_catching_up(self) -> bool:
        """Whether finalised batches are being fetched."""
        ...

    def told(self) -> Told:
        """What the connected peers say."""
        ...


@dataclass(frozen=True, slots=True)
class ConsensusHooks:
    """What the driver calls: `broadcast` sends a message to everybody; `finalised` runs after each batch is stored;
    `request_batch(height, batch_hash)` has peers asked for a proposal; `outlook` says whether others are ahead;
    `restored` runs after a snapshot is stored. `taking_in` surrounds the work on a peer's message; without
    `gives_proposals` no peer is given a proposal; `applied(before, input, transition)` is shown every step of the
    machine. `successor`, asked between two heights and when that key comes late, gives the signer of the key that takes
    over from the present one, if it does now."""

    broadcast: Callable[[Message], Awaitable[None]]
    finalised: Callable[[JudgedBatch], Awaitable[None]]
    request_batch: Callable[[int, bytes], None]
    outlook: Outlook
    restored: Callable[[], Awaitable[None]] = _nothing
    taking_in: Callable[[Message], AbstractContextManager[None]] = _plainly
    gives_proposals: bool = True
    successor: Callable[[], Signer | None] = _no_successor
    applied: Callable[[ConsensusState, Input, Transition], None] = _unseen
