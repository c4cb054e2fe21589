"""What the steps of consensus tell an operator: since when it stands where it does, and whose votes a round lacked."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from consensus.inputs import Input
from consensus.machine import Transition
from consensus.state import ConsensusState
from step_node.clock import Clock
from step_node.metrics import NodeMetrics

log = structlog.get_logger("consensus")


class RoundDiary:
    """Shown every step of the machine (`engine.hooks`), and each height that begins."""

    def __init__(self, clock: Clock, metrics: NodeMetrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._height_since_ms = self._step_since_ms = clock.now_ms()

    def height_begins(self) -> None:
        """A batch has become final here."""
        self._height_since_ms = self._step_since_ms = self._clock.now_ms()

    def applied(self, before: ConsensusState, _item: Input, transition: Transition) -> None:
        """The machine has taken an input."""
        after = transition.state
        if after is before:
            return
        if (before.round, before.step) != (after.round, after.step):
            self._step_since_ms = self._clock.now_ms()
        if after.round > before.round >= 0:
            self._tell_failed(before.round, after)

    @property
    def height_since_ms(self) -> int:
        """When the present height was begun here, by this node's clock."""
        return self._height_since_ms

    @property
    def step_since_ms(self) -> int:
        """When the present step was come to."""
        return self._step_since_ms

    def _tell_failed(self, number: int, state: ConsensusState) -> None:
        failed = state.round_state(number)
        self._metrics.round_failed()
        log.info(
            "a round has failed",
            height=state.height,
            round=number,
            next_round=state.round,
            proposer=_text(state.validators.proposer(state.height, number).address),
            has_proposal=bool(failed.proposals),
            pre_votes_missing=_missing(state, failed.pre_votes.first),
            pre_commits_missing=_missing(state, failed.pre_commits.first),
        )


def _missing(state: ConsensusState, votes: Mapping[bytes, object]) -> list[str]:
    return [_text(one.address) for one in state.validators if one.address not in votes]


def _text(address: bytes) -> str:
    return f"0x{address.hex()}"
