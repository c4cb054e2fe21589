"""Genesis: its identity does not depend on layout, and whatever is wrong with the file is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.chain.genesis import (
    GENESIS_AHEAD_MS_MAX,
    GENESIS_BYTES_MAX,
    GenesisError,
    load_genesis,
    parse_genesis,
)
from step_node.chain.initial_state import AMOUNT_USTEP_MAX
from step_node.parameters import USTEP_PER_STEP
from tests.support.chains import make_genesis
from tests.support.proofs import address

GENESIS = make_genesis(3, allocations={"alice": 5, "bob": 7})
CONTENT: dict[str, Any] = GENESIS.model_dump(mode="json")


def content() -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(CONTENT))
    return copy


def shuffled(value: Any, order: Callable[[list[str]], list[str]]) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key], order) for key in order(list(value))}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(st.data())
def test_the_hash_does_not_depend_on_key_order_or_layout(data: st.DataObject) -> None:
    other = shuffled(content(), lambda keys: list(data.draw(st.permutations(keys))))
    text = json.dumps(other, indent=data.draw(st.sampled_from([None, 0, 3])))
    assert parse_genesis(text, name="genesis.json").hash == GENESIS.hash


def test_parameters_left_out_are_the_defaults_and_hash_the_same() -> None:
    without = content()
    del without["parameters"]
    assert parse_genesis(json.dumps(without), name="genesis.json").hash == GENESIS.hash


def chain_id(genesis: dict[str, Any]) -> None:
    genesis["chain_id"] = "step-test-2"


def parameter(genesis: dict[str, Any]) -> None:
    genesis["parameters"]["speed_limit_mps"] = 16


def allocation(genesis: dict[str, Any]) -> None:
    genesis["allocations"]["0x" + address("alice").hex()] = 6


def p2p_address(genesis: dict[str, Any]) -> None:
    genesis["validators"][0]["p2p_address"] = "/dns4/elsewhere/tcp/26600"


@pytest.mark.parametrize("change", [chain_id, parameter, allocation, p2p_address])
def test_any_other_content_has_another_hash(change: Callable[[dict[str, Any]], None]) -> None:
    other = content()
    change(other)
    assert parse_genesis(json.dumps(other), name="genesis.json").hash != GENESIS.hash


def test_the_state_at_height_0_holds_what_the_file_says() -> None:
    chain = GENESIS.head().chain
    stakes_ustep = 3 * 100_000 * USTEP_PER_STEP
    assert (chain.height, chain.batch_hash, chain.balances_ustep) == (0, GENESIS.hash, 12)
    assert (chain.stakes_ustep, chain.minted_ustep, chain.burnt_ustep) == (stakes_ustep, stakes_ustep + 12, 0)
    assert [account.balance_ustep for account in GENESIS.accounts()] == [
        {"alice": 5, "bob": 7}[name] for name in sorted(("alice", "bob"), key=address)
    ]
    other = make_genesis(3, allocations={"alice": 5, "bob": 8})
    assert other.head().lanes != GENESIS.head().lanes


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(genesis: dict[str, Any]) -> None:
        target: Any = genesis
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return change


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(genesis: dict[str, Any]) -> None:
        target: Any = genesis
        for key in path[:-1]:
            target = target[key]
        del target[path[-1]]

    return change


def repeat_validator(genesis: dict[str, Any]) -> None:
    genesis["validators"].append(genesis["validators"][0])


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "unknown key": (put("chainid", value="x"), "chainid: unknown key"),
    "unknown parameter": (put("parameters", "speed", value=1), "parameters.speed: unknown key"),
    "unknown key of a validator": (put("validators", 1, "name", value="x"), "validators.1.name: unknown key"),
    "missing key": (drop("chain_id"), "chain_id: is missing"),
    "missing key of a validator": (drop("validators", 2, "stake_ustep"), "validators.2.stake_ustep: is missing"),
    "no validators": (put("validators", value=[]), "validators: "),
    "a validator twice": (repeat_validator, "validators.3.address: 0x"),
    "another key's address": (
        put("validators", 0, "address", value="0x" + "00" * 20),
        "validators.0: address: must be that of public_key, 0x",
    ),
    "no address": (
        put("validators", 1, "p2p_address", value="node1:26600"),
        "validators.1.p2p_address: must be a multiaddr such as",
    ),
    "a host that cannot be": (
        put("validators", 1, "p2p_address", value="/dns4/a b/tcp/26600"),
        "validators.1.p2p_address: must be a multiaddr such as",
    ),
    "no point of the curve": (
        put("validators", 0, "public_key", value="0x02" + "ff" * 32),
        "validators.0: public_key: is not a point of secp256k1",
    ),
    "an uncompressed key": (put("validators", 0, "public_key", value="0x04" + "00" * 32), "validators.0.public_key"),
    "an address in capitals": (put("validators", 0, "address", value="0x" + "AB" * 20), "validators.0.address"),
    "a stake below the minimum": (
        put("validators", 1, "stake_ustep", value=100_000 * USTEP_PER_STEP - 1),
        "validators.1.stake_ustep: 99999999999 is below parameters.min_stake, 100000000000",
    ),
    "a negative amount": (put("allocations", "0x" + "11" * 20, value=-1), "allocations.0x11"),
    "a fraction of a micro-STEP": (put("allocations", "0x" + "11" * 20, value=1.5), "allocations.0x11"),
    "an amount as text": (put("allocations", "0x" + "11" * 20, value="1"), "allocations.0x11"),
    "a huge amount": (put("allocations", "0x" + "11" * 20, value=10**30), "allocations.0x11"),
    "more than can be counted": (
        put("allocations", "0x" + "11" * 20, value=AMOUNT_USTEP_MAX),
        "allocations and stakes together must not pass",
    ),
    "an allocation to no address": (put("allocations", "alice", value=1), "allocations.alice"),
    "not a number": (put("genesis_time_ms", value=float("nan")), "genesis_time_ms"),
    "seconds for milliseconds": (
        put("genesis_time_ms", value=1_767_225_600),
        "from the years 2020 to 2099: this would be seconds",
    ),
    "microseconds": (
        put("genesis_time_ms", value=1_767_225_600_000_000),
        "from the years 2020 to 2099: this would be microseconds",
    ),
    "no time of ours": (put("genesis_time_ms", value=0), "genesis_time_ms: must be in milliseconds since 1970"),
    "infinity": (put("parameters", "offline_ms", value=float("inf")), "parameters.offline_ms"),
    "true for a number": (put("parameters", "batch_max_proofs", value=True), "parameters.batch_max_proofs"),
    "an impossible parameter": (put("parameters", "seeded_level", value=22), "parameters.seeded_level"),
    "a target above the maximum": (
        put("parameters", "batch_max_proofs", value=99),
        "parameters: batch_target_proofs (100) must not be above batch_max_proofs (99)",
    ),
    "a chain id with a slash": (put("chain_id", value="step/1"), "chain_id"),
    "a chain id with a line end": (put("chain_id", value="step\n"), "chain_id"),
    "a list for an object": (put("parameters", value=[]), "parameters"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_named_with_the_file_the_key_and_the_rule(tmp_path: Path, case: str) -> None:
    change, message = BAD[case]
    genesis = content()
    change(genesis)
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(genesis))
    with pytest.raises(GenesisError) as caught:
        load_genesis(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert case == "no validators" or "at least 1 item" not in str(caught.value), "a list is not short for one bad item"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("null", "must be an object"),
        ("[]", "must be an object"),
        ('{"chain_id": "a", "chain_id": "b"}', "is not JSON: the key 'chain_id' stands twice"),
        ('{"validators": [{"address": 1, "address": 2}]}', "the key 'address' stands twice"),
        ("[" * 100_000 + "]" * 100_000, "recursion limit exceeded"),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "recursion limit exceeded"),
        ('{"genesis_time_ms": ' + "9" * 5_000 + "}", "is not JSON"),
        ('{"chain_id": "\\ud800"}', "genesis.json: "),
        ('{"chain_id": "a"} trailing', "is not JSON"),
    ],
)
def test_what_is_no_genesis_at_all_is_told(text: str, message: str) -> None:
    with pytest.raises(GenesisError) as caught:
        parse_genesis(text, name="genesis.json")
    assert str(caught.value).startswith("genesis.json: ")
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "genesis.json"
    with pytest.raises(GenesisError, match=f"{path}: cannot be read"):
        load_genesis(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GenesisError, match=f"{path}: cannot be read"):
        load_genesis(path)
    with path.open("wb") as file:
        file.truncate(GENESIS_BYTES_MAX + 1)
    with pytest.raises(GenesisError, match=f"a genesis file has at most {GENESIS_BYTES_MAX}"):
        load_genesis(path)


def test_a_validator_is_its_own_owner_unless_genesis_names_one() -> None:
    genesis = make_genesis(2)
    first, second = genesis.validators
    cold = "0x" + address("cold").hex()
    owned = genesis.model_copy(update={"validators": (first.model_copy(update={"owner": cold}), second)})
    assert [record.owner for record in owned.head().validators] == [
        bytes.fromhex(cold[2:]),
        bytes.fromhex(second.address[2:]),
    ]
    spelled = parse_genesis(genesis.model_dump_json(), name="with nulls")
    assert spelled.hash == genesis.hash


def test_a_chain_that_begins_later_is_waited_for_and_one_that_cannot_be_meant_is_refused() -> None:
    genesis = make_genesis()
    begins_ms = genesis.genesis_time_ms
    assert genesis.told_to_wait(begins_ms) is None
    waits = genesis.told_to_wait(begins_ms - 1_500)
    assert waits is not None
    assert waits.startswith("the chain begins at 2025-")
    assert waits.endswith("in 2 s by this machine's clock")
    genesis.check_time(begins_ms - GENESIS_AHEAD_MS_MAX)
    with pytest.raises(GenesisError, match=r"genesis_time_ms: the chain begins at 2025-.*, 367 days from now by this"):
        genesis.check_time(begins_ms - 367 * 86_400_000)
