"""Measuring what a node's work costs on this machine, by calling the functions that a node calls.

All of it is time of the processor, so that a busy machine does not count, but for a file made durable, which is
measured by the clock. The machine is taken for what each validator has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Final

from consensus.inputs import MessageReceived, WorkAvailable, encode_input
from consensus.machine import apply
from consensus.messages import Commit, CommitSignature, PreCommit, PreVote, encode_message
from consensus.state import ConsensusState
from consensus.wire import encode
from step_node.api.submissions.single import parse_submission
from step_node.batch.batch import Batch, decode_batch, encode_batch
from step_node.batch.outline import decode_outline, outline_of
from step_node.chain.chain import Chain
from step_node.clock import SystemClock
from step_node.crypto.eip191 import address_of, public_key_of, sign
from step_node.crypto.lines import recover_signer
from step_node.durable.record_log import RecordLog
from step_node.engine.machine_runner import timeouts_of
from step_node.ledger.apply import keys_of
from step_node.ledger.state_gates import check_clock
from step_node.mempool.journal import open_journal
from step_node.mempool.pool import Mempool
from step_node.mempool.verdicts import refusal_at
from step_node.network.consensus_judge import ConsensusJudge
from step_node.network.protocols import decode_gossiped
from step_node.parameters import Parameters
from step_node.proofs.gates import check_stateless_many
from step_node.proofs.proof import SignedProof
from step_node.proofs.wire import BUNDLE_PROOFS_MAX, check_bundle, encode_bundle
from step_node.storage.memory import MemoryStorage
from step_node.testing.bench.growth import state_costs
from step_node.testing.bench.plans import Workshop
from step_node.testing.load.material import sign_for_now
from step_node.testing.simulator.chain import validator_keys
from step_node.testing.wan.costs import Costs, GossipCosts, ProofCosts
from step_node.testing.wan.world import genesis_of

PROOFS: Final = 1_000
CHUNK_PROOFS: Final = 256
ROUNDS: Final = 3
SYNCS: Final = 20
MS_A_SECOND: Final = 1_000


async def measured_proof_costs(workshop: Workshop, accounts: int) -> ProofCosts:
    """Those of each proof; the store is one of so many accounts."""
    signed = sign_for_now(PROOFS)
    proofs = [parse_submission(one.body) for one in signed]
    store = await state_costs(workshop, accounts)
    batch = await _batch_of(proofs)
    encoded, outline = encode_batch(batch), encode(outline_of(batch, encloses=lambda _: False))
    known = {proof.proof_id: proof for proof in proofs}
    parameters = Parameters()
    bundles = [
        encode_bundle(proofs[start : start + BUNDLE_PROOFS_MAX]) for start in range(0, PROOFS, BUNDLE_PROOFS_MAX)
    ]

    def check() -> None:
        for start in range(0, PROOFS, CHUNK_PROOFS):
            if any(check_stateless_many(proofs[start : start + CHUNK_PROOFS], parameters)):
                raise RuntimeError("a good proof is refused")

    def unbundle() -> None:
        for bundle in bundles:
            check_bundle(bundle).decode(0, BUNDLE_PROOFS_MAX)

    return ProofCosts(
        submission_us=us_each(PROOFS, lambda: [parse_submission(one.body) for one in signed]),
        check_us=us_each(PROOFS, check),
        admit_us=await _admit_us(proofs),
        journal_us=await _journal_us(proofs, workshop.fresh_folder()),
        bundle_us=us_each(PROOFS, unbundle),
        load_us=store["load"],
        apply_us=store["load and build"] - store["load"],
        finalise_us=store["finalise"],
        propose_us=us_each(
            PROOFS, lambda: (encode_batch(replace(batch)), encode(outline_of(batch, encloses=lambda _: False)))
        ),
        fill_us=us_each(PROOFS, lambda: encode_batch(_filled(outline, known))),
        decode_us=us_each(PROOFS, lambda: decode_batch(encoded)),
        sync_ms=_sync_ms(workshop.fresh_folder()),
    )


async def measured_costs(proof_costs: ProofCosts, validators: int, gossip: GossipCosts) -> Costs:
    """All costs in a set of so many validators."""
    genesis, keys = genesis_of(validators), validator_keys(validators)
    storage = MemoryStorage()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    chain = await Chain.open(genesis=genesis, storage=storage, clock=SystemClock(), known=Mempool().get)
    votes = [_pre_vote(genesis.chain_id, key) for key in keys]
    messages = [encode_message(vote) for vote in votes]
    lines = [(vote.signing_line(genesis.chain_id), vote.signature) for vote in votes]

    def recover() -> None:
        recover_signer.cache_clear()
        for line, signature in lines:
            recover_signer(line, signature)

    def judge() -> None:
        judge = ConsensusJudge(chain)
        for message in messages:
            judge.judge(message)

    state = ConsensusState.begin(
        chain_id=genesis.chain_id,
        height=chain.next_height,
        validators=chain.validators,
        own_address=address_of(public_key_of(keys[0])),
        timeouts=timeouts_of(genesis.parameters),
    )
    begun = apply(state, WorkAvailable()).state

    def step() -> None:
        state = begun
        for vote in votes:
            received = MessageReceived(vote)
            state = apply(state, received).state
            encode_input(received)

    commit = encode_message(_commit(genesis.chain_id, keys[: chain.validators.quorum]))
    recover_us = us_each(validators, recover)
    return Costs(
        **{name: getattr(proof_costs, name) for name in ProofCosts.__dataclass_fields__},
        message_us=us_each(validators, judge),  # The keys are in the cache by now.
        recover_us=recover_us,
        step_us=us_each(validators, step),
        commit_us=us_each(chain.validators.quorum, lambda: decode_gossiped(commit)),
        gossip=gossip,
    )


def us_each(items: int, work: Callable[[], object]) -> float:
    """µs of this thread's processor for each of `items` things that one call of `work` does: the median of a few."""
    taken = []
    for _ in range(ROUNDS):
        began_ns = time.thread_time_ns()
        work()
        taken.append((time.thread_time_ns() - began_ns) / 1_000 / items)
    return median(taken)


