"""Exponents of cost over size, and chains that look as if they had run for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.economy.guardrails.band import Origin
from step_node.economy.guardrails.guardrails import Guardrails
from step_node.ledger.commitment import commit_encoded
from step_node.ledger.records import record_bytes
from step_node.node.opening import _check_state
from step_node.storage.sqlite import SqliteStorage
from step_node.testing.bench import grown_chain, growth
from step_node.testing.bench.grown_chain import (
    SEED,
    GrowthPlan,
    bench_genesis,
    grown_state,
    lengthen,
    made_up_address,
    restore_into,
)
from step_node.testing.bench.growth import exponent, nonce_window_ms
from step_node.testing.bench.plans import Workshop
from step_node.testing.load.provers import Provers
from tests.support.proofs import START_MS, private_key


def test_a_cost_that_stays_has_exponent_0_and_one_that_grows_with_the_size_1() -> None:
    sizes = [1_000, 10_000, 100_000]
    assert exponent(sizes, [5.0, 5.0, 5.0]) == pytest.approx(0)
    assert exponent(sizes, [5.0, 50.0, 500.0]) == pytest.approx(1)
    assert exponent(sizes, [5.0, 10.0, 20.0]) == pytest.approx(0.30103)


async def test_a_grown_state_adds_up_so_that_a_node_starts_on_it(tmp_path: Path) -> None:
    key = private_key("validator")
    genesis = bench_genesis([key], START_MS - 60_000)
    plan = GrowthPlan(300, START_MS, 1.0, made_up_address, Provers(SEED, genesis.parameters.seeded_level))
    state = await grown_state(genesis, {address_of(public_key_of(key)): key}, plan)
    storage = await SqliteStorage.open(tmp_path / "ledger.sqlite")
    try:
        await restore_into(storage, genesis, state)
        await _check_state(storage)  # Conservation and the state root, as at every start.
        totals = await storage.totals()
        assert (totals.accounts, totals.triangles) == (301, 301)
    finally:
        await storage.close()


async def test_a_grown_chain_is_lengthened_by_batches_that_were_really_finalised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grown_chain, "HISTORY_ACCOUNTS", 1_010)  # Somebody has a second turn, after the moratorium.
    key = private_key("validator")
    keys = {address_of(public_key_of(key)): key}
    genesis = bench_genesis([key], START_MS - 60_000)
    plan = GrowthPlan(50, START_MS, 1.0, made_up_address, Provers(SEED, genesis.parameters.seeded_level))
    storage = await SqliteStorage.open(tmp_path / "ledger.sqlite")
    try:
        await restore_into(storage, genesis, await grown_state(genesis, keys, plan))
        await lengthen(storage, genesis, keys, plan, batches=102, end_ms=START_MS + 60_000)
        await _check_state(storage)
        head, totals = await storage.head(), await storage.totals()
        assert (head.chain.height, head.chain.timestamp_ms) == (103, START_MS + 60_000)
        assert (totals.triangles, totals.proofs) == (51 + 1_010, 102 * grown_chain.HISTORY_PROOFS)
        origin = Origin(genesis.supply_ustep, 1, counts_all=True)
        band = Guardrails(origin, head, await storage.level_counts()).supply_band
        assert band.least_ustep <= head.chain.minted_ustep <= band.most_ustep
        assert band.most_ustep - band.least_ustep <= head.chain.height
    finally:
        await storage.close()


@pytest.mark.costly
async def test_a_state_has_accounts_that_are_nowhere_and_those_are_not_asked_to_prove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (grown_chain, growth):
        monkeypatch.setattr(module, "PLACED", growth.BATCH_PROOFS + 100)
    monkeypatch.setattr(growth, "BATCHES", 2)
    costs = await growth.state_costs(Workshop(tmp_path), 2 * growth.BATCH_PROOFS)
    assert set(costs) == {"load", "load and build", "finalise"}


def test_a_state_with_one_record_less_has_another_commitment() -> None:
    plan = GrowthPlan(3, START_MS, 1.0, made_up_address, Provers(SEED, 10))
    records = [record_bytes(record) for page in plan.pages() for record in page]
    assert len(records) == 9
    assert commit_encoded(bytes(2_048), records) != commit_encoded(bytes(2_048), records[:-1])


def test_nonces_leave_when_their_proofs_have_been_too_old_for_as_long_again() -> None:
    parameters = bench_genesis([private_key("validator")], START_MS).parameters
    assert nonce_window_ms(parameters) == 2 * (parameters.proof_max_age_ms + parameters.clock_drift_ms)
