"""The stable ratios hold: gross regressions are noticed, on any machine, without a word about time.

Each floor is a third of what was measured when it was set, or less: what a busy machine does to both sides of a ratio
alike does not matter, and what it does to one of them is far from that.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.testing.bench.bare_recovery import recoveries_per_second
from step_node.testing.bench.figures import Sample
from step_node.testing.bench.ledger_rows import measure_apply
from step_node.testing.bench.mesh_rows import measure_locate
from step_node.testing.bench.plans import Workshop
from step_node.testing.bench.recovery import measure_check, measure_check_of_json

pytestmark = pytest.mark.costly

RUNS = 3


def _best_ratio(samples: list[Sample]) -> float:
    return max(sample.value / sample.limit for sample in samples if sample.limit)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


async def test_checking_proofs_is_mostly_their_recovery(workshop: Workshop) -> None:
    assert _best_ratio([await measure_check(workshop) for _ in range(RUNS)]) > 0.23


async def test_checking_proofs_from_json_is_not_mostly_something_else(workshop: Workshop) -> None:
    assert _best_ratio([await measure_check_of_json(workshop) for _ in range(RUNS)]) > 0.16


async def test_locating_many_points_is_not_much_more_than_its_arithmetic(workshop: Workshop) -> None:
    samples = [await measure_locate(workshop) for _ in range(RUNS)]
    assert min(sample.value / sample.limit for sample in samples if sample.limit) < 6


async def test_applying_a_batch_is_not_much_more_than_hashing_its_records(workshop: Workshop) -> None:
    assert _best_ratio([await measure_apply(workshop) for _ in range(RUNS)]) > 0.18


def test_a_signature_that_no_key_has_made_is_not_counted_as_a_recovery() -> None:
    with pytest.raises(ValueError, match="is no signature"):
        recoveries_per_second([(bytes(32), b"\xff" * 64 + b"\x1b")])
