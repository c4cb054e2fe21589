"""What the command line says of itself, and how quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from consensus.values import VALIDATORS_MAX
from step_node.cli import home_commands
from tests.cli.conftest import Command

COMMANDS = (
    "devnet",
    "chaos",
    "init",
    "load",
    "bench",
    "curves",
    "economy figures",
    "economy report",
    "testnet",
    "start",
    "signer",
    "status",
    "consensus",
    "admin pause-intake",
    "admin resume",
    "admin switches",
    "admin set-log-level",
    "admin reload",
    "admin prune",
    "admin peers",
    "admin ban",
    "admin unban",
    "admin add-peer",
    "admin drop-peer",
    "admin snapshot",
    "admin consensus",
    "admin debug-bundle",
    "backup create",
    "backup verify",
    "backup restore",
    "economy verify",
    "keys new",
    "keys show",
    "keys import",
    "keys list",
    "keys export",
    "keys export-history",
    "keys import-history",
    "mesh locate",
    "mesh seed",
    "mesh unseed",
    "mesh verify",
    "mesh stats",
    "mesh export",
    "proof sign",
    "proof submit",
    "proof check",
    "store verify",
    "top",
    "admin log",
    "store init",
    "store rebuild",
    "validator register",
    "validator unbond",
    "validator withdraw",
    "validator rotate-key",
    "validator set-address",
    "validator show",
)
HEAVY_MODULES = (
    "libp2p",
    "numpy",
    "pydantic",
    "trio",
    "fastapi",
    "httpx",
    "motor",
    "shapely",
    "rich.table",
    "matplotlib",
    "textual",
)


def test_the_overview_names_every_command(command: Command) -> None:
    result = command("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert name.split()[0] in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: Command, name: str) -> None:
    result = command(*name.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: step-node {name}" in " ".join(result.stdout.split())


def test_the_version_is_printed(command: Command) -> None:
    assert command("--version").stdout.startswith("step-node 0.")


def test_help_imports_nothing_heavy() -> None:
    program = f"import sys, step_node.cli.main; print([name for name in {HEAVY_MODULES!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_wrong_usage_is_status_2(command: Command) -> None:
    assert command("no-such-command").exit_code == 2
    assert command("mesh", "locate", "--level", "x").exit_code == 2


def test_the_help_names_the_largest_set_that_there_may_be() -> None:
    assert home_commands.VALIDATORS_MAX == VALIDATORS_MAX
