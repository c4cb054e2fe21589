"""Where a devnet's web app is told that it may ask."""

from __future__ import annotations

import json

import pytest

from step_node.home.config import read_settings
from step_node.testing.devnet.network import Devnet, DevnetSettings


@pytest.mark.parametrize(("host", "found"), [("Laptop.local", ["http://laptop.local"]), ("fe80::1%eth0", [])])
async def test_nodes_take_what_they_are_told_of_one_another_whatever_the_host_is_called(
    host: str, found: list[str]
) -> None:
    network = Devnet(DevnetSettings(validators=1, base_port=0, host=host))
    try:
        await network.prepare()
        (node,) = network.nodes
        told = json.loads(node.environment["STEP_API__WEB_APP_NODES"])
        assert [one.rpartition(":")[0] for one in told] == found
        _, problems, _ = read_settings(node.home.config, environment=node.environment)
        assert problems == ()
    finally:
        await network.stop()
