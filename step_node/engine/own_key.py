"""This validator's key as consensus uses it: signing through the guard, and what the history and the chain say it has
signed before.

The guard's history outlives the consensus log, and knows what the machine may have forgotten. Where the two differ, the
machine is given what was signed (`OwnMessagesRecovered`), and goes on from there: a refusal is an input like another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import structlog
import trio

from consensus import inputs as event
from consensus.lock import proof_of_lock
from consensus.messages import Commit, PreCommit, SignedMessage
from consensus.state import ConsensusState
from step_node.batch.batch import decode_batch
from step_node.chain.chain import Chain
from step_node.engine.hooks import Outlook
from step_node.engine.lock_file import LockFile
from step_node.engine.own_history import messages_of, unknown_to, worth_recovering
from step_node.metrics import NodeMetrics
from step_node.offload import run_blocking
from step_node.signing.guard import DoubleSignRefused, SigningRule
from step_node.signing.signed_value import signed_value
from step_node.signing.signer import Signer, SignerAway
from step_node.storage.retry import StorageWatch

SEARCHED_BATCHES_MAX = 256
"""How many of the last batches are searched for signatures of the own key. Further back the validator's count of
absences says when it signed last."""
SEARCH_READ_BATCHES = 8
"""Batches read from the store at once, of up to 1 MB each."""

T = TypeVar("T")

log = structlog.get_logger("consensus")


class OwnKey:
    """See the module's docstring. Belongs to the driver's task."""

    def __init__(
        self,
        *,
        signer: Signer,
        locks: LockFile | None,
        chain: Chain,
        outlook: Outlook,
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
    ) -> None:
        self._signer = signer
        self._outlook = outlook
        self._locks = locks
        self._chain = chain
        self._metrics = metrics
        self._storage_watch = storage_watch
        self._refused_at = 0

    @property
    def address(self) -> bytes:
        """20 bytes."""
        return self._signer.address

    @property
    def signed_height(self) -> int:
        """The greatest height in the signing history."""
        return self._signer.guard.height

    @property
    def floor(self) -> int:
        """Nothing at this height or below is signed."""
        return self._signer.guard.floor

    @property
    def is_doubtful(self) -> bool:
        """Whether the key may have signed what is not in its history."""
        return self._signer.guard.is_doubtful

    @property
    def signer_absence(self) -> str | None:
        """For people: why no signature can be had from the key now, wherever it is; None if one can."""
        return self._signer.absence

    @property
    def is_new_session(self) -> bool:
        """Whether another node may have used the key since `enter_session`."""
        return self._signer.is_new_session

    def enter_session(self) -> None:
        """The history is looked at from here on as it is now: what is signed is signed in the light of it."""
        self._signer.enter_session()

    def trouble(self, height: int) -> str | None:
        """What to tell the operator about signing at this height."""
        if self._refused_at != height:
            return None
        return (
            f"the double-sign guard has refused a signature at height {height}, which contradicts what this key has"
            " signed: the consensus log was lost, or another process uses the key; what was signed is sent again"
        )

    # --- signing --------------------------------------------------------------------------------------------------

    async def sign(
        self, message: SignedMessage, state: ConsensusState, *, sync_log: Callable[[], None]
    ) -> event.Input | None:
        """The signed message, as the machine's input; or, if the guard refuses, what was signed in its place. None at
        a height that is shown to be final.

        Before anything is signed the log is on disk, and for a pre-commit for a batch the proof of its lock. All on one
        thread: the way there and back takes as long as a quick disk.
        """
        kind, value = signed_value(message)
        line = message.signing_line(self._chain.chain_id)
        locks, proof = self._locks, proof_of_lock(state, message) if isinstance(message, PreCommit) else None

        def sign() -> bytes | None:
            sync_log()
            # As late as can be: the way to this thread takes its time.
            if self._outlook.shown >= message.height:
                return None
            if locks is not None and proof is not None:
                locks.keep(proof)
            return self._signer.sign(kind, message.height, message.round, value, line)

        asked_at = trio.current_time()
        try:
            signature = await run_blocking(sign)
        except DoubleSignRefused as error:
            return await self._refused(error, message, state)
        except SignerAway as error:
            # Not lost: whoever takes part again goes on from what was to be signed, or was.
            log.warning("not signed", height=message.height, kind=message.type, reason=str(error))
            return None
        if signature is None:
            log.info("not signed, since the height is final elsewhere", height=message.height, kind=message.type)
            return None
        self._metrics.signed(trio.current_time() - asked_at)
        return event.Signed(replace(message, signature=signature))

    async def _refused(
        self, error: DoubleSignRefused, message: SignedMessage, state: ConsensusState
    ) -> event.Input | None:
        if error.rule not in (SigningRule.ANOTHER_VALUE, SigningRule.ROUND_BELOW):
            log.warning("not signed", reason=str(error))
            return None
        log.error(
            "refused to sign: this key has signed something else, and the consensus log does not have it; what was"
            " signed is sent again",
            reason=str(error),
        )
        self._metrics.double_sign_refused()
        self._refused_at = message.height
        return await self.recovered(state)

    async def recovered(self, state: ConsensusState) -> event.OwnMessagesRecovered | None:
        """What this key has signed at the height of `state`, if the machine lacks anything of it."""
        guard, height = self._signer.guard, state.height
        if state.own_address is None or guard.is_doubtful or guard.floor >= height:
            return None
        records = guard.history() if guard.height == height else []
        signed = messages_of(records, chain_id=self._chain.chain_id, validator=self.address)
        proof = None if self._locks is None else self._locks.kept(height)
        lacks_lock = proof is not None and proof.round > state.locked_round
        if not lacks_lock and not unknown_to(state, signed):
            return None
        try:
            messages = await run_blocking(self._sign_again, worth_recovering(signed))
        except SignerAway as error:
            # Then nothing else is signed either before the next session, which begins with this.
            log.warning("what this key has signed is not signed again", height=height, reason=str(error))
            return None
        if messages is None:
            return None
        log.warning(
            "the consensus log lacks what this key has signed; it goes on from its signing history",
            height=height,
            messages=len(messages),
            with_proof_of_lock=proof is not None,
        )
        return event.OwnMessagesRecovered(messages, proof)

    def _sign_again(self, messages: list[SignedMessage]) -> tuple[SignedMessage, ...] | None:
        """None where the height has been shown to be final meanwhile: then nobody needs them."""
        signed: list[SignedMessage] = []
        for message in messages:
            if self._outlook.shown >= message.height:
                return None
            kind, value = signed_value(message)
            line = message.signing_line(self._chain.chain_id)
            signature = self._signer.sign(kind, message.height, message.round, value, line)
            signed.append(replace(message, signature=signature))
        return tuple(signed)

    # --- what the chain shows -------------------------------------------------------------------------------------

    async def compare_with_chain(self) -> None:
        """Before the first signature: doubt a history that lacks what the chain shows; else forget what is final.

        What is final here needs no signature any more, whoever signed it: the floor is raised to the head.
        """
        guard, head = self._signer.guard, self._chain.head.chain.height
        known = max(guard.height, guard.floor)
        shown = await self._latest_signature_shown(above=known)
        if shown > known:
            reason = f"the chain has a signature of this key at height {shown}, and the history ends at height {known}"
            log.error(
                "the signing history is old, or another process signs with this key: nothing is signed until its past"
                " is waited out",
                reason=reason,
            )
            await self._told(guard.doubt, reason)
        elif head > guard.floor:
            await self._told(guard.raise_floor, head)

    async def settle(self, floor: int) -> None:
        """The doubt is over: nothing at `floor` or below is ever signed."""
        if await self._told(self._signer.guard.settle, floor):
            log.warning("the signing history is no longer doubtful", signs_from_height=floor + 1)

    async def _told(self, tell: Callable[[T], None], what: T) -> bool:
        """Have the history take this in, or, if the signer is away, leave it to the next session."""
        try:
            await run_blocking(tell, what)
        except SignerAway as error:
            log.warning("the signing history is not told what the chain shows", reason=str(error))
            return False
        return True

    async def _latest_signature_shown(self, *, above: int) -> int:
        """The greatest height above `above` at which the chain has a signature of this key; 0 if it has none."""
        head = self._chain.head.chain.height
        if head <= above:
            return 0
        last = self._chain.last_commit
        if last is not None and self._is_in(last):
            return last.height
        first = max(above, head - SEARCHED_BATCHES_MAX, 0)
        for height in range(head, first, -SEARCH_READ_BATCHES):
            start = max(first + 1, height - SEARCH_READ_BATCHES + 1)
            found = await self._storage_watch.when_available(self._reading(start, height - start + 1))
            if found:
                return found
        return self._signed_before_absences(above)

    def _reading(self, start: int, count: int) -> Callable[[], Awaitable[int]]:
        async def read() -> int:
            found = 0
            for stored in await self._chain.storage.batches(start, count):
                batch = await run_blocking(decode_batch, stored.batch)
                if batch.header.proposer == self.address:
                    found = max(found, stored.height)
                elif batch.last_commit is not None and self._is_in(batch.last_commit):
                    found = max(found, batch.last_commit.height)
            return found

        return read

    def _signed_before_absences(self, above: int) -> int:
        """When the validator signed last, by the count of its absences: the commits before those have its signature."""
        height = self._chain.head.chain.height
        for record in self._chain.head.validators:
            if record.address == self.address and record.absent_batches > 0:
                signed = height - 1 - record.absent_batches
                return signed if signed > above and signed >= record.active_from_height else 0
        return 0

    def _is_in(self, commit: Commit) -> bool:
        return any(entry.validator == self.address for entry in commit.signatures)
