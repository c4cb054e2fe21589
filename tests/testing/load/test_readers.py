"""The load of questions: what it asks, and that it counts what is answered."""

from __future__ import annotations

from itertools import islice

import pytest

from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.load.provers import Provers
from step_node.testing.load.readers import KINDS, Readers, Surroundings, questions

_THERE = Surroundings(Provers(b"seed", 10), count=5)


def test_the_same_seed_asks_the_same_questions_of_every_kind() -> None:
    asked = list(islice(questions(3, _THERE), 500))
    assert asked == list(islice(questions(3, _THERE), 500))
    assert asked != list(islice(questions(4, _THERE), 500))
    begun = {path.partition("?")[0].split("/0x")[0] for path in asked}
    assert {"/mesh/triangleAt", "/mesh/nearby", "/mesh/search", "/account", "/batches", "/batch/latest"} <= begun
    assert sum(KINDS.values()) == 100


@pytest.mark.slow
async def test_questions_are_asked_at_their_rate_and_each_is_answered() -> None:
    async with Devnet(DevnetSettings(validators=1, base_port=0)) as devnet:
        answered = await Readers(devnet.urls, 50, 1, iter(["/proof/config", "/leaderboard", "/nothing"] * 20)).run()
    assert answered.asked == 50
    assert answered.statuses == {200: 34, 404: 16}
    assert answered.failed == 16
    assert {kind: len(seconds) for kind, seconds in answered.kinds.items()} == {
        "/proof/config": 17,
        "/leaderboard": 17,
        "/nothing": 16,
    }
