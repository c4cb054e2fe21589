"""One validator far from the others: the shipped node on a machine of its own, whose work takes its time.

It is put together as `step_node.testing.simulator.host` does it, without anything that goes wrong: its disk never
fails, and nobody lies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import trio

from p2p.network import PeerId
from step_node.chain.chain import SMALL_BATCH_PROOFS_MAX
from step_node.chain.genesis import Genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger.state import StateKeys, StateSlice
from step_node.mempool.journal import Journal
from step_node.node.assembly import assemble
from step_node.node.node import Node
from step_node.node.parts import NodeHooks
from step_node.offload import offload_of_task
from step_node.proofs.proof import Refusal, SignedProof
from step_node.signing.guard import SigningGuard
from step_node.signing.signer import ValidatorSigner
from step_node.storage.interface import FinalisedBatch
from step_node.storage.memory import MemoryStorage
from step_node.testing.simulator.clock import SimulatedClock
from step_node.testing.simulator.disk import Mount, SimulatedDisk
from step_node.testing.simulator.host import HOME
from step_node.testing.wan.costs import Costs
from step_node.testing.wan.machine import Machine, Processor
from step_node.testing.wan.network import WideArea, WideNetwork
from step_node.testing.wan.work import MS_A_SECOND, PricedOffload, SharedAnswers, checked_in_place_us

OnFinalised = Callable[[str, FinalisedBatch], None]
"""(a node's name, what it has just stored)."""


class WideNode:
    """See the module's docstring. `run` lives until it is cancelled."""

    def __init__(
        self,
        *,
        machine: Machine,
        private_key: bytes,
        genesis: Genesis,
        air: WideArea,
        members: frozenset[PeerId],
        costs: Costs,
        shared: SharedAnswers,
        rng: random.Random,
        on_finalised: OnFinalised,
    ) -> None:
        self.machine = machine
        self._private_key = private_key
        self._genesis = genesis
        self._costs = costs
        self._offload = PricedOffload(machine.processor, costs, shared)
        self._disk = SimulatedDisk(rng, genesis.hash)
        self._mount = Mount(self._disk, rng)
        self._on_finalised = on_finalised
        self.network = WideNetwork(air, machine, members, costs)
        self._members = members
        self._node: Node | None = None
        self._clients: trio.Nursery | None = None

    @property
    def takes_part(self) -> bool:
        """Whether it signs."""
        return self._node is not None and self._node.driver.takes_part

    async def run(self) -> None:
        """Start the node, and let it live."""
        offload_of_task.set(self._offload)
        genesis, processor, costs = self._genesis, self.machine.processor, self._costs
        storage = _PricedStorage(processor, costs, lambda batch: self._on_finalised(self.machine.name, batch))
        await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
        address = address_of(public_key_of(self._private_key))
        guard = SigningGuard.open(
            HOME.signing_history(address), chain_id=genesis.chain_id, validator=address, files=self._mount
        )
        parts = await assemble(
            HOME,
            genesis,
            storage=storage,
            journal=_PricedJournal(self._disk, processor, costs),
            network=self.network,
            signer=ValidatorSigner(self._private_key, guard),
            clock=SimulatedClock(),
            # All are connected with one another, and nobody joins.
            discovers=False,
            keeps_snapshots=False,
            hooks=NodeHooks(applied=lambda *_step: self._pay_step()),
            bootstrap=self._members - {self.network.peer_id},
            files=self._mount,
        )
        node = Node(parts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.network.serve_streams)
            nursery.start_soon(self.network.run)
            self._clients = nursery
            await nursery.start(node.run)
            self._node = node

    def _pay_step(self) -> None:
        self.machine.processor.charge(self._costs.step_us)

    def hand_in(self, proofs: Sequence[SignedProof], answered: Callable[[Sequence[object]], None]) -> None:
        """A client hands in these proofs together; `answered` is told the answers."""
        if self._clients is not None:
            self._clients.start_soon(self._submit, proofs, answered)

    async def _submit(self, proofs: Sequence[SignedProof], answered: Callable[[Sequence[object]], None]) -> None:
        if self._node is not None:
            in_place_us = checked_in_place_us(self._costs, len(proofs))
            await self.machine.processor.work(self._costs.submission_us * len(proofs) + in_place_us)
            answered(await self._node.admission.submit_many(proofs, wait_ms=0, source="client"))

    def close(self) -> None:
        """The end of the world."""
        self._disk.close()


class _PricedStorage(MemoryStorage):
    """The shipped store in memory, as slow as the one in a file."""

    def __init__(self, processor: Processor, costs: Costs, on_finalised: Callable[[FinalisedBatch], None]) -> None:
        super().__init__()
        self._processor = processor
        self._costs = costs
        self._on_finalised_batch = on_finalised

    async def load(self, keys: StateKeys) -> StateSlice:
        """See `Storage.load`. Each proof has a nonce of its own."""
        await self._processor.work(self._costs.load_us * len(keys.nonces))
        return await super().load(keys)

    async def finalise(self, finalised: FinalisedBatch) -> None:
        """See `Storage.finalise`."""
        proofs = len(finalised.proofs)
        # What is small is built and judged where one stands, and is paid for here.
        in_place_us = self._costs.apply_us * proofs if proofs <= SMALL_BATCH_PROOFS_MAX else 0.0
        await self._processor.work(self._costs.finalise_us * proofs + in_place_us)
        await trio.sleep(self._costs.sync_ms / MS_A_SECOND)
        await super().finalise(finalised)
        self._on_finalised_batch(finalised)


class _PricedJournal(Journal):
    """The shipped journal, on a disk in memory."""

    def __init__(self, disk: SimulatedDisk, processor: Processor, costs: Costs) -> None:
        super().__init__(HOME.journal, disk.journal)
        self._processor = processor
        self._costs = costs

    async def accept(self, proofs: Sequence[SignedProof], *, now_ms: int) -> None:
        """See `Journal.accept`."""
        await self._processor.work(self._costs.journal_us * len(proofs))
        await super().accept(proofs, now_ms=now_ms)


def refusals_in(answers: Sequence[object]) -> list[Refusal]:
    """Those of a client's answers that refuse."""
    return [answer for answer in answers if isinstance(answer, Refusal)]
