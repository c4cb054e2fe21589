"""How much MongoDB looks at to give a page: about what is on it, however long the history before and behind is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymongo
import pytest

from step_node.ledger.state import StateKeys, TriangleRanges
from step_node.storage.interface import Storage
from step_node.storage.open import MongoSettings, open_storage
from tests.storage.made_up_chain import MadeUpChain, begin
from tests.support.mongod import new_database_name

LIMIT: Final = 3
KEYS_BEYOND: Final = 10
"""Keys that may be looked at beyond those of the page: the ends of ranges, and others of the batch where it begins."""


@dataclass
class Profiled:
    """A store of a chain of sixty batches, whose server writes down what each command looks at."""

    store: Storage
    chain: MadeUpChain
    database: Any

    async def keys_of(self, read: Callable[[], Awaitable[object]]) -> list[tuple[str, int]]:
        """The collection of each command of a read, and how many keys of indexes it has looked at."""
        self.database.command("profile", 2)
        await read()
        self.database.command("profile", 0)
        found = list(self.database["system.profile"].find({"keysExamined": {"$exists": True}}))
        self.database.drop_collection("system.profile")
        return [(one["ns"].rpartition(".")[2], max(one["keysExamined"], one["docsExamined"])) for one in found]


@pytest.fixture
async def profiled(mongodb_uri: str) -> AsyncIterator[Profiled]:
    """See `Profiled`."""
    name, chain = new_database_name(), MadeUpChain(seed=1, accounts=4)
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri) as client:
        async with open_storage(MongoSettings(mongodb_uri, name)) as store:
            await begin(store, chain)
            for _ in range(60):
                await store.finalise(chain.grow(proofs=8))
            yield Profiled(store, chain, client[name])


async def test_a_page_costs_what_is_on_it_wherever_it_begins(profiled: Profiled) -> None:
    store, chain = profiled.store, profiled.chain
    account = max(chain.addresses, key=lambda one: sum(p.account == one for b in chain.batches for p in b.proofs))
    low, middle, high = (10, 1), (30, 1), (55, 1)
    edges: Sequence[dict[str, Any]] = (
        {},
        {"before": middle},
        {"after": middle},
        {"before": high, "after": low},
        {"before": low},
        {"after": high},
    )
    for edge in edges:
        reads: dict[str, Callable[[], Awaitable[Sequence[object]]]] = {
            "proofs": lambda edge=edge: store.account_proofs(account, limit=LIMIT, **edge),  # type: ignore[misc]
            "slashings": lambda edge=edge: store.slashings(limit=LIMIT, **edge),  # type: ignore[misc]
            "validator_changes": lambda edge=edge: store.validator_changes(limit=LIMIT, **edge),  # type: ignore[misc]
        }
        if "after" not in edge:
            before = edge.get("before")
            reads["operations"] = lambda before=before: store.transactions(  # type: ignore[misc]
                account, before=before, limit=LIMIT
            )
        for collection, read in reads.items():
            looked_at = await profiled.keys_of(read)
            assert collection in dict(looked_at), (edge, looked_at)
            assert max(keys for _, keys in looked_at) <= LIMIT + KEYS_BEYOND, (collection, edge, looked_at)


async def test_many_ranges_of_triangles_cost_what_is_in_them(profiled: Profiled) -> None:
    ids = sorted(profiled.chain.triangles)
    ranges = tuple((one, one) for one in ids[::2])
    keys = StateKeys(ranges=TriangleRanges(ranges, records_max=LIMIT))
    looked_at = dict(await profiled.keys_of(lambda: profiled.store.load(keys)))
    # Each range is a branch of the plan, and is looked into once.
    assert looked_at["triangles"] <= len(ranges) + LIMIT + KEYS_BEYOND
    whole = StateKeys(ranges=TriangleRanges(((ids[0], ids[-1]),), records_max=LIMIT))
    looked_at = dict(await profiled.keys_of(lambda: profiled.store.load(whole)))
    assert looked_at["triangles"] <= LIMIT + KEYS_BEYOND
