"""Replaying a chain and holding it against what is said of it: the one walk that every kind of verification is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.checking import check_batch
from step_node.economy.verifying.claims import Claim, Difference
from step_node.economy.verifying.closed_form import closed_form_differences
from step_node.economy.verifying.replay import BatchRejected, Replay
from step_node.errors import InvariantBroken
from step_node.ledger.state import StateHead

DIFFERENCES_MAX: Final = 100
"""After so many the replay ends: what is said is of no worth."""

Progress = Callable[[str, int, int], None]
Compare = Callable[[JudgedBatch], Awaitable[Sequence[Difference]]]


@dataclass(slots=True)
class Verdict:
    """What a verification has come to. `head` is where the replay ended."""

    head: StateHead
    first: int
    last: int
    proofs: int = 0
    differences: list[Difference] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    """How many claims of each subject were held against the replay."""
    not_compared: dict[str, int] = field(default_factory=dict)
    """How many the replay has begun too late for, or ended too soon."""
    rejected: BatchRejected | None = None
    """The batch at which the replay had to end."""

    @property
    def holds(self) -> bool:
        """Whether everything is as it was said."""
        return not self.differences and self.rejected is None and self.head.chain.height == self.last


async def verify(
    replay: Replay,
    batches: AsyncGenerator[tuple[bytes, bytes]],
    claims: Iterable[Claim],
    *,
    last: int,
    compare: Compare | None = None,
    progress: Progress = lambda _part, _done, _total: None,
) -> Verdict:
    """Take `batches` (with their commits) up to the height `last`, and at each height the claims that are of it.

    `compare` says of each batch what is said otherwise of it.
    """
    first = replay.head.chain.height + 1
    due: defaultdict[int, list[Claim]] = defaultdict(list)
    for claim in claims:
        due[claim.height].append(claim)
    verdict = Verdict(replay.head, first, last)

    async def hold_against(height: int) -> None:
        for claim in due.pop(height, ()):
            found = await claim.compare(replay)
            counts = verdict.not_compared if found is None else verdict.compared
            counts[claim.subject] = counts.get(claim.subject, 0) + 1
            verdict.differences += found or ()

    last_paid_ustep: int | None = None
    await hold_against(first - 1)
    try:
        async with aclosing(batches):
            async for batch, commit in batches:
                before = replay.head
                judged = await replay.take(batch, commit)
                height = judged.batch.header.height
                checked = check_batch(before, judged, last_paid_ustep=last_paid_ustep)
                last_paid_ustep = checked.paid_ustep
                verdict.differences += [
                    Difference(height, f"{one.guardrail}: {one.message}", str(one.figure), str(one.bound))
                    for one in checked.breaches.values()
                ]
                if compare is not None:
                    verdict.differences += await compare(judged)
                await hold_against(height)
                progress("batches", height - first + 1, last - first + 1)
                if height == last or len(verdict.differences) >= DIFFERENCES_MAX:
                    break
            else:
                if replay.head.chain.height < last:
                    raise BatchRejected(replay.head.chain.height + 1, "is missing: nobody gave it")
    except BatchRejected as error:
        verdict.rejected = error
    for claims_left in due.values():
        for claim in claims_left:
            verdict.not_compared[claim.subject] = verdict.not_compared.get(claim.subject, 0) + 1
    verdict.head, verdict.proofs = replay.head, replay.proofs
    verdict.differences += await closed_form_differences(replay)
    chain = replay.head.chain
    if chain.minted_ustep != chain.balances_ustep + chain.stakes_ustep + chain.burnt_ustep:
        raise InvariantBroken("the ledger has made or lost money, and has not noticed")
    return verdict
