"""`store verify` before the first batch: the store is held against what genesis names."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from step_node.home.config import NodeConfig
from step_node.home.keys import NodeKeys
from step_node.home.making import write_home
from step_node.home.paths import NodeHome
from step_node.home.store import storage_settings
from step_node.signing.keystore import KdfStrength
from step_node.snapshot.initial_state import initialise_store
from step_node.storage.open import open_storage
from tests.cli.conftest import Command
from tests.snapshot.test_initial_state import RECORDS, with_state
from tests.support.chains import make_genesis


@pytest.fixture
def begun(tmp_path: Path) -> NodeHome:
    """A home whose store holds an initial state and an allocation, and no batch."""
    genesis = with_state(tmp_path / "state", genesis=make_genesis(allocations={"alice": 5}))
    home = NodeHome(tmp_path / "node")
    write_home(
        home,
        keys=NodeKeys(p2p=bytes([7]) * 32, validator=None),
        genesis=genesis,
        config=NodeConfig(),
        password="",
        strength=KdfStrength.DEVNET,
        initial_state=tmp_path / "state",
    )

    async def fill() -> None:
        async with open_storage(storage_settings(home, NodeConfig().storage)) as storage:
            await initialise_store(storage, genesis, home.initial_state)

    trio.run(fill)
    return home


def test_all_records_are_added_up_and_told(command: Command, begun: NodeHome) -> None:
    result = command("store", "verify", "--home", begun.root, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["height"], found["batches"], found["sound"]) == (0, 0, True)
    assert (found["accounts"], found["balances"], found["triangles"], found["nonces"]) == (3, "1.000012", 5, 1)
    assert found["records"] > len(RECORDS)
    result = command("store", "verify", "--home", begun.root)
    assert result.stdout.rstrip().endswith("records, of which 3 accounts hold 1.000012 STEP")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "UPDATE accounts SET balance_ustep = balance_ustep + 1 WHERE balance_ustep = 7",
            "(its 3 accounts hold 1000013 µSTEP, and the head of its chain says 1000012)",
        ),
        ("UPDATE triangles SET clicks = 3 WHERE clicks = 0", "the records of the store do not add up"),
        ("DELETE FROM nonces", "the records of the store do not add up"),
        ("UPDATE chain SET minted_ustep = minted_ustep + 1", "the records of the store do not add up"),
    ],
)
def test_what_a_hand_has_changed_is_found(command: Command, begun: NodeHome, change: str, reason: str) -> None:
    with closing(sqlite3.connect(begun.ledger)) as hand, hand:
        assert hand.execute(change).rowcount
    result = command("store", "verify", "--home", begun.root)
    assert result.exit_code == 1
    assert reason in result.stderr


def test_a_store_that_adds_up_and_is_of_another_beginning_is_found(command: Command, begun: NodeHome) -> None:
    other = with_state(begun.root.parent / "other", genesis=make_genesis(allocations={"alice": 6}))
    begun.genesis.write_text(other.model_dump_json(exclude_none=True))
    result = command("store", "verify", "--home", begun.root)
    assert result.exit_code == 1
    assert "damaged at height 0: it is not where genesis begins" in result.stderr
