"""The part of a node that is told of each batch for what is only shown: the guardrails see it whatever else fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from p2p.memory import MemoryHub
from step_node.chain.judging import JudgedBatch
from step_node.economy.guardrails.guardrail import Guardrail
from step_node.errors import leaves
from step_node.node.node import Node
from tests.integration.test_nodes_in_memory import fresh_proofs
from tests.node.test_guardrail_watch import file_in, plant
from tests.support.chains import make_genesis, validator_names
from tests.support.nodes import QUICK, running_node


class Unforeseen(Exception):
    """What nobody thought of."""


def _fails(_: object) -> None:
    raise Unforeseen


def fairness_fails(node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node.economy.fairness, "after_batch", _fails)


def window_fails(node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node.economy.observatory, "finalised", _fails)


def feed_fails(node: Node, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node.feed, "finalised", _fails)


@pytest.mark.parametrize("fault", [fairness_fails, window_fails, feed_fails])
async def test_a_fault_of_another_part_hides_no_batch_from_the_guardrails(
    fault: Callable[[Node, pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the node; what is wrong with the batch was found before, and the next start tells it."""
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)

    async def until_it_ends() -> None:
        async with running_node(MemoryHub(), name, genesis, tmp_path, guardrail_file=file_in(tmp_path)) as node:
            plant(patch)
            fault(node, patch)
            (proof,) = fresh_proofs(1, prefix="wrong")
            await node.admission.submit(proof, wait_ms=60_000, source="client")
            await trio.sleep_forever()

    with monkeypatch.context() as patch, pytest.raises(BaseExceptionGroup) as ended:
        await until_it_ends()
    assert [type(one) for one in leaves(ended.value)] == [Unforeseen]
    async with running_node(MemoryHub(), name, genesis, tmp_path, guardrail_file=file_in(tmp_path)) as node:
        found = {one.breach.guardrail: one.breach.height for one in node.economy.guardrails.broken}
        assert found == {Guardrail.REWARDS: 1, Guardrail.SUPPLY: 1}


async def test_the_other_parts_are_told_after_the_guardrails_and_of_every_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    async with running_node(MemoryHub(), name, genesis, tmp_path) as node:
        economy, told = node.economy, list[tuple[str, int]]()
        checks, folds, window = economy.guardrails.after_batch, economy.fairness.after_batch, economy.observatory

        async def checked(judged: JudgedBatch) -> None:
            await checks(judged)
            told.append(("guardrails", economy.guardrails.checked_height))

        def folded(judged: JudgedBatch) -> None:
            folds(judged)
            told.append(("fairness", judged.batch.header.height))

        monkeypatch.setattr(economy.guardrails, "after_batch", checked)
        monkeypatch.setattr(economy.fairness, "after_batch", folded)
        for number in (1, 2):
            (proof,) = fresh_proofs(1, prefix=f"one-{number}")
            await node.admission.submit(proof, wait_ms=60_000, source="client")
        height = node.status().height
        assert told == [(part, one) for one in range(1, height + 1) for part in ("guardrails", "fairness")]
        with trio.fail_after(60):
            while window.window.height < height:
                await trio.sleep(0.01)
        assert economy.needed_from == 1  # Of an epoch that has no report yet.


async def test_how_many_proofs_the_window_holds_is_shown(tmp_path: Path) -> None:
    """What they take of memory is no leak."""
    genesis, (name,) = make_genesis(1, **QUICK), validator_names(1)
    async with running_node(MemoryHub(), name, genesis, tmp_path) as node:
        assert node.registry.get_sample_value("step_window_proofs") == 0
        for proof in fresh_proofs(3, prefix="held"):
            await node.admission.submit(proof, wait_ms=60_000, source="client")
        assert node.registry.get_sample_value("step_window_proofs") == 3
