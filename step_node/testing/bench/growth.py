"""Whether what a node does for each batch costs more as the chain grows: exponents of cost over size.

A straight line through the logarithms of cost and size has the exponent as its slope: 0 is a cost that stays, 1 one
that grows with the size. Of the store's operations the size is accounts, triangles and nonces, so many of each; of the
mempool's, proofs that wait. The value is the largest exponent, the one that will hurt.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import log
from random import Random
from statistics import linear_regression, median
from typing import Final, TypeVar

from step_node.chain.chain import Chain
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.ledger.apply import keys_of, nonce_expiry
from step_node.mempool.pool import Mempool
from step_node.parameters import Parameters
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import Storage
from step_node.storage.sqlite import SqliteStorage
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_chain import (
    PLACED,
    SEED,
    GrowthPlan,
    ManualClock,
    bench_genesis,
    committed_by,
    grown_state,
    made_up_address,
    restore_into,
    unsigned_proof,
)
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.load.provers import Provers

STATE_SHARES: Final = (0.01, 0.1, 1.0, 10.0)
"""Sizes of the state, as parts of the grown chain of other rows: 1,000 to a million accounts, by default."""
WAITING_SIZES: Final = (1_000, 10_000, 100_000)
BATCH_PROOFS: Final = 1_000
BATCHES: Final = 5
BATCH_MS: Final = 11_000
"""By chain time, from batch to batch: longer than the moratorium, since the smallest state has no other accounts."""
FIRST_MS: Final = 1_780_000_000_000
VALIDATOR_KEY: Final = bytes(31) + b"\x01"

T = TypeVar("T")
Costs = dict[str, float]
"""Microseconds a proof, by operation."""


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The slope of log(cost) over log(size), by least squares."""
    return linear_regression([log(size) for size in sizes], [log(cost) for cost in costs]).slope


def sizes_of(workshop: Workshop) -> list[int]:
    """From small to large."""
    return sorted({max(BATCH_PROOFS, round(share * workshop.accounts)) for share in STATE_SHARES})


async def measure_growth(workshop: Workshop) -> Sample:
    """Every operation at every size; figures are the exponents, and the costs at the smallest and the largest size."""
    by_size = {size: await state_costs(workshop, size) for size in sizes_of(workshop)}
    waiting_by_size = {size: _mempool_costs(size) for size in WAITING_SIZES}
    exponents: dict[str, float] = {}
    figures: dict[str, float] = {}
    for costs_by_size in (by_size, waiting_by_size):
        sizes = list(costs_by_size)
        for operation in costs_by_size[sizes[0]]:
            costs = [costs_by_size[size][operation] for size in sizes]
            exponents[operation] = exponent(sizes, costs)
            for size in (sizes[0], sizes[-1]):
                figures[f"{operation}, µs a proof at {size:,}"] = costs_by_size[size][operation]
    return Sample(
        max(exponents.values()), figures={f"{name}, exponent": value for name, value in exponents.items()} | figures
    )


async def state_costs(workshop: Workshop, size: int) -> Costs:
    """Loading, building and finalising batches of known accounts over a store of that size."""
    workshop.tell(f"growth: a store of {size:,} accounts, triangles and nonces")
    provers = Provers(SEED, Parameters().seeded_level)
    genesis = bench_genesis([VALIDATOR_KEY], FIRST_MS - 60_000)
    # The window is full, and for each nonce that comes one leaves at least, where there are so many.
    window_ms = nonce_window_ms(genesis.parameters)
    spacing_ms = min(BATCH_MS / BATCH_PROOFS, (window_ms - BATCH_MS) / size)
    plan = GrowthPlan(size, FIRST_MS, spacing_ms, made_up_address, provers)
    keys = {address_of(public_key_of(VALIDATOR_KEY)): VALIDATOR_KEY}
    path = workshop.folder / f"growth-{size}.sqlite"
    storage = await SqliteStorage.open(path)
    try:
        await restore_into(storage, genesis, await grown_state(genesis, keys, plan))
        clock = ManualClock(FIRST_MS + window_ms)
        chain = await Chain.open(genesis=genesis, storage=storage, clock=clock, known=Mempool().get)
        return await _batch_costs(chain, storage, clock, provers, keys, size)
    finally:
        await storage.close()
        for leftover in workshop.folder.glob(f"{path.name}*"):
            leftover.unlink()


