"""Scenarios are read strictly, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from step_node.chain.new_chains import RULES_VERSION, new_chain_parameters
from step_node.parameters import USTEP_PER_STEP
from step_node.testing.economy.scenario import AS_WRITTEN, ScenarioError, load_scenario, shipped_names
from step_node.testing.economy.work import Start
from tests.testing.economy.small_town import SMALL_TOWN


def written(folder: Path, text: str) -> str:
    """The name of a file with this text."""
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_scenario_that_says_nothing_of_it_has_what_a_new_chain_has(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, SMALL_TOWN))[AS_WRITTEN]
    assert scenario.name == "mine"
    assert scenario.protocol_version == RULES_VERSION
    assert scenario.parameters == new_chain_parameters()
    changed = load_scenario(written(tmp_path, SMALL_TOWN + "[parameters]\nmin_stake = 3\n"))[AS_WRITTEN]
    assert changed.parameters == new_chain_parameters({"min_stake": 3})


def test_proofs_may_be_as_old_as_batches_are_apart(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, SMALL_TOWN))[AS_WRITTEN]
    assert scenario.chain_parameters.proof_max_age_ms == 3_600_000
    often = load_scenario(written(tmp_path, "batches_per_day = 1440\n" + SMALL_TOWN))[AS_WRITTEN]
    assert often.chain_parameters.proof_max_age_ms == new_chain_parameters().proof_max_age_ms


def test_variants_change_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    text = SMALL_TOWN + (
        '[[variants]]\nname = "a"\n[[variants]]\nname = "b"\ntitle = "five people"\n'
        'change = { "parameters.min_stake" = 7, "groups.people.accounts" = 5, "cities.town.radius_km" = 2.0 }\n'
    )
    variants = load_scenario(written(tmp_path, text))
    assert list(variants) == ["a", "b"]
    changed = variants["b"]
    assert (variants["a"].variant_title, changed.variant_title) == ("a", "five people")
    assert (changed.parameters.min_stake, changed.groups[0].accounts, changed.cities[0].radius_km) == (7, 5, 2.0)
    back = changed.model_copy(
        update={name: getattr(variants["a"], name) for name in ("variant_title", "parameters", "groups", "cities")}
    )
    assert back == variants["a"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("nonsense = 1", "nonsense: unknown key"),
        ("days = 0", "days"),
        ("protocol_version = 9", "protocol_version: must be one of 1, 2"),
        ('name = "x"', "name: is the file's name"),
        ('variant_title = "x"', "variant_title: is a variant's title"),
        ("[parameters]\nmin_steak = 1", "parameters.min_steak: unknown key"),
        ("[parameters]\nmin_stake = 200000", "validators.stake_step: 100000 is below parameters.min_stake, 200000"),
        ("[validators]\ncount = 2\ncolluding = 3", "colluding (3) must not be above count (2)"),
        ('[[faults]]\nday = 1\nvalidator = 4\nwhat = "offline"', "faults.0.validator: must be below"),
        ('[[variants]]\nname = "v"\nchange = { "groups.nobody.accounts" = 1 }', "there is no 'nobody' to change"),
        ('[[variants]]\nname = "v"\nchange = { "groups" = 1 }', "variants.v: groups"),
        ('[[variants]]\nname = "v"\n[[variants]]\nname = "v"', "variants: the name 'v' stands there twice"),
        ('[[variants]]\nname = "v"\nchange = { "groups.people.accounts" = 99999, "days" = 3000 }', "at most 2000000"),
        ("day = 2026-01-01", "date"),
        (
            '[[variants]]\nname = "v"\nchange = { "groups.people.gives_up_below_ustep" = 1000001 }',
            "gives_up_below_ustep: must be less than or equal to 1000000",
        ),
        ("[", "is not TOML"),
    ],
)
def test_an_error_names_the_file_the_key_and_the_rule(tmp_path: Path, change: str, rule: str) -> None:
    # Keys of the top stand before the first table, and take the place of those that are there.
    key = change.partition(" ")[0]
    kept = "\n".join(line for line in SMALL_TOWN.splitlines() if not line.startswith(f"{key} ="))
    is_table = change.startswith("[") and len(change) > 1
    path = written(
        tmp_path, f"{kept}\n{change}\n" if is_table else f"{change}\n{SMALL_TOWN if key == 'name' else kept}"
    )
    with pytest.raises(ScenarioError) as raised:
        load_scenario(path)
    assert path in str(raised.value)
    assert rule in str(raised.value)


def test_a_file_whose_name_can_be_no_scenarios_is_told_what_to_be_called(tmp_path: Path) -> None:
    path = tmp_path / "My Mini.toml"
    path.write_text(SMALL_TOWN)
    with pytest.raises(ScenarioError) as raised:
        load_scenario(str(path))
    assert str(raised.value) == (
        f"{path}: the file's name before .toml is the scenario's, and must be 1 to 40 of a-z 0-9 -: call it"
        " my-mini.toml"
    )


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(ScenarioError, match=r"there is no scenario 'nothing'; there are: everyday, .*\.toml"):
        load_scenario("nothing")


def test_every_shipped_scenario_can_begin() -> None:
    for name in shipped_names():
        for scenario in load_scenario(name).values():
            start = Start(scenario)
            stakes_step = scenario.validators.count * scenario.validators.stake_step
            assert start.head.chain.minted_ustep == stakes_step * USTEP_PER_STEP
