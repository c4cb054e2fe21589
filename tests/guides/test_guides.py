"""The guides, run to the letter: every code block of these pages, in order, against one real network.

What stands for the reader's own is replaced, and nothing else: the nodes' addresses by those of this network, and the
places by others, so that no page leans on a triangle that another one has used up. The network's genesis file is where
the reader is.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest
import trio

from step_node.client import ActiveTriangle, Finalised, KeySigner, Position, StepClient, sign_submission
from step_node.ledger.state_gates import SUBDIVISION_CLICKS
from step_node.parameters import Parameters
from step_node.testing.devnet.network import Devnet, DevnetSettings
from tests.javascript.browser import needs_browser, opened, served
from tests.javascript.node import NODE, needs_packages

pytestmark = pytest.mark.slow

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "clients" / "js" / "examples"
PAGES: Final = (
    "README.md",
    "docs/clients.md",
    "docs/endpoints.md",
    "docs/events.md",
    "docs/maps.md",
    "docs/python-client.md",
    "docs/receipts.md",
)
BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
REFUSAL: Final = re.compile("""["']ok["']: ?[Ff]alse""")
PRINTING_CURL: Final = re.compile(r"^curl (?!.* -o ).*$", re.MULTILINE)
NOT_CODE: Final = ("", "json", "toml", "text")
SECONDS_MAX: Final = 120.0
VALIDATORS: Final = 4

NOT_THIS_NETWORK: Final = ("make demo", ".venv/bin/step-node devnet\n")
"""Blocks of the README that make a network of their own, which `make demo` and other tests do."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, and the line of the page on which it begins."""

    page: str
    language: str
    code: str
    line: int


def blocks(page: str) -> list[Block]:
    """The code blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in BLOCK.finditer(text)
        if found[1] not in NOT_CODE and not found[2].startswith(NOT_THIS_NETWORK)
    ]


def of_language(page: str, language: str) -> list[Block]:
    return [block for block in blocks(page) if block.language == language]


@dataclass(frozen=True)
class Network:
    """Where its nodes are, and the genesis file that they share."""

    urls: list[str]
    genesis: Path


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network that runs while this module's tests do."""
    ready, stop = Event(), Event()
    found: list[Network] = []

    async def run() -> None:
        quick = Parameters(batch_interval_ms=300)
        async with Devnet(DevnetSettings(validators=VALIDATORS, base_port=0, parameters=quick)) as devnet:
            found.append(Network(devnet.urls, devnet.nodes[0].home.genesis))
            await trio.to_thread.run_sync(prove_once, devnet.node_url(0), 0.5, 0.5)  # Some pages look at what there is.
            ready.set()
            await trio.to_thread.run_sync(stop.wait)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(trio.run, run)
        running.add_done_callback(lambda _done: ready.set())
        ready.wait()
        try:
            if not running.done():
                yield found[0]
        finally:
            stop.set()
        running.result()


def answers_in(printed: str) -> list[dict[str, Any]]:
    """The answers of nodes in what a shell block prints: they end in no line end of their own."""
    found: list[dict[str, Any]] = []
    at = 0
    while (at := printed.find('{"ok":', at)) >= 0:
        answer, at = json.JSONDecoder().raw_decode(printed, at)
        found.append(answer)
    return found


class Reader:
    """Somebody who types a page's blocks into a terminal, in an empty directory, somewhere in the world."""

    def __init__(self, directory: Path, network: Network, seed: str) -> None:
        self._directory = directory
        self._urls = network.urls
        self._moved_by = random.Random(seed).uniform(-2, 2)
        binaries = Path(sys.executable).parent
        (directory / ".venv").symlink_to(binaries.parent)
        shutil.copy(network.genesis, directory / "genesis.json")
        self._environment = os.environ | {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "STEP_NODE": network.urls[0],
            "TERM": "dumb",
        }

    def run(self, block: Block) -> str:
        """What the block prints. It fails the test if it fails, or if a node's answer in it is a refusal."""
        code = self._as_typed(block.code)
        match block.language:
            case "sh":
                command: list[str | Path] = ["bash", "-euo", "pipefail", "-c", code]
            case "js":
                script = EXAMPLES / f".guide-{os.getpid()}.mjs"  # There its imports are found as those of the examples.
                command = [NODE, script]
            case "python":
                command = [sys.executable, "-W", "error::SyntaxWarning", "-c", code]
            case _:
                raise AssertionError(f"{block.page}:{block.line}: nobody knows how to run {block.language!r}")
        if block.language == "js":
            script.write_text(code)
        try:
            ran = subprocess.run(
                command,
                cwd=self._directory,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=SECONDS_MAX,
                check=False,
            )
        finally:
            if block.language == "js":
                script.unlink()
        said = f"{block.page}:{block.line}:\n{code}\n{ran.stdout}\n{ran.stderr}"
        assert ran.returncode == 0, said
        assert REFUSAL.search(ran.stdout) is None, said
        if block.language == "sh":
            asked = PRINTING_CURL.findall(code)
            streams = [line for line in asked if "/events" in line]
            assert ran.stdout.count("event: open") == len(streams), said
            assert [answer["ok"] for answer in answers_in(ran.stdout)].count(True) >= len(asked) - len(streams), said
        return ran.stdout

    def page(self, block: Block) -> str:
        """A block that is a whole page, as the file that this reader makes of it; its name."""
        name = f"{block.line}.html"
        (self._directory / name).write_text(self._as_typed(block.code))
        return name

    def moved(self, degrees: str) -> str:
        """A degree of a place, as this reader has it."""
        return f"{float(degrees) + self._moved_by:.4f}"

    def _as_typed(self, code: str) -> str:
        for index in range(VALIDATORS):
            code = code.replace(f"http://127.0.0.1:{8600 + index}", self._urls[index])
        return re.sub(r"(?<![\d.])-?\d{1,3}\.\d{4}(?!\d)", lambda found: self.moved(found[0]), code)


def prove_once(url: str, lat: float, lon: float) -> Finalised:
    """A final proof of somebody at a place."""
    with StepClient(url, key=secrets.token_bytes(32)) as client:
        return client.prove(Position(lat, lon, 5))


def use_up(url: str, lat: float, lon: float) -> ActiveTriangle:
    """Eleven readers before this one; the triangle that they have subdivided."""
    with StepClient(url) as client:
        place = client.active_triangle(lat, lon)
        now_ms = client.rules(anew=True).node_time_ms
        proofs = [
            sign_submission(
                KeySigner(random.Random(f"{lat} {index}").randbytes(32)),
                Position(lat, lon, 5),
                timestamp_ms=now_ms,
                triangle_id=place.triangle_id,
            )
            for index in range(SUBDIVISION_CLICKS - place.clicks)
        ]
        assert all(isinstance(one, Finalised) for one in client.submit_many(proofs))
    return place


def test_each_page_has_code_and_none_in_a_language_that_is_not_run() -> None:
    for page in PAGES:
        assert blocks(page)
        assert {block.language for block in blocks(page)} <= {"sh", "python", "js", "html"}


@pytest.mark.skipif(
    shutil.which("curl") is None, reason="curl is not there, and the guides' shell blocks are NOT tested"
)
@pytest.mark.parametrize("page", [page for page in PAGES if of_language(page, "sh")])
def test_every_shell_block_runs_as_written(page: str, network: Network, tmp_path: Path) -> None:
    reader = Reader(tmp_path, network, page)
    for block in of_language(page, "sh"):
        reader.run(block)


@pytest.mark.parametrize("page", [page for page in PAGES if of_language(page, "python")])
def test_every_python_block_runs_as_written_after_those_before_it(page: str, network: Network, tmp_path: Path) -> None:
    """As one program: later blocks use the names of the earlier ones."""
    found = of_language(page, "python")
    whole = Block(page, "python", "\n".join(block.code for block in found), found[0].line)
    assert Reader(tmp_path, network, f"{page} python").run(whole)


def test_the_javascript_of_the_guide_is_that_of_the_examples() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("first-proof*.mjs")}
    assert {block.code for block in of_language("docs/clients.md", "js")} == set(files.values())


