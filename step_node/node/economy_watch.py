"""All that is computed from final batches and only shown, beside a running node: it is told of each batch in one call.

Each part has its own theory: the guardrails (`node.guardrail_watch`), the window of proofs (`economy.observatory`),
with what is made of it (`economy.trends`) and what fetches its beginning from peers (`network.backfill`), and the
reports of fairness (`economy.fairness.reporter`).

The guardrails go first. A fault that nobody foresaw ends a node wherever it is; one in the other parts must not also
keep the batch from those that look for faults. What they find is written down while the node ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio
from prometheus_client import CollectorRegistry, Gauge

from step_node.chain.judging import JudgedBatch
from step_node.economy.fairness.reporter import FairnessReporter
from step_node.economy.observatory import Observatory
from step_node.economy.trends import Trends
from step_node.home.switches import Switch
from step_node.metrics import NodeMetrics
from step_node.network.backfill import Backfill
from step_node.network.peers import Peers
from step_node.node.fairness_gauges import FairnessGauges
from step_node.node.guardrail_gauges import GuardrailGauges
from step_node.node.guardrail_watch import GuardrailWatch
from step_node.node.parts import NodeParts
from step_node.storage.retry import StorageWatch


class EconomyWatch:
    """See the module's docstring. `begin` before the first batch; then `run`, and `after_batch` for each."""

    def __init__(
        self,
        parts: NodeParts,
        *,
        peers: Peers,
        is_behind: Callable[[], bool],
        metrics: NodeMetrics,
        storage_watch: StorageWatch,
    ) -> None:
        """`is_behind()`: whether the node is catching up, which goes before fetching the window's beginning."""
        chain, switches = parts.chain, parts.switches
        self._storage_watch = storage_watch
        self._switches = switches
        self.guardrails = GuardrailWatch(
            chain=chain,
            switches=switches,
            clock=parts.clock,
            metrics=metrics,
            settings=parts.guardrails,
            file=parts.guardrail_file,
        )
        """What goes over each batch a second time."""
        self.observatory = Observatory(
            storage=parts.storage, file=parts.economy_file, height=lambda: chain.head.chain.height
        )
        """The proofs of the last two days."""
        self.trends = Trends(self.observatory, is_on=partial(switches.is_on, Switch.TRENDING))
        """What is made of them."""
        self.fairness = FairnessReporter(chain, parts.economy_file, is_on=partial(switches.is_on, Switch.FAIRNESS))
        """Who got how much in each epoch."""
        self._backfill = Backfill(network=parts.network, peers=peers, earlier=self.observatory, is_behind=is_behind)

    @property
    def needed_from(self) -> int | None:
        """The lowest height whose batch in the store is still to be read; None if none is."""
        wanted = (self.fairness.needed_from(), self.observatory.needed_from)
        return min((height for height in wanted if height is not None), default=None)

    def register(self, registry: CollectorRegistry) -> None:
        """Have their gauges shown."""
        registry.register(GuardrailGauges(self.guardrails, self._switches))
        registry.register(FairnessGauges(self.fairness))
        held = Gauge("step_window_proofs", "Final proofs of the last two days, held in memory.", registry=registry)
        held.set_function(lambda: len(self.observatory.window))

    async def begin(self) -> None:
        """Start at the head. Raises `StorageUnavailable`."""
        await self.guardrails.begin()

    async def after_batch(self, judged: JudgedBatch) -> None:
        """A batch has just become final."""
        await self._storage_watch.when_available(partial(self.guardrails.after_batch, judged))
        self.fairness.after_batch(judged)
        self.observatory.finalised(judged.batch)

    def jumped(self) -> None:
        """The chain stands elsewhere, without the batches between. The guardrails see that by the next batch's height,
        and count the clicks anew."""
        self.fairness.jumped()
        self.observatory.jumped()

    async def run(self) -> None:
        """Do what each part does beside the node, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.guardrails.run)
            nursery.start_soon(self.fairness.run)
            nursery.start_soon(self.observatory.run)
            nursery.start_soon(self.trends.run)
            nursery.start_soon(self._backfill.run)
            nursery.start_soon(self._hint_backfill)

    async def _hint_backfill(self) -> None:
        while True:
            self._backfill.hint()
            await self.observatory.wait_for_change()
