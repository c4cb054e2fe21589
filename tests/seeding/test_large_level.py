"""Level 8, of 327,680 triangles, is to take less than ten seconds, and a look-up in it less than ten milliseconds.

Processor time is asserted, the server's too: what passes on a clock depends on what else the machine does. So does
processor time, by a factor of two, where others use the same caches; the fastest of three times is what counts.
"""

from __future__ import annotations

from time import process_time

import pytest
from pymongo import MongoClient

from step_node.seeding.collection import Collection
from step_node.seeding.levels import triangle_count
from step_node.seeding.seeder import MongoTarget, Target, seed
from step_node.seeding.verifying import verify_level
from tests.seeding.conftest import Told

LEVEL = 8
SECONDS_MAX = 10.0
TRIES = 3


def _processor_seconds(target: Target) -> float:
    """What this process has used so far, and the server if there is one."""
    server_s = 0.0
    if isinstance(target, MongoTarget):
        with MongoClient[dict[str, object]](target.uri) as client:
            told = client.admin.command("serverStatus")["extra_info"]
            server_s = (told["user_time_us"] + told["system_time_us"]) / 1e6
    return process_time() + server_s


@pytest.mark.long
@pytest.mark.slow
def test_a_large_level_is_seeded_fast_and_verifies(target: Target, collection: Collection) -> None:
    taken_s: list[float] = []
    while len(taken_s) < TRIES and min(taken_s, default=SECONDS_MAX) >= SECONDS_MAX:
        collection.remove(LEVEL)
        begun_s = _processor_seconds(target)
        seed(collection, [LEVEL], Told(), lambda: False)
        taken_s.append(_processor_seconds(target) - begun_s)
    verdict = verify_level(collection, LEVEL)
    # The time of look-ups is among the problems when it is too long.
    assert (verdict.problems, verdict.triangles) == ([], triangle_count(LEVEL))
    assert min(taken_s) < SECONDS_MAX
