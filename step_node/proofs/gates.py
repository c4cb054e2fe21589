"""The stateless gates, in the protocol's order (protocol.md §2): anyone can check them from the proof alone.

`SignedProof` stands for the first, INVALID_PAYLOAD: nothing else decodes to one. Then LOW_GPS_ACCURACY, BAD_SIGNATURE,
OUT_OF_BOUNDS; the first that fails gives the code. The gates that need the ledger are in `step_node.ledger`.

Checking is pure and may run on any thread. Its cost is signature recovery in libsecp256k1, which runs without the
interpreter's lock, so `verify_on_threads` hands whole chunks to worker threads: one hop for dozens of proofs,
never one for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import trio

from mesh import contains, contains_array
from step_node.crypto.eip191 import BadSignature, recover_address
from step_node.offload import run_blocking
from step_node.parameters import Parameters
from step_node.proofs.proof import Refusal, RefusalCode, SignedProof

CHUNK_PROOFS_MIN = 32
CHUNK_PROOFS_MAX = 256
"""Proofs checked in one hop to a worker thread, 1 to 10 ms of work against 50 µs for the hop: as many as let every
thread have a chunk."""

VERIFYING_THREADS_MAX = max(2, os.cpu_count() or 2)
"""Chunks beyond as many wait; so a flood of proofs takes no more of the machine than this, whoever sends it."""

_VECTORISED_PROOFS_MIN = 128
"""Below as many, NumPy's overhead costs more than it saves (6 µs a proof one by one; of 256 at once, 3 µs each)."""

_OUT_OF_BOUNDS = Refusal(RefusalCode.OUT_OF_BOUNDS, "lat, lon: the point must be in the triangle triangleId")

_threads: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("proof_verifying_threads")


def check_stateless(proof: SignedProof, parameters: Parameters) -> Refusal | None:
    """The first stateless gate that refuses `proof`, or None. Pure; some 40 µs, so not for the event loop."""
    refusal = _check_accuracy(proof, parameters) or _check_signature(proof)
    if refusal is None and not contains(proof.triangle, proof.lat, proof.lon):
        return _OUT_OF_BOUNDS
    return refusal


def check_stateless_many(proofs: Sequence[SignedProof], parameters: Parameters) -> list[Refusal | None]:
    """`check_stateless` for each proof, in order, with the bounds of all computed at once. Pure."""
    # Recoveries in a row, so that the threads get in each other's way as little as can be: see keccak.py.
    refusals = [_check_accuracy(proof, parameters) or _check_signature(proof) for proof in proofs]
    return [
        refusal or (None if is_inside else _OUT_OF_BOUNDS)
        for refusal, is_inside in zip(refusals, _contained(proofs), strict=True)
    ]


async def verify_on_threads(proofs: Sequence[SignedProof], parameters: Parameters) -> list[Refusal | None]:
    """`check_stateless_many` on at most `VERIFYING_THREADS_MAX` worker threads, in chunks; answers in order.

    A cancelled caller waits for the chunks that are being checked, some milliseconds.
    """
    verdicts: list[Refusal | None] = [None] * len(proofs)
    limiter = _thread_limiter()
    fair_share = -(-len(proofs) // VERIFYING_THREADS_MAX)
    chunk_proofs = min(max(fair_share, CHUNK_PROOFS_MIN), CHUNK_PROOFS_MAX)

    async def check_chunk(start: int) -> None:
        chunk = proofs[start : start + chunk_proofs]
        verdicts[start : start + len(chunk)] = await run_blocking(
            check_stateless_many, chunk, parameters, limiter=limiter
        )

    async with trio.open_nursery() as nursery:
        for start in range(0, len(proofs), chunk_proofs):
            nursery.start_soon(check_chunk, start)
    return verdicts


def _contained(proofs: Sequence[SignedProof]) -> Iterable[bool]:
    if len(proofs) < _VECTORISED_PROOFS_MIN:
        return [contains(proof.triangle, proof.lat, proof.lon) for proof in proofs]
    inside: list[bool] = contains_array(
        [int(proof.triangle) for proof in proofs], [proof.lat for proof in proofs], [proof.lon for proof in proofs]
    ).tolist()
    return inside


def _thread_limiter() -> trio.CapacityLimiter:
    """One for each trio run, shared by all callers."""
    try:
        return _threads.get()
    except LookupError:
        limiter = trio.CapacityLimiter(VERIFYING_THREADS_MAX)
        _threads.set(limiter)
        return limiter


def _check_accuracy(proof: SignedProof, parameters: Parameters) -> Refusal | None:
    if proof.accuracy_m <= parameters.gps_max_accuracy_m:
        return None
    return Refusal(RefusalCode.LOW_GPS_ACCURACY, f"accuracy: must be at most {parameters.gps_max_accuracy_m} metres")


def _check_signature(proof: SignedProof) -> Refusal | None:
    try:
        recovered = recover_address(proof.proof_id, proof.signature)
    except BadSignature as error:
        return Refusal(RefusalCode.BAD_SIGNATURE, f"signature: {error}")
    if recovered == proof.account:
        return None
    return Refusal(
        RefusalCode.BAD_SIGNATURE, f"signature: must be by account; it is by 0x{recovered.hex()} or over another line"
    )
