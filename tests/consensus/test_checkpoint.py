"""A checkpoint in the log stands for all inputs before it: the state comes back as it was."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.checkpoint import Checkpoint, KeptRound, checkpoint_entries, decode_entry, replay
from consensus.state import ConsensusState, RoundState
from tests.consensus.network import Network

pytestmark = pytest.mark.costly


def restored(state: ConsensusState) -> ConsensusState:
    again = ConsensusState.begin(state.chain_id, state.height, state.validators, state.own_address, state.timeouts)
    for entry in checkpoint_entries(state):
        again = replay(again, decode_entry(entry)).state
    return again


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), count=st.sampled_from([1, 2, 4]), steps=st.integers(0, 1_500))
def test_every_state_comes_back_from_its_checkpoint(seed: int, count: int, steps: int) -> None:
    network = Network(seed, count, count // 4)
    network.chaos(steps)
    for node in network.nodes.values():
        assert restored(node.state) == node.state
        # What the rules read in an order of their own must come in that order again.
        assert checkpoint_entries(restored(node.state)) == checkpoint_entries(node.state)


def test_a_checkpoint_has_every_field_of_a_state() -> None:
    begun_with = {"chain_id", "validators", "timeouts"}
    apart = {"batches"}
    names = {one.name for one in fields(ConsensusState)} - begun_with - apart
    assert names == {one.name for one in fields(Checkpoint)} - {"type"}
    assert {one.name for one in fields(RoundState)} | {"number"} == {one.name for one in fields(KeptRound)}
