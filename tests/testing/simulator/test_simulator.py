"""One seed is one history; the shipped code keeps its promises in a hundred of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from step_node.testing.simulator.campaign import Summary, quiet, run_campaign
from step_node.testing.simulator.settings import FaultKind, RunKind, SimulationSettings
from step_node.testing.simulator.world import simulate_seed

pytestmark = pytest.mark.costly

DIGESTS = """
import sys
from step_node.testing.simulator.campaign import quiet
from step_node.testing.simulator.settings import SimulationSettings
from step_node.testing.simulator.world import simulate_seed
with quiet():
    for seed in map(int, sys.argv[1:]):
        print(simulate_seed(seed, SimulationSettings()).digest)
"""


def digests(seeds: Sequence[int], *, hash_seed: str) -> list[str]:
    """The hashes of these histories, from a fresh process."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS, *map(str, seeds)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_seed_is_one_history_whatever_the_process_and_whatever_ran_before() -> None:
    first = digests([3, 4, 5], hash_seed="1")
    second = digests([5, 4, 3], hash_seed="2")
    assert first == list(reversed(second))
    assert len(set(first)) == 3


def test_without_faults_everything_is_finalised_by_everybody() -> None:
    with quiet():
        history = simulate_seed(1, SimulationSettings(faults=frozenset()))
    assert history.plan.kind is RunKind.LIVENESS
    assert not history.violations
    assert history.stuck is None
    assert history.batches_finalised >= 5
    assert history.equivocations_seen == 0


def test_a_history_can_be_read() -> None:
    with quiet():
        history = simulate_seed(0, SimulationSettings(faults=frozenset()), keep_lines=True)
    text = "\n".join(history.lines)
    assert "sends ProofBatch(height=1" in text
    assert "finalises 1" in text


@pytest.mark.parametrize(("validators", "seeds"), [(4, range(12)), (7, range(2)), (1, range(2))])
def test_no_promise_is_broken_under_all_faults(validators: int, seeds: range) -> None:
    bad: list[str] = []

    def look(history: object, _summary: Summary) -> None:
        violations, stuck = getattr(history, "violations", ()), getattr(history, "stuck", None)
        if violations or stuck:
            bad.append(f"seed {getattr(history, 'seed', '')}: {violations} {stuck}")

    summary = run_campaign(seeds, SimulationSettings(validators=validators), workers=1, on_history=look)
    assert bad == []
    assert summary.is_clean
    assert summary.runs == len(seeds)
    assert summary.batches_finalised > len(seeds)


@pytest.mark.long
@pytest.mark.slow
def test_the_command_runs_seeds_on_two_processes_and_ends_with_one_line_of_json() -> None:
    command = [sys.executable, "-m", "step_node.cli.main", "simulate", "--seeds", "4", "--workers", "2", "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    totals = json.loads(done.stdout.splitlines()[-1])
    assert totals["runs"] == 4
    assert totals["safety_violations"] == totals["liveness_violations"] == totals["double_signs_by_honest"] == 0
    assert set(totals) == set(Summary.__dataclass_fields__)


def test_an_unknown_fault_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from step_node.cli.main import app

    with pytest.raises(SystemExit) as stopped:
        app(["simulate", "--faults", "loss,ghosts"])
    assert stopped.value.code == 2
    assert "ghosts" in capsys.readouterr().err


def test_every_fault_has_a_name_of_its_own() -> None:
    assert len({str(kind) for kind in FaultKind}) == len(FaultKind)


@pytest.mark.parametrize("seed", range(4))
def test_heights_whose_logs_are_compacted_all_the_time_keep_every_promise(seed: int) -> None:
    with quiet():
        history = simulate_seed(seed, SimulationSettings(log_compacted_at_bytes=2_000))
    assert not history.violations
    assert history.stuck is None
