"""What nodes do off their event loops, priced; and computed once where all nodes of a world compute the same.

Theory of operation. A node hands its heavy work to `step_node.offload`. Here that says which function is called on
what, and so what it costs: the caller waits until its processor has done that much. Of pure functions (signatures of
proofs, decoding, filling, applying) all validators ask the same, and a hundred of them would keep one core busy for
minutes: so the answer to each question is worked out once for all of them, by the shipped function, and each pays the
full price. All other work is files made durable: it waits for the disk, and runs at each node.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast

import trio

from step_node.batch.batch import Batch, decode_batch, header_hash
from step_node.batch.outline import Outline, decode_outline
from step_node.chain.building import BatchPlan, build_batch
from step_node.chain.judging import JudgedBatch, apply_judged
from step_node.chain.verification import FEW_PROOFS_MAX
from step_node.network import proposals
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import Refusal, SignedProof
from step_node.testing.wan.costs import Costs
from step_node.testing.wan.machine import Processor

T = TypeVar("T")

ANSWERS_MAX: Final = 256
"""Answers about batches that are kept; beyond it the oldest is worked out again."""
MS_A_SECOND: Final = 1_000


def checked_in_place_us(costs: Costs, proofs: int) -> float:
    """What it costs to check proofs that are so few that a node does it where it stands; 0 of more, which it hands
    over."""
    return (costs.check_us + costs.admit_us) * proofs if proofs <= FEW_PROOFS_MAX else 0.0


class SharedAnswers:
    """What was worked out for one node of a world, for the others."""

    def __init__(self) -> None:
        self._verdicts: dict[tuple[bytes, bytes], Refusal | None] = {}
        """(proof id, signature) -> what the stateless gates say."""
        self._answers: OrderedDict[Hashable, object] = OrderedDict()

    def verdicts(self, proofs: Sequence[SignedProof], parameters: Parameters) -> list[Refusal | None]:
        """`check_stateless_many`."""
        unknown = [proof for proof in proofs if (proof.proof_id, proof.signature) not in self._verdicts]
        for proof, verdict in zip(unknown, check_stateless_many(unknown, parameters), strict=True):
            self._verdicts[proof.proof_id, proof.signature] = verdict
        return [self._verdicts[proof.proof_id, proof.signature] for proof in proofs]

    def answer(self, question: Hashable, work: Callable[[], T]) -> T:
        """The answer to `question`, which `work` gives to whoever asks it."""
        if question not in self._answers:
            self._answers[question] = work()
            while len(self._answers) > ANSWERS_MAX:
                self._answers.popitem(last=False)
        return cast(T, self._answers[question])


class PricedOffload:
    """A `step_node.offload.Offload`: that of one node."""

    def __init__(self, processor: Processor, costs: Costs, shared: SharedAnswers) -> None:
        self._processor = processor
        self._costs = costs
        self._shared = shared

    async def __call__(self, work: partial[T], /) -> T:
        """Do it, and wait for as long as it takes."""
        pure = self._PURE.get(work.func)
        if pure is None:
            await trio.sleep(self._costs.sync_ms / MS_A_SECOND)
            return work()
        result, work_us = pure(self, work)
        await self._processor.work(work_us)
        return cast(T, result)

    def _check(self, work: partial[list[Refusal | None]]) -> tuple[list[Refusal | None], float]:
        proofs: Sequence[SignedProof] = work.args[0]
        each_us = self._costs.check_us + self._costs.admit_us
        return self._shared.verdicts(proofs, work.args[1]), each_us * len(proofs)

    def _decode(self, work: partial[Batch]) -> tuple[Batch, float]:
        batch = self._shared.answer((decode_batch, work.args[0]), work)
        return batch, self._costs.decode_us * len(batch.proofs)

    def _decode_outline(self, work: partial[Outline]) -> tuple[Outline, float]:
        # What that costs is in what filling costs.
        return self._shared.answer((decode_outline, work.args[0]), work), 0.0

    def _fill(self, work: partial[tuple[bytes, Batch] | None]) -> tuple[tuple[bytes, Batch] | None, float]:
        outline: Outline = work.args[0]
        known: dict[bytes, SignedProof | None] = work.args[1]
        # The header's roots cover every byte of every proof, so that only which of them are lacking makes a difference.
        lacking = frozenset(proof_id for proof_id, proof in known.items() if proof is None)
        filled = self._shared.answer((proposals._fill, header_hash(outline.header), lacking), work)
        return filled, self._costs.fill_us * len(known)

    def _build(self, work: partial[JudgedBatch | None]) -> tuple[JudgedBatch | None, float]:
        plan: BatchPlan = work.args[1]
        built = work()
        proofs = 0 if built is None else len(built.batch.proofs)
        return built, self._costs.apply_us * len(plan.candidates) + self._costs.propose_us * proofs

    def _judge(self, work: partial[JudgedBatch]) -> tuple[JudgedBatch, float]:
        # Whoever comes here has compared the header's state root with its own state.
        batch: Batch = work.args[1]
        return self._shared.answer((apply_judged, batch.hash), work), self._costs.apply_us * len(batch.proofs)

    _PURE: Final[dict[Callable[..., Any], Callable[[PricedOffload, partial[Any]], tuple[Any, float]]]] = {
        check_stateless_many: _check,
        decode_batch: _decode,
        decode_outline: _decode_outline,
        proposals._fill: _fill,
        build_batch: _build,
        apply_judged: _judge,
    }
