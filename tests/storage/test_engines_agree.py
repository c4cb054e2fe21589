"""After the same batches every engine gives the same answers, to the last byte of each record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from step_node.ledger.records import record_bytes
from step_node.storage.interface import Storage
from step_node.storage.open import MemorySettings, MongoSettings, SqliteSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, assert_holds, begin
from tests.support.mongod import new_database_name


@asynccontextmanager
async def every_engine(folder: Path, uri: str) -> AsyncIterator[Sequence[Storage]]:
    settings = (
        MemorySettings(),
        SqliteSettings(folder / "store.sqlite"),
        MongoSettings(uri, new_database_name()),
    )
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_storage(one)) for one in settings]


async def answers(store: Storage, chain: MadeUpChain) -> list[object]:
    """Everything the interface can be asked about this chain, in one comparable list."""
    loaded = await store.load(chain.all_keys())
    said: list[object] = [loaded, await store.head(), await store.totals(), await store.leaderboard(limit=500)]
    said.append({key: record_bytes(account) for key, account in loaded.accounts.items() if account is not None})
    for address in chain.addresses:
        said.append(await store.account_rank(address))
        said.append(await store.account_proofs(address, before=None, limit=500))
        said.append(await store.account_proofs(address, before=(2, 1), limit=3))
        said.append(await store.account_page(address, limit=20))
        said.append(await store.transactions(address, before=(2, 65), limit=3))
        said.append(await store.transactions(address, after=(1, 1), limit=3))
        said.append(await store.transactions(address, before=(4, 66), after=(1, 64), limit=3))
        said.append(await store.account_proofs(address, after=(2, 1), limit=3))
        said.append(await store.account_proofs(address, before=(4, 2), after=(1, 1), limit=3))
    for triangle_id in chain.triangles:
        said.append(await store.triangle_proofs(triangle_id, limit=500))
        said.append(await store.triangle_proofs(triangle_id, before=(2, 1), limit=3))
        said.append(await store.triangle_proofs(triangle_id, after=(2, 1), limit=3))
    said.append(await store.slashings(after=(2, 1), limit=3))
    said.append(await store.validator_changes(after=(2, 1), limit=3))
    said.append(await store.validator_changes(before=(4, 1), limit=3))
    said.append(await store.batches(1, 500))
    proof_ids = [proof.proof_id for batch in chain.batches for proof in batch.proofs]
    said.append(sorted(await store.receipts(proof_ids), key=lambda receipt: receipt.proof_id))
    return said


@hypothesis_settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), sizes=st.lists(st.integers(0, 25), max_size=8))
def test_the_same_batches_give_the_same_answers_on_every_engine(mongodb_uri: str, seed: int, sizes: list[int]) -> None:
    async def finalise_everywhere(folder: Path) -> None:
        chain = MadeUpChain(seed)
        batches = [chain.grow(size) for size in sizes]
        async with every_engine(folder, mongodb_uri) as stores:
            for store in stores:
                await begin(store, chain)
                for batch in batches:
                    await store.finalise(batch)
                await assert_holds(store, chain)
            said = [await answers(store, chain) for store in stores]
            assert said[0] == said[1]
            assert said[0] == said[2]

    with TemporaryDirectory() as folder:
        trio.run(finalise_everywhere, Path(folder))
