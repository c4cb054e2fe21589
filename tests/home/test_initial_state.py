"""A home's copy of the initial state: an attempt that was cut short stands in nobody's way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from step_node.errors import StepNodeError
from step_node.home.config import NodeConfig
from step_node.home.keys import NodeKeys
from step_node.home.making import begin_home, complete_home, is_begun
from step_node.home.paths import NodeHome
from step_node.signing.keystore import KdfStrength
from step_node.snapshot.initial_state import InitialStateError
from tests.snapshot.test_initial_state import RECORDS, with_state


def begun_home(root: Path, chain_id: str) -> NodeHome:
    home = NodeHome(root)
    begin_home(
        home,
        keys=NodeKeys(p2p=bytes([7]) * 32, validator=bytes([8]) * 32),
        chain_id=chain_id,
        password="a password",
        strength=KdfStrength.DEVNET,
    )
    return home


def test_a_home_whose_completion_was_cut_short_after_the_copy_is_completed_by_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    genesis = with_state(state)
    home = begun_home(tmp_path / "node", genesis.chain_id)
    shutil.copy(state, home.initial_state)
    assert is_begun(home)
    complete_home(home, genesis=genesis, config=NodeConfig(), initial_state=state)
    assert not is_begun(home)
    assert home.initial_state.read_bytes() == state.read_bytes()


def test_what_lies_there_and_is_another_chain_s_is_named_and_not_overwritten(tmp_path: Path) -> None:
    state, other = tmp_path / "state", tmp_path / "other"
    genesis = with_state(state)
    with_state(other, RECORDS[:2])
    home = begun_home(tmp_path / "node", genesis.chain_id)
    shutil.copy(other, home.initial_state)
    with pytest.raises(InitialStateError, match=r"node/initial_state\.bin: .*it is another chain's file"):
        complete_home(home, genesis=genesis, config=NodeConfig(), initial_state=state)
    assert home.initial_state.read_bytes() == other.read_bytes()


def test_a_home_of_another_chain_gets_no_copy(tmp_path: Path) -> None:
    state = tmp_path / "state"
    genesis = with_state(state)
    home = begun_home(tmp_path / "node", "another-chain")
    with pytest.raises(StepNodeError, match="another"):
        complete_home(home, genesis=genesis, config=NodeConfig(), initial_state=state)
    assert not home.initial_state.exists()
