"""This validator's part in consensus: it watches whether it is at the head, and has its key ready when it is.

The decision is made in `participation`; here it is given what it rests on, and carried out: a doubtful history is
settled, the history is compared with the chain before the first signature, and the operator is told.
"""

from __future__ import annotations

import structlog
import trio

from step_node.chain.chain import Chain
from step_node.engine.hooks import Outlook
from step_node.engine.own_key import OwnKey
from step_node.engine.participation import Participation, Situation, Told, behind, look, must_follow

PROMISES_HOLD_MS_MAX = 30_000
"""The longest that what peers promise keeps a validator from signing while its head does not move: whoever promises has
been asked by then."""

log = structlog.get_logger("consensus")


class Participant:
    """Belongs to the driver's task."""

    def __init__(self, *, key: OwnKey, chain: Chain, outlook: Outlook, listens: bool) -> None:
        self.key = key
        self.listens = listens
        """Whether the operator has the node listen for another process with its key, before anything is signed."""
        self._chain = chain
        self._outlook = outlook
        self._now = Participation()
        self._is_compared = False
        self._head_since = (-1, 0.0)
        self._told_operator: str | None = None

    @property
    def takes_part(self) -> bool:
        """Whether it signs, as far as was seen last."""
        return self._now.takes_part

    @property
    def is_at_head(self) -> bool:
        """Whether this node has come as far as it can know that the chain has, whatever its signing history says."""
        return behind(self._situation()) is None

    def must_follow(self) -> bool:
        """Whether it may not go on as it does. Cheap: to be asked before anything is done."""
        if self._now.observes:
            return False
        return self._lacks_key or must_follow(
            head=self._chain.head.chain.height, shown=self._outlook.shown, is_catching_up=self._outlook.is_catching_up
        )

    @property
    def _lacks_key(self) -> bool:
        return self.key.is_doubtful or self.key.is_new_session or self.key.signer_absence is not None

    @property
    def absence(self) -> str | None:
        """For people: why it does not take part, and so does not sign; None if it does, or is not in the set."""
        return None if self._now.reason is None else f"this validator does not sign: it {self._now.reason}"

    @property
    def refusal(self) -> str | None:
        """For people: that the guard has refused a signature at the present height; None if it has not."""
        return self.key.trouble(self._chain.next_height)

    async def look(self) -> bool:
        """Look around anew; whether it takes part."""
        now = self._now
        if self.key.signer_absence is None and self.key.is_new_session:
            # Another node may have signed with the key: what this one knew of it, and of its locks, is to be seen anew.
            self.key.enter_session()
            now, self._is_compared = Participation(), False
        while True:
            now = look(now, self._situation())
            if now.is_waited_out and now.settles_at is not None:
                await self.key.settle(now.settles_at)
                now = Participation()
            elif now.takes_part and not now.observes and not self._is_compared:
                # The chain may show what makes the history doubtful: then the next look says so.
                self._is_compared = True
                await self.key.compare_with_chain()
            else:
                self._now = now
                self._tell_operator()
                return now.takes_part

    def _situation(self) -> Situation:
        chain = self._chain
        head, validators = chain.head.chain.height, chain.validators
        if self._head_since[0] != head:
            self._head_since = (head, trio.current_time())
        told = self._outlook.told()
        if trio.current_time() - self._head_since[1] > PROMISES_HOLD_MS_MAX / 1000:
            told = Told(told.peers, told.members, promised=0)
        return Situation(
            head=head,
            members=len(validators) if self.key.address in validators else 0,
            quorum=validators.quorum,
            shown=self._outlook.shown,
            is_catching_up=self._outlook.is_catching_up,
            told=told,
            signed_height=self.key.signed_height,
            floor=self.key.floor,
            is_doubtful=self.key.is_doubtful,
            signer_absence=self.key.signer_absence,
            listens=self.listens,
        )

    def _tell_operator(self) -> None:
        now = self._now
        if now.kind == self._told_operator:
            return
        self._told_operator = now.kind
        if now.takes_part:
            log.info("takes part in consensus", height=self._chain.next_height, signs=not now.observes)
        elif now.is_unbelievable:
            log.error("does not take part in consensus", reason=now.reason)
        else:
            log.warning("does not take part in consensus", reason=now.reason)
