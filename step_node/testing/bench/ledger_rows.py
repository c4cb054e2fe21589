"""Applying batches: the pure function of the ledger, on one core, nothing loaded and nothing written.

The state is one in which every proof changes six records, as on a chain that has run for long: the account was there,
its triangle too, and a nonce leaves for each that comes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from blake3 import blake3

from step_node.ledger.apply import EXPIRED_NONCES_PER_PROOF, LedgerInput, apply_batch, keys_of
from step_node.ledger.commitment import LANES_BYTES
from step_node.ledger.records import Account, LastProof, NonceRecord, Triangle, record_bytes
from step_node.ledger.state import Changes, StateHead, StateSlice
from step_node.proofs.proof import SignedProof
from step_node.testing.bench.figures import Bar, Sample
from step_node.testing.bench.grown_chain import SEED, bench_genesis, unsigned_proof
from step_node.testing.bench.plans import RowPlan, Workshop
from step_node.testing.load.provers import Provers

PROOFS = 1_000
BATCHES = 10
RECORDS = 6 * PROOFS
"""Of a batch: account and triangle before and after, a nonce that comes and one that leaves."""
RECORDS_A_BLOCK = 60
"""Summed at a time for the limit: what stays in a processor's second cache."""
MINUTE_MS = 60_000
START_MS = 1_780_000_000_000


def slice_for(head: StateHead, proofs: Sequence[SignedProof], before_ms: int) -> StateSlice:
    """The state of accounts that have proven once before, in triangles clicked once, and as many nonces that leave."""
    keys = keys_of(proofs)
    accounts: dict[bytes, Account | None] = {
        proof.account: Account(proof.account, 1_953, 1, LastProof(before_ms, proof.lat, proof.lon)) for proof in proofs
    }
    triangles: dict[int, Triangle | None] = dict.fromkeys(keys.triangles)
    triangles |= {int(proof.triangle): Triangle(int(proof.triangle), 1) for proof in proofs}
    return StateSlice(
        head,
        accounts,
        triangles,
        dict.fromkeys(keys.nonces),
        tuple(sorted((NonceRecord(proof.account, "gone", before_ms) for proof in proofs), key=lambda one: one.account)),
    )


async def measure_apply(workshop: Workshop) -> Sample:
    """Batches of 1,000 proofs of known accounts, one on top of the other, the state root included."""
    made = workshop.kept.get("ledger batches")
    if not isinstance(made, list):
        made = workshop.kept["ledger batches"] = _made_batches()
    seconds, changes = 0.0, None
    for state, batch in made:
        slice_now = state if changes is None else replace(state, head=changes.head)
        began_ns = time.thread_time_ns()
        changes = apply_batch(slice_now, batch).changes
        seconds += (time.thread_time_ns() - began_ns) / 1e9
    if changes is None or len(changes.accounts) != PROOFS:
        raise RuntimeError("a batch was not applied as a whole")
    return Sample(PROOFS * BATCHES / seconds, _hashing_per_second(changes))


def _made_batches() -> list[tuple[StateSlice, LedgerInput]]:
    head = bench_genesis([hashlib.sha256(b"step bench validator").digest()], START_MS).head()
    provers = Provers(SEED, head.parameters.seeded_level)
    made = []
    for number in range(BATCHES):
        at_ms = START_MS + (number + 1) * MINUTE_MS
        proofs = tuple(
            unsigned_proof(provers, number * PROOFS + index, at_ms, f"n-{number}") for index in range(PROOFS)
        )
        state = slice_for(head, proofs, at_ms - EXPIRED_NONCES_PER_PROOF * MINUTE_MS)
        batch = LedgerInput(at_ms, bytes(20), (), proofs, hashlib.sha256(b"%d" % number).digest())
        made.append((state, batch))
    return made


def _hashing_per_second(changes: Changes) -> float:
    """What the state root asks for, whatever else is done: BLAKE3 of six records a proof, and their sum."""
    encoded = [record_bytes(one) for one in (changes.accounts[0], changes.triangles[0], changes.nonces_added[0])]
    blocks = [[encoded[index % len(encoded)] for index in range(RECORDS_A_BLOCK)]] * (RECORDS // RECORDS_A_BLOCK)
    total = np.zeros(LANES_BYTES // 2, dtype="<u2")
    began_ns = time.thread_time_ns()
    for block in blocks:
        digests = b"".join([blake3(record).digest(length=LANES_BYTES) for record in block])
        total += np.frombuffer(digests, dtype="<u2").reshape(-1, LANES_BYTES // 2).sum(axis=0, dtype="<u2")
    return PROOFS * 1e9 / (time.thread_time_ns() - began_ns)


PLANS = (
    RowPlan(
        "ledger_apply",
        "proofs applied in batches of 1,000, with known accounts, nonces that leave, and the state root, on one core",
        "proofs/s",
        measure_apply,
        Bar(at_least=50_000),
        limit_is="BLAKE3 of the six records that a proof changes, and their sum",
    ),
)
