"""docs/upgrading.md, run to the letter by the operator who was left behind: the node stops with status 5 before rules
that its release does not know, says what to install, and goes on once that has taken the old release's place on disk.

The older release is this one without the newest rules, built and installed like any other, into a virtual environment
that stands for the page's `/opt/step-node`. What both depend on is there already: it is that of the tests.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest
import trio

import step_node
from step_node.ledger.rules import RULES
from step_node.parameters import Parameters
from step_node.testing.chaos.upgrading import agree_on
from step_node.testing.devnet.network import Devnet, DevnetSettings
from step_node.testing.devnet.ports import NodePorts
from step_node.testing.devnet.walkers import Walkers
from step_node.testing.older_release import OLDER_VERSION
from tests.support.operator import ROOT, Machine, blocks_under

pytestmark = pytest.mark.long

PAGE: Final = ROOT / "docs" / "upgrading.md"
OF_THE_PAGE: Final = "/opt/step-node"
SHIPPED: Final = (
    *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
    *("requirements", "consensus", "mesh", "p2p", "step_node"),
)
PASSWORD: Final = "one password for all keystores of the network"
PARAMETERS: Final = Parameters(batch_interval_ms=300, epoch_batches=10)
OURS: Final = 3
STATUS: Final = 5
SECONDS_MAX: Final = 400.0
POLL_SECONDS: Final = 0.2


async def test_a_node_that_was_left_behind_stops_with_status_5_and_goes_on_with_the_release_it_named(
    tmp_path: Path,
) -> None:
    (install,) = blocks_under("A new release, without new rules", PAGE)
    (again, start) = blocks_under("A node that was left behind", PAGE)
    checkout, environment, newest = tmp_path / "checkout", tmp_path / "step-node", max(RULES)
    replaced = {OF_THE_PAGE: str(environment)}
    operator = Machine(checkout, NodePorts(0, 0), password=PASSWORD)
    _checkout(checkout, older=True)
    await trio.to_thread.run_sync(_make_environment, environment)
    _put_on_path(checkout, environment)
    devnet = Devnet(DevnetSettings(base_port=0, parameters=PARAMETERS, home=tmp_path / "net", password=PASSWORD))
    with trio.fail_after(SECONDS_MAX):
        await operator.follow(install, replaced=replaced)
        async with devnet, trio.open_nursery() as nursery:
            await devnet.nodes[OURS].stop()
            operator.move_to(NodePorts(int(devnet.node_url(OURS).rpartition(":")[2]), devnet.p2p_port(OURS)))
            (checkout / "node").symlink_to(devnet.nodes[OURS].home.root)
            try:
                await operator.follow(start)
                assert (await devnet.clients[OURS].get("/status"))["version"] == OLDER_VERSION
                nursery.start_soon(Walkers(devnet.clients, PARAMETERS, proofs=100_000, rate=2.0).run)
                height = await agree_on(devnet, newest, release=step_node.__version__)
                assert await operator.ended() == STATUS
                told = await _printed(operator, again[0], tmp_path / "again.log")
                assert f"Install release {step_node.__version__} that knows version {newest}" in told
                assert told.endswith(f"status {STATUS}\n")

                _checkout(checkout, older=False)
                await operator.follow(install, replaced=replaced)
                await operator.follow(start)
                assert await _in_force(devnet, newest) == height
                assert (await devnet.clients[OURS].get("/status"))["version"] == step_node.__version__
            finally:
                await operator.stop()
            nursery.cancel_scope.cancel()


def _checkout(directory: Path, *, older: bool) -> None:
    """A fresh one of a release, in place of the one that is there and what was built in it."""
    for name in (*SHIPPED, "build", "step_node.egg-info"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, directory / name)
    if older:
        _replace(directory / "step_node" / "ledger" / "rules.py", rf"^ +{max(RULES)}: Rules\(.*\n", "")
        _replace(directory / "step_node" / "__init__.py", re.escape(step_node.__version__), OLDER_VERSION)
        _replace(
            directory / "pyproject.toml",
            rf'^version = "{re.escape(step_node.__version__)}"',
            f'version = "{OLDER_VERSION}"',
        )


def _replace(path: Path, pattern: str, instead: str) -> None:
    text, count = re.subn(pattern, instead, path.read_text(), flags=re.MULTILINE)
    assert count == 1, (path, pattern)
    path.write_text(text)


def _make_environment(directory: Path) -> None:
    """A virtual environment with pip; what the tests' own has counts as installed, but for the node itself."""
    subprocess.run([sys.executable, "-m", "venv", directory], check=True)
    own = directory / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (own / "of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")


def _put_on_path(directory: Path, environment: Path) -> None:
    """What `step-node` is for the operator: the installed program, with nodes that end when the test does."""
    program = directory / "bin" / "step-node"
    program.parent.mkdir()
    installed = shlex.quote(str(environment / "bin" / "step-node"))
    program.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = start ] && [ -p /dev/stdin ]; then exec {installed} "$@" --stop-with-stdin; fi\n'
        f'exec {installed} "$@"\n'
    )
    program.chmod(0o755)


async def _printed(operator: Machine, command: str, log: Path) -> str:
    """What a command prints, that ends by itself though nothing is wrong with its standard input."""
    with log.open("wb") as file:
        process = await operator.background(f"sh -c {shlex.quote(command)}", file)
    try:
        await process.wait()
    finally:
        process.kill()
    return log.read_text()


async def _in_force(devnet: Devnet, version: int) -> int:
    """From which height on our node has these rules, once it has them."""
    while True:
        in_force = (await devnet.clients[OURS].get("/upgrade"))["inForce"]
        if in_force["protocolVersion"] == version:
            return int(in_force["activationHeight"])
        await trio.sleep(POLL_SECONDS)
