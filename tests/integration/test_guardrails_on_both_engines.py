"""Guardrails over both engines: who pays too much finds it with the same batch, and a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest

from p2p.memory import MemoryHub
from step_node.economy.guardrails.guardrail import OF_THE_LEDGER, Guardrail
from step_node.economy.guardrails.guardrails import Reading
from step_node.node.node import Node
from step_node.storage.interface import Storage
from step_node.storage.open import MongoSettings, open_storage
from tests.integration.test_nodes_in_memory import fresh_proofs, reach, submit_all
from tests.node.test_guardrail_watch import file_in, plant, until_checked
from tests.support.chains import make_genesis, validator_names
from tests.support.mongod import mongodb_uri, new_database_name
from tests.support.nodes import QUICK, running_node

__all__ = ["mongodb_uri"]


async def stands(nodes: Sequence[Node], height: int) -> list[dict[Guardrail, Reading]]:
    """How the guardrails of the ledger stand on each, once all have gone over that height."""
    await reach(nodes, height)
    for node in nodes:
        await until_checked(node)
    return [
        {one.guardrail: one for one in node.economy.guardrails.readings if one.guardrail in OF_THE_LEDGER}
        for node in nodes
    ]


async def test_what_all_pay_too_much_is_found_alike_on_both_engines_and_kept_over_a_restart(
    mongodb_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, hub, names = make_genesis(4, **QUICK), MemoryHub(), validator_names(4)
    engines: dict[str, Storage] = {}
    async with AsyncExitStack() as stores:
        for name in names[2:]:
            settings = MongoSettings(mongodb_uri, new_database_name())
            engines[name] = await stores.enter_async_context(open_storage(settings))

        def node_of(name: str) -> AbstractAsyncContextManager[Node]:
            home = tmp_path / name
            (home / "data").mkdir(parents=True, exist_ok=True)
            return running_node(
                hub, name, genesis, home, storage=engines.get(name), guardrail_file=file_in(home / "data")
            )

        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(node_of(name)) for name in names]
            await submit_all(nodes, fresh_proofs(8, prefix="right"))
            sound = max(node.status().height for node in nodes)
            first, *others = await stands(nodes, sound)
            assert all(one == first for one in others)
            assert not any(one.broken for one in first.values())
            with monkeypatch.context() as patch:
                plant(patch)
                await submit_all(nodes, fresh_proofs(1, prefix="wrong"))
                first, *others = await stands(nodes, sound + 1)
            assert all(one == first for one in others)
            broken = {name: one.broken for name, one in first.items() if one.broken is not None}
            assert {name: one.breach.height for name, one in broken.items()} == {
                Guardrail.REWARDS: sound + 1,
                Guardrail.SUPPLY: sound + 1,
            }
        async with AsyncExitStack() as stack:
            nodes = [await stack.enter_async_context(node_of(name)) for name in names]
            for node in nodes:
                found = {one.breach.guardrail: one for one in node.economy.guardrails.broken}
                assert found == broken
            # What was paid too much stays in the supply: the clicks that the store counts say so, too.
            for node in nodes:
                assert node.economy.guardrails.acknowledge(Guardrail.REWARDS) is not None
            await submit_all(nodes, fresh_proofs(2, prefix="after"))
            for now in await stands(nodes, sound + 2):
                assert {name for name, one in now.items() if one.broken is not None} == {Guardrail.SUPPLY}
