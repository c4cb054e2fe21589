"""Agreement, no self-contradiction, termination: on seeded runs with loss, repetition, crashes and liars."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.consensus.network import Network

pytestmark = pytest.mark.costly

ROUNDS_MAX = 60


def run(seed: int, count: int, byzantine: int, steps: int, *, log_trouble: float = 0.0) -> Network:
    network = Network(seed, count, byzantine)
    network.log_trouble = log_trouble
    network.chaos(steps)
    network.become_good(ROUNDS_MAX)
    assert all(node.finalised for node in network.nodes.values()), [
        (node.index, node.state.round, node.state.step, node.state.locked_round) for node in network.nodes.values()
    ]
    assert len(network.decisions) == 1
    return network


@pytest.mark.parametrize(("count", "byzantine"), [(1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (7, 2)])
def test_seeded_runs_agree_and_terminate(count: int, byzantine: int) -> None:
    for seed in range(40):
        run(seed, count, byzantine, 150 * count)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), steps=st.integers(0, 2_500))
def test_four_validators_one_of_them_a_liar_agree_and_terminate(seed: int, steps: int) -> None:
    run(seed, 4, 1, steps)


@pytest.mark.parametrize(("count", "byzantine"), [(1, 0), (2, 0), (4, 0), (4, 1), (7, 2)])
def test_seeded_runs_in_which_logs_are_lost_agree_and_terminate(count: int, byzantine: int) -> None:
    """Half of the crashes take the consensus log with them; of those, a fifth the proof of lock too."""
    for seed in range(20):
        run(seed, count, byzantine, 150 * count, log_trouble=0.5)
