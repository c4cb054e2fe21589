"""A page of another origin, in headless Chromium: it reads the map, signs a proof, follows it to the end, and verifies
its receipt with the genesis file alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import trio

from mesh import locate
from step_node.testing.devnet.network import Devnet, DevnetSettings
from tests.javascript.browser import SECONDS_MAX, needs_browser, opened, served
from tests.javascript.node import CLIENT
from tests.javascript.test_networks import QUICK


def site(folder: Path, genesis: str) -> Path:
    """What a web server of somebody has: the library, the page, and the genesis file beside it."""
    (folder / "examples").mkdir(parents=True)
    shutil.copy(CLIENT / "step-client.js", folder)
    shutil.copy(CLIENT / "examples" / "browser.html", folder / "examples")
    (folder / "examples" / "genesis.json").write_text(genesis)
    return folder


@pytest.mark.slow
@needs_browser
async def test_a_page_of_another_origin_reads_the_map_proves_and_verifies(tmp_path: Path) -> None:
    with trio.fail_after(SECONDS_MAX):
        async with Devnet(DevnetSettings(base_port=0, parameters=QUICK)) as devnet:
            genesis = devnet.genesis.model_dump_json(exclude_none=True)
            with served(site(tmp_path / "site", genesis)) as origin:
                page = f"{origin}/examples/browser.html?node={devnet.node_url(0)}&genesis=genesis.json"
                told = await trio.to_thread.run_sync(opened, page, tmp_path / "profile", "the receipt holds")
    looked, signed, final, verified = told["text"].splitlines()
    assert looked == f"{locate(47.3769, 8.5417, 1).text} of level 1 holds this place; 0 proofs were made in it."
    assert signed.startswith("signed by 0x")
    assert "1.000000 STEP for proof 0x" in final
    assert verified.endswith("and the balance was 1.000000 STEP")
    assert told["shapes"] == 1
    # Nobody else was asked anything.
    assert {url.split("/")[2] for url in told["asked"]} == {origin[7:], devnet.node_url(0)[7:]}
