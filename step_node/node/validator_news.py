"""What a batch says of validators, told: who is slashed; and of this node's own, what it has earned and missed."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from step_node.amounts import bounded
from step_node.chain.judging import JudgedBatch
from step_node.ledger.offences import Slashing
from step_node.ledger.records import ValidatorRecord
from step_node.metrics import NodeMetrics
from step_node.node.own_key import OwnKey

log = structlog.get_logger("node")


class ValidatorNews:
    """To be told of each final batch. `own_record` is what the chain now has of the own key."""

    def __init__(self, own_key: OwnKey, metrics: NodeMetrics, own_record: Callable[[], ValidatorRecord | None]) -> None:
        self._own_key = own_key
        self._metrics = metrics
        self._own_record = own_record

    def after_batch(self, judged: JudgedBatch) -> None:
        """A batch has become final."""
        for slashing in judged.transition.slashings:
            self._slashed(slashing)
        own = self._own_record()
        if own is not None:
            self._metrics.own_validator_earned(judged.transition.validator_rewards_ustep.get(own.address, 0))
            if own.is_in_set and own.absent_batches > 0:
                self._metrics.own_vote_missed()

    def _slashed(self, slashing: Slashing) -> None:
        self._metrics.validator_slashed(slashing.kind.value, slashing.amount_ustep)
        is_own = self._own_key.address in (slashing.validator, slashing.accused)
        say = log.warning if is_own else log.info
        say(
            "this node's validator is slashed" if is_own else "a validator is slashed",
            kind=slashing.kind.value,
            validator="0x" + slashing.validator.hex(),
            burnt_ustep=bounded(slashing.amount_ustep),
            evidence_height=slashing.offence_height,
        )