def _filled(outline: bytes, known: dict[bytes, SignedProof]) -> Batch:
    batch = decode_outline(outline).filled(known.get)
    if batch is None:
        raise RuntimeError("an outline of known proofs cannot be filled")
    return batch


async def _batch_of(proofs: Sequence[SignedProof]) -> Batch:
    genesis = genesis_of(1)
    storage = MemoryStorage()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    chain = await Chain.open(genesis=genesis, storage=storage, clock=SystemClock(), known=Mempool().get)
    judged = await chain.build(proofs, round_number=0, proposer=chain.validators.proposer(1, 0).address)
    if judged is None or len(judged.batch.proofs) != len(proofs):
        raise RuntimeError("not every proof could be put into a batch")
    return judged.batch


async def _admit_us(proofs: Sequence[SignedProof]) -> float:
    genesis, storage, now_ms = genesis_of(1), MemoryStorage(), SystemClock().now_ms()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    state = await storage.load(keys_of(proofs))
    parameters = genesis.parameters

    def admit() -> None:
        mempool = Mempool(proofs_max=10 * len(proofs))
        for proof in proofs:
            refusal = check_clock(proof, now_ms, parameters) or refusal_at(proof, state, now_ms)
            if refusal or mempool.check(proof, parameters, newcomer_from="client"):
                raise RuntimeError("a good proof is refused")
            mempool.add(proof, newcomer_from="client")
        mempool.candidates(len(proofs), time_ms=now_ms, parameters=parameters)
        for proof in proofs:
            mempool.waited_ms(proof.proof_id)
            mempool.remove(proof.proof_id)

    return us_each(len(proofs), admit)


async def _journal_us(proofs: Sequence[SignedProof], folder: Path) -> float:
    """On all threads: SQLite works on another."""
    folder.mkdir()
    async with open_journal(folder / "journal.sqlite", bytes(32)) as journal:
        began_ns = time.process_time_ns()
        for start in range(0, len(proofs), CHUNK_PROOFS):
            await journal.accept(proofs[start : start + CHUNK_PROOFS], now_ms=0)
        await journal.settle(finalised=[proof.proof_id for proof in proofs], dropped=[], now_ms=0)
        return (time.process_time_ns() - began_ns) / 1_000 / len(proofs)


def _sync_ms(folder: Path) -> float:
    """An entry of a log appended and made durable."""
    folder.mkdir()
    log, _ = RecordLog.open(folder / "log", b"step bench")
    taken = []
    for _ in range(SYNCS):
        began = time.perf_counter()
        log.append(bytes(300))
        log.sync()
        taken.append(time.perf_counter() - began)
    log.close()
    return median(taken) * MS_A_SECOND


def _pre_vote(chain_id: str, key: bytes) -> PreVote:
    vote = PreVote(1, 0, bytes(32), address_of(public_key_of(key)))
    return PreVote(vote.height, vote.round, vote.batch_hash, vote.validator, sign(vote.signing_line(chain_id), key))


def _commit(chain_id: str, keys: Sequence[bytes]) -> Commit:
    signatures = []
    for key in keys:
        address = address_of(public_key_of(key))
        line = PreCommit(1, 0, bytes(32), address).signing_line(chain_id)
        signatures.append(CommitSignature(address, sign(line, key)))
    return Commit(1, 0, bytes(32), tuple(signatures))
