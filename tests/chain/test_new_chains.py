"""What a new chain begins with; and that nothing of it changes what a genesis means that is there already."""

from __future__ import annotations

import json
from pathlib import Path

from step_node.chain.genesis import load_genesis, parse_genesis
from step_node.chain.new_chains import CHOSEN, RULES_VERSION, named_version, new_chain_parameters
from step_node.home.making import new_genesis
from step_node.ledger.rules import known_versions
from step_node.parameters import Parameters

CONFIGS = Path(__file__).parents[2] / "configs"
USERS_FIGURES = CONFIGS / "genesis.user.json"
HASH = "3c9dd01e6a2473c4993fca28c2351f69da6155dfa9660474e8bbae4ff3de2edd"
"""Of that file, and of the same without its parameters, since the first release that could read it."""


def test_a_genesis_that_leaves_parameters_out_means_what_it_always_meant() -> None:
    content = json.loads(USERS_FIGURES.read_text(encoding="utf-8"))
    assert load_genesis(USERS_FIGURES).hash.hex() == HASH
    for left_out in ((), tuple(content["parameters"])[:3], tuple(content["parameters"])):
        kept = {name: value for name, value in content["parameters"].items() if name not in left_out}
        genesis = parse_genesis(json.dumps(content | {"parameters": kept}), name="genesis.json")
        assert (genesis.hash.hex(), genesis.protocol_version) == (HASH, None)
    del content["parameters"]
    assert parse_genesis(json.dumps(content), name="genesis.json").hash.hex() == HASH


def test_a_new_chain_differs_from_the_protocols_defaults_where_it_says_so() -> None:
    usual, defaults = new_chain_parameters().model_dump(), Parameters().model_dump()
    assert {name: value for name, value in usual.items() if value != defaults[name]} == dict(CHOSEN)
    assert RULES_VERSION in known_versions()
    assert named_version(1) is None


def test_whoever_wants_the_protocols_figures_on_a_new_chain_has_them() -> None:
    assert new_chain_parameters(Parameters().model_dump()) == Parameters()


def test_what_is_made_for_tests_says_its_parameters_itself() -> None:
    genesis = new_genesis(
        chain_id="ours", genesis_time_ms=1_760_000_000_000, validators=[(bytes(31) + b"\1", "/ip4/192.0.2.1/tcp/1")]
    )
    assert (genesis.protocol_version, genesis.parameters) == (None, Parameters())
