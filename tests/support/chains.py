"""Real chains, small enough for tests: a genesis with known validators, a store in memory, batches signed for real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consensus.messages import Commit, CommitSignature, PreCommit
from step_node.batch.batch import Batch
from step_node.chain.chain import Chain
from step_node.chain.genesis import Genesis, GenesisValidator
from step_node.chain.judging import JudgedBatch
from step_node.crypto.eip191 import public_key_of, sign
from step_node.mempool.pool import Mempool
from step_node.parameters import USTEP_PER_STEP, Parameters
from step_node.proofs.proof import SignedProof
from step_node.storage.interface import Storage
from step_node.storage.memory import MemoryStorage
from tests.support.clock import SetClock
from tests.support.proofs import START_MS, address, private_key

CHAIN_ID = "step-test-1"


def validator_names(count: int) -> list[str]:
    """The names of `count` validators, in the order of their addresses."""
    return sorted((f"validator-{index}" for index in range(count)), key=address)


def make_genesis(validators: int = 1, *, allocations: dict[str, int] | None = None, **parameters: Any) -> Genesis:
    """A genesis of `validators` validators with the minimum stake; `allocations` by name."""
    return Genesis(
        chain_id=CHAIN_ID,
        genesis_time_ms=START_MS - 60_000,
        parameters=Parameters(**parameters),
        validators=tuple(
            GenesisValidator(
                address="0x" + address(name).hex(),
                public_key="0x" + public_key_of(private_key(name)).hex(),
                stake_ustep=100_000 * USTEP_PER_STEP,
                p2p_address=f"/dns4/{name}/tcp/26600",
            )
            for name in validator_names(validators)
        ),
        allocations={"0x" + address(name).hex(): amount for name, amount in (allocations or {}).items()},
    )


async def open_chain(
    genesis: Genesis | None = None, *, storage: Storage | None = None, clock: SetClock | None = None
) -> Chain:
    """A chain at height 0 (or where `storage` has it)."""
    genesis = genesis or make_genesis()
    storage = storage or MemoryStorage()
    await storage.initialise(genesis.hash, genesis.head(), genesis.accounts())
    return await Chain.open(genesis=genesis, storage=storage, clock=clock or SetClock(START_MS), known=Mempool().get)


def commit_for(batch: Batch, names: Sequence[str], *, round_number: int | None = None) -> Commit:
    """The commit of `batch` by the validators with these names, really signed."""
    header = batch.header
    round_number = header.round if round_number is None else round_number
    signatures = []
    for name in sorted(names, key=address):
        vote = PreCommit(header.height, round_number, batch.hash, address(name))
        signatures.append(CommitSignature(address(name), sign(vote.signing_line(header.chain_id), private_key(name))))
    return Commit(header.height, round_number, batch.hash, tuple(signatures))


async def build(chain: Chain, proofs: Sequence[SignedProof], *, round_number: int = 0) -> JudgedBatch:
    """The batch of these proofs that the proposer of the next height builds; some must pass."""
    proposer = chain.validators.proposer(chain.next_height, round_number).address
    judged = await chain.build(proofs, round_number=round_number, proposer=proposer)
    assert judged is not None
    return judged


async def finalise(chain: Chain, proofs: Sequence[SignedProof]) -> JudgedBatch:
    """Build a batch of these proofs, have every validator commit it, and store it."""
    judged = await build(chain, proofs)
    names = validator_names(len(chain.validators))
    await chain.finalise(judged, commit_for(judged.batch, names))
    return judged