@pytest.mark.parametrize(
    "block",
    [block for page in PAGES for block in of_language(page, "js")],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_every_javascript_block_runs_as_written(block: Block, network: Network, tmp_path: Path) -> None:
    if 'from "step-client"' not in block.code and needs_packages.args[0]:
        pytest.skip(f"{needs_packages.kwargs['reason']}: {block.page}:{block.line} is NOT tested")
    assert Reader(tmp_path, network, f"{block.page}:{block.line}").run(block)


def page_of(page: str, network: Network, directory: Path) -> tuple[Path, str]:
    """The folder and the name of a page's one block of HTML."""
    (block,) = of_language(page, "html")
    folder = directory / "site"
    folder.mkdir()
    return folder, Reader(folder, network, page).page(block)


def test_no_other_page_has_html() -> None:
    assert [page for page in PAGES if of_language(page, "html")] == ["docs/events.md", "docs/maps.md"]


@needs_browser
def test_the_map_is_drawn_in_a_browser(network: Network, tmp_path: Path) -> None:
    folder, name = page_of("docs/maps.md", network, tmp_path)
    with served(folder) as origin:
        told = opened(f"{origin}/{name}", tmp_path / "profile", "triangles")
    assert told["text"] == f"{told['shapes']} triangles"
    assert told["shapes"] > 1
    assert network.urls[0] in {url.partition("/mesh/")[0] for url in told["asked"]}


@needs_browser
def test_a_browser_is_told_what_happens(network: Network, tmp_path: Path) -> None:
    folder, name = page_of("docs/events.md", network, tmp_path)
    with served(folder) as origin, ThreadPoolExecutor(1) as threads:
        page = threads.submit(opened, f"{origin}/{name}", tmp_path / "profile", "earned")
        proofs: list[Finalised] = []
        while not page.done():  # It listens from some time on, and is told of the next one.
            proofs.append(prove_once(network.urls[0], 47.4, 8.5))
        said = page.result()["text"].splitlines()
    rewards = {proof.reward for proof in proofs}
    assert any(said[0].endswith(f" earned {reward} STEP at 47.4, 8.5") for reward in rewards), said


def test_a_guide_works_for_the_twelfth_reader_at_one_place(network: Network, tmp_path: Path) -> None:
    reader = Reader(tmp_path, network, "twelfth")
    lat, lon = (float(reader.moved(degrees)) for degrees in ("47.4979", "19.0402"))
    used_up = use_up(network.urls[0], lat, lon)
    said = "".join(reader.run(block) for block in of_language("README.md", "sh"))
    assert used_up.triangle_id not in said
    assert f'"level":{used_up.level + 1},' in said