def nonce_window_ms(parameters: Parameters) -> int:
    """How old a nonce's proof is when the nonce leaves."""
    return -nonce_expiry(0, parameters).before_ms


async def _batch_costs(
    chain: Chain, storage: Storage, clock: ManualClock, provers: Provers, keys: dict[bytes, bytes], size: int
) -> Costs:
    taken: dict[str, list[float]] = {"load": [], "load and build": [], "finalise": []}
    for number in range(BATCHES):
        clock.time_ms += BATCH_MS
        # Spread over all that can prove: neighbours in the file would come from the same pages.
        provable = min(size, PLACED)
        stride = max(1, provable // BATCH_PROOFS)
        proofs = [
            unsigned_proof(provers, (index * stride + number) % provable, clock.time_ms, f"n-{number}")
            for index in range(BATCH_PROOFS)
        ]
        expiry = nonce_expiry(clock.time_ms, chain.parameters)
        seconds, _ = await _timed(partial(storage.load, keys_of(proofs, expiry=expiry)))
        taken["load"].append(seconds)
        proposer = chain.validators.proposer(chain.next_height, 0).address
        seconds, judged = await _timed(partial(chain.build, proofs, round_number=0, proposer=proposer))
        taken["load and build"].append(seconds)
        if judged is None or len(judged.batch.proofs) != BATCH_PROOFS:
            raise RuntimeError(f"size {size}: not every proof could be put into a batch")
        commit = committed_by(judged.batch, keys)
        seconds, _ = await _timed(partial(chain.finalise, judged, commit))
        taken["finalise"].append(seconds)
    return {operation: median(seconds) / BATCH_PROOFS * 1e6 for operation, seconds in taken.items()}


def _mempool_costs(size: int) -> Costs:
    """Taking proofs in, offering a batch of them and letting them go, while so many others wait."""
    parameters = Parameters()
    provers = Provers(SEED, parameters.seeded_level)
    mempool, random = Mempool(proofs_max=2 * (size + BATCH_PROOFS)), Random(size)
    waiting = [_any_time(provers, number, random) for number in range(size + BATCH_PROOFS)]
    for proof in waiting[BATCH_PROOFS:]:
        mempool.add(proof)
    further = waiting[:BATCH_PROOFS]

    def take_in() -> None:
        for proof in further:
            if mempool.check(proof, parameters) is not None or not mempool.add(proof):
                raise RuntimeError("the mempool does not take a proof in")

    def let_go() -> None:
        for proof in further:
            mempool.remove(proof.proof_id)

    def offer() -> None:
        offered = mempool.candidates(BATCH_PROOFS, time_ms=FIRST_MS, parameters=parameters)
        if len(offered) != BATCH_PROOFS:
            raise RuntimeError("the mempool does not offer a full batch")

    operations = {"mempool add": take_in, "candidates": offer, "mempool remove": let_go}
    taken: dict[str, list[float]] = {operation: [] for operation in operations}
    for _ in range(BATCHES):
        for operation, work in operations.items():
            began_ns = time.thread_time_ns()
            work()
            taken[operation].append((time.thread_time_ns() - began_ns) / 1e9)
    return {operation: median(seconds) / BATCH_PROOFS * 1e6 for operation, seconds in taken.items()}


def _any_time(provers: Provers, number: int, random: Random) -> SignedProof:
    return unsigned_proof(provers, number, FIRST_MS - random.randrange(60_000), f"n-{number}")


async def _timed(work: Callable[[], Awaitable[T]]) -> tuple[float, T]:
    """Seconds of the processor, on all threads: what else the machine does, and how its disk is, is left out."""
    began_ns = time.process_time_ns()
    result = await work()
    return (time.process_time_ns() - began_ns) / 1e9, result


PLANS = (
    RowPlan(
        "growth",
        "the exponent of what grows most: of a chain's costs up to a million accounts, triangles and nonces, and of the"
        f" mempool's while up to {WAITING_SIZES[-1]:,} proofs wait",
        "exponent",
        measure_growth,
        Bar(at_most=0.1),
        runs=1,
    ),
)
