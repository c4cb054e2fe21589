"""What the commands write that begin a chain: everything, and as on all new chains unless it is asked for otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.chain.genesis import GenesisPlan, load_document, load_genesis
from step_node.chain.new_chains import RULES_VERSION, new_chain_parameters
from step_node.ledger.rules import known_versions
from step_node.parameters import Parameters
from tests.cli.conftest import Command

USERS_FIGURES = Path(__file__).parents[2] / "configs" / "genesis.user.json"


def test_a_plan_and_a_test_network_write_out_what_a_new_chain_begins_with(command: Command, tmp_path: Path) -> None:
    planned = ("genesis", "new", "--chain-id", "ours", "--begins-at", "2026-01-31T12:00:00.000Z", "--output")
    assert command(*planned, tmp_path / "plan.json").exit_code == 0
    plan = load_document(tmp_path / "plan.json", GenesisPlan)
    assert (plan.protocol_version, plan.parameters) == (RULES_VERSION, new_chain_parameters())
    assert set(json.loads((tmp_path / "plan.json").read_text())["parameters"]) == set(Parameters.model_fields)
    assert command("testnet", "--validators", 1, "--output", tmp_path / "net").exit_code == 0
    genesis = load_genesis(tmp_path / "net" / "node0" / "genesis.json")
    assert (genesis.protocol_version, genesis.parameters) == (RULES_VERSION, new_chain_parameters())


def test_a_home_that_begins_a_chain_has_the_same(command: Command, password_file: Path, tmp_path: Path) -> None:
    made = command(
        *("init", "--home", tmp_path / "node", "--chain-id", "mine", "--validator", "--password-file", password_file)
    )
    assert made.exit_code == 0, made.stderr
    genesis = load_genesis(tmp_path / "node" / "genesis.json")
    assert (genesis.protocol_version, genesis.parameters) == (RULES_VERSION, new_chain_parameters())


def test_the_first_version_of_the_rules_and_the_users_figures_can_be_asked_for(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "parameters.json").write_text(json.dumps(json.loads(USERS_FIGURES.read_text())["parameters"]))
    asked = ("--parameters", tmp_path / "parameters.json", "--protocol-version", 1)
    made = command("testnet", "--validators", 1, "--output", tmp_path / "net", *asked)
    assert made.exit_code == 0, made.stderr
    genesis = load_genesis(tmp_path / "net" / "node0" / "genesis.json")
    assert (genesis.protocol_version, genesis.parameters) == (None, Parameters())


@pytest.mark.parametrize("version", [0, max(known_versions()) + 1])
def test_a_version_that_is_not_known_is_refused(command: Command, tmp_path: Path, version: int) -> None:
    refused = command("testnet", "--validators", 1, "--output", tmp_path / "net", "--protocol-version", version)
    assert refused.exit_code
    assert "version" in refused.stderr
    assert not (tmp_path / "net").exists()
