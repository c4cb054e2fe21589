"""All three engines hold the same validators, accounts and slashings after the same real batches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from consensus.evidence import contradiction
from consensus.messages import Evidence, PreVote
from step_node.batch.batch import decode_batch, encode_batch
from step_node.chain.chain import Chain
from step_node.crypto.eip191 import sign
from step_node.ledger.commitment import state_root
from step_node.operations.operation import Operation
from step_node.storage.open import MemorySettings, MongoSettings, SqliteSettings, open_storage
from tests.support.chains import CHAIN_ID, commit_for, make_genesis, open_chain, validator_names
from tests.support.clock import SetClock
from tests.support.mongod import new_database_name
from tests.support.operations import STAKE_USTEP, register, rotate, set_address, unbond, withdraw
from tests.support.proofs import START_MS, address, private_key, signed_proof

NAMES = validator_names(4)
KEYS = [*NAMES, "hot", "new"]
GENESIS = make_genesis(4, allocations={"alice": 2 * STAKE_USTEP}, epoch_batches=2, unbonding_ms=4_000, jail_ms=5_000)


def double_vote(name: str, height: int) -> Evidence:
    def vote(batch_hash: bytes | None) -> PreVote:
        message = PreVote(height, 0, batch_hash, address(name))
        signature = sign(message.signing_line(CHAIN_ID), private_key(name))
        return PreVote(height, 0, batch_hash, address(name), signature)

    return contradiction(vote(None), vote(b"\x01" * 32))


async def grow(
    chains: Sequence[Chain], *, operations: Sequence[Operation] = (), evidence: Sequence[Evidence] = ()
) -> None:
    """One batch, built by the first and judged by all; each opened chain finalises it in its own store."""
    first = chains[0]
    proof = signed_proof(f"walker-{first.next_height}", timestamp_ms=first.head.chain.timestamp_ms)
    built = await first.build(
        [proof],
        round_number=0,
        proposer=first.validators.proposer(first.next_height, 0).address,
        evidence=[(piece, first.offence_in(piece)) for piece in evidence],
        operations=operations,
    )
    assert built is not None
    assert (len(built.batch.evidence), len(built.batch.operations)) == (len(evidence), len(operations))
    signers = [name for name in KEYS if address(name) in first.validators]
    for chain in chains:
        judged = await chain.judge(decode_batch(encode_batch(built.batch)), proposed_in_round=0, judge_clock=True)
        assert judged == built
        await chain.finalise(judged, commit_for(judged.batch, signers))


async def test_the_same_lives_on_every_engine(mongodb_uri: str, tmp_path: Path) -> None:
    clock = SetClock(START_MS)
    settings = (
        MemorySettings(),
        SqliteSettings(tmp_path / "store.sqlite"),
        MongoSettings(mongodb_uri, new_database_name()),
    )
    history: list[tuple[list[Operation], list[Evidence]]] = [
        ([register("alice", "hot", 0)], []),
        ([unbond(NAMES[0], NAMES[0], 0), rotate(NAMES[1], NAMES[1], "new", 0)], []),
        ([], [double_vote(NAMES[1], 2)]),
        ([set_address("alice", "hot", 1), set_address(NAMES[2], NAMES[2], 0, "/dns4/moved.example/tcp/2")], []),
        ([], [double_vote(NAMES[2], 4), double_vote("hot", 5)]),
        ([], []),
        ([withdraw(NAMES[0], NAMES[0], 1)], []),
        ([], []),
        ([], []),
    ]
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(open_storage(one)) for one in settings]
        for operations, evidence in history:
            clock.advance(1_000)
            # Opened anew each time: what is read back is what was written.
            chains = [await open_chain(GENESIS, storage=store, clock=clock) for store in stores]
            await grow(chains, operations=operations, evidence=evidence)
        heads = [await store.head() for store in stores]
        assert heads[0] == heads[1] == heads[2]
        assert len({state_root(head.lanes) for head in heads}) == 1
        addresses = {record.address: record.p2p_address for record in heads[0].validators}
        assert addresses[address("hot")] == "/memory/moved"
        assert addresses[address(NAMES[2])] == "/dns4/moved.example/tcp/2"
        slashings = [list(await store.slashings(limit=10)) for store in stores]
        assert slashings[0] == slashings[1] == slashings[2]
        assert [one.validator for one in slashings[0]] == [address("hot"), address(NAMES[2]), address("new")]
        accounts = [await store.account(address(NAMES[0])) for store in stores]
        assert accounts[0] == accounts[1] == accounts[2]
        assert accounts[0] is not None
        assert accounts[0].operations == 2
