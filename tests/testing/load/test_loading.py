"""A load on a real node: what is offered becomes final, and what is refused is counted."""

from __future__ import annotations

import pytest

from step_node.errors import StepNodeError
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.load.engine import Load, LoadSettings, Progress

pytestmark = pytest.mark.slow


async def test_a_load_follows_every_proof_to_its_end() -> None:
    async with Devnet(DevnetSettings(validators=1, base_port=0)) as devnet:
        shown: list[Progress] = []
        single = await Load(LoadSettings(devnet.urls, rate=20, seconds=2), progress=shown.append).run()
        assert (single.offered, single.accepted, single.final, single.lost) == (40, 40, 40, 0)
        assert single.refused == {}
        assert shown[-1].offered <= 40

        together = await Load(LoadSettings(devnet.urls, rate=100, seconds=2, batch=50)).run()
        assert (together.offered, together.accepted, together.final, together.lost) == (200, 200, 200, 0)

        with pytest.raises(StepNodeError, match="--batch: this node takes 1000"):
            await Load(LoadSettings(devnet.urls, rate=10, seconds=1, batch=1_001)).run()


async def test_a_load_on_nobody_says_so() -> None:
    with pytest.raises(StepNodeError, match="is a node running there"):
        await Load(LoadSettings(["http://127.0.0.1:1"], rate=1, seconds=1)).run()
