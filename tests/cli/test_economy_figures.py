"""`step-node economy figures`: of a new chain, of a file's, of a genesis'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from step_node.chain.genesis import load_genesis
from step_node.economy.figures import Economy, figures, tables
from tests.cli.conftest import Command

EXAMPLE = Path(__file__).parents[2] / "configs" / "genesis.user.json"


def told(command: Command, *options: object) -> dict[str, Any]:
    result = command("economy", "figures", "--json", *options)
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def value(answer: dict[str, Any], name: str) -> str:
    found = {figure["name"]: str(figure["value"]) for figure in answer["figures"]}
    return found[name]


def test_every_figure_is_printed_with_its_unit_and_formula(command: Command) -> None:
    lines = command("economy", "figures").stdout.splitlines()
    for figure in figures(Economy()).values():
        assert any(line.split()[:2] == [figure.name, figure.text] and line.endswith(figure.formula) for line in lines)
    for table in tables(Economy()):
        assert table.name in lines
        for row in table.rows:
            assert any(all(cell in line for cell in row) for line in lines)


def test_programs_are_told_the_same(command: Command) -> None:
    answer = told(command)
    assert answer["parameters"] == Economy().parameters.model_dump()
    assert value(answer, "supply.proofs.version1") == "856083750.293760"
    assert value(answer, "supply.spot.version1") == "22.000017"
    assert value(answer, "stake.years") == "5.09"
    assert len(answer["tables"]["levels"]) == 21


def test_a_genesis_says_which_rules_and_how_many_validators(command: Command, tmp_path: Path) -> None:
    genesis = load_genesis(EXAMPLE)
    first = told(command, "--genesis", EXAMPLE)
    assert (first["protocolVersion"], first["validators"]) == (1, 4)
    second = tmp_path / "genesis.json"
    second.write_text(genesis.model_copy(update={"protocol_version": 2}).model_dump_json(exclude_none=True))
    assert told(command, "--genesis", second, "--validators", 7)["protocolVersion"] == 2
    assert value(told(command, "--genesis", second, "--validators", 7), "validators") == "7"


def test_a_moratorium_of_more_than_a_day_leaves_less_than_a_proof_a_day(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "parameters.toml"
    file.write_text(f"moratorium_ms = {10 * 365 * 86_400_000}\n")
    answer = told(command, "--parameters", file)
    assert float(value(answer, "stake.years")) == pytest.approx(10 * float(value(answer, "stake.proofs")), abs=0.01)


def test_a_file_of_parameters_is_enough(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "parameters.toml"
    file.write_text("min_stake = 1000\nslash_offline_bps = 50\n")
    answer = told(command, "--parameters", file)
    assert value(answer, "stake.least") == "1000.000000"
    assert value(answer, "slash.offline") == "5.000000"
    both = command("economy", "figures", "--parameters", file, "--genesis", EXAMPLE)
    assert both.exit_code == 2
    assert "stand in the genesis already" in both.stderr
