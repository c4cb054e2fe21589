"""The yardstick, and how near to it the checking of proofs comes.

Every validator has to recover one public key for each proof: that is the physical limit. It is measured with
libsecp256k1 called as directly as Python can, on signatures that have been parsed beforehand; whatever else the node
does for a proof is overhead. Both are measured as time of the processor: on a busy machine too a rate says what the
code costs, and not how many others wanted the machine.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import trio

from step_node.api.submissions.single import parse_submission
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import SignedProof
from step_node.proofs.wire import decode_bundle, encode_bundle
from step_node.testing.bench.bare_recovery import DigestAndSignature, recoveries_per_second
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.load.material import Signed, sign_for_now

CHUNK_PROOFS = 256
"""As many as `chain.verification` hands to a thread at once."""
CHUNKS = 8
RECOVERIES = CHUNK_PROOFS * CHUNKS


def items_per_second(items: int, work: Callable[[], object]) -> float:
    """How many of `items` things one call of `work` does in a second of this thread's CPU time."""
    began_ns = time.thread_time_ns()
    work()
    return items * 1e9 / (time.thread_time_ns() - began_ns)


def recover_on_all_cores(signatures: Sequence[DigestAndSignature]) -> float:
    """Recoveries a second of all cores at once, each by a process of its own, in CPU time of each."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(recoveries_per_second, [signatures[:1]] * cores))  # Each has started, and imported what it needs.
        return sum(pool.map(recoveries_per_second, [signatures] * cores))


def proofs_of(workshop: Workshop) -> list[Signed]:
    """`RECOVERIES` proofs, really signed, each of another account in a place of its own."""
    kept = workshop.kept.get("signed proofs")
    if not isinstance(kept, list):
        kept = workshop.kept["signed proofs"] = sign_for_now(RECOVERIES)
    return kept


def _decoded(workshop: Workshop) -> list[SignedProof]:
    return [parse_submission(one.body) for one in proofs_of(workshop)]


def _signatures(workshop: Workshop) -> list[DigestAndSignature]:
    return [(proof.proof_id, proof.signature) for proof in _decoded(workshop)]


def one_core_recoveries_per_second(workshop: Workshop) -> float:
    """The yardstick: bare recoveries on one core, in a second of its time."""
    return recoveries_per_second(_signatures(workshop))


def _bundles(workshop: Workshop) -> list[bytes]:
    proofs = _decoded(workshop)
    return [encode_bundle(proofs[start : start + CHUNK_PROOFS]) for start in range(0, RECOVERIES, CHUNK_PROOFS)]


async def measure_limit(workshop: Workshop) -> Sample:
    """All cores at once, beside one core times as many."""
    one_core = one_core_recoveries_per_second(workshop)
    all_cores = await trio.to_thread.run_sync(recover_on_all_cores, _signatures(workshop))
    cores = os.cpu_count() or 1
    return Sample(all_cores, one_core * cores, {"one core": one_core, "cores": float(cores)})


async def measure_check(workshop: Workshop) -> Sample:
    """A peer's bundles of 256, from their bytes to the verdict of every stateless gate."""
    bundles, parameters = _bundles(workshop), Parameters()

    def check() -> None:
        for bundle in bundles:
            _all_good(decode_bundle(bundle), parameters)

    return Sample(items_per_second(RECOVERIES, check), one_core_recoveries_per_second(workshop))


async def measure_check_of_json(workshop: Workshop) -> Sample:
    """Clients' bodies, one JSON object each, to the same verdict, in chunks of 256."""
    bodies, parameters = [one.body for one in proofs_of(workshop)], Parameters()

    def check() -> None:
        for start in range(0, RECOVERIES, CHUNK_PROOFS):
            _all_good([parse_submission(body) for body in bodies[start : start + CHUNK_PROOFS]], parameters)

    return Sample(items_per_second(RECOVERIES, check), one_core_recoveries_per_second(workshop))


def _all_good(proofs: Sequence[SignedProof], parameters: Parameters) -> None:
    refusal = next(filter(None, check_stateless_many(proofs, parameters)), None)
    if refusal is not None:
        raise RuntimeError(f"a good proof is refused: {refusal.code}: {refusal.message}")


PLANS = (
    RowPlan(
        "recover_limit",
        "public keys recovered by libsecp256k1, on all cores at once",
        "recoveries/s",
        measure_limit,
        limit_is="one core, times the cores",
    ),
    RowPlan(
        "proof_check",
        "bytes of a peer's bundle of 256 to the verdict of every stateless gate, on one core",
        "proofs/s",
        measure_check,
        Bar(at_least=0.80, of="ratio"),
        limit_is="bare recovery, on one core",
    ),
    RowPlan(
        "proof_check_json",
        "the same from clients' JSON",
        "proofs/s",
        measure_check_of_json,
        Bar(at_least=0.65, of="ratio"),
        limit_is="bare recovery, on one core",
    ),
)
