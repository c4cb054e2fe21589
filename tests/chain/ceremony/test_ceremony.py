"""A genesis made by several: the same from any order, and nothing in it that its operator has not signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.chain.ceremony.checking import check_mine, check_plan, warnings
from step_node.chain.ceremony.collecting import collect
from step_node.chain.ceremony.declaration import Declaration, DeclarationError, declare
from step_node.chain.ceremony.inputs import load_allocations, load_parameters
from step_node.chain.genesis import Genesis, GenesisError, GenesisPlan, GenesisValidator, parse_document
from step_node.chain.new_chains import RULES_VERSION, new_chain_parameters
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.parameters import USTEP_PER_STEP, Parameters
from tests.support.proofs import START_MS, address, private_key

NAMES = ("anna", "ben", "cleo", "dora")
PLAN = GenesisPlan(
    chain_id="ours",
    genesis_time_ms=START_MS,
    protocol_version=RULES_VERSION,
    parameters=new_chain_parameters({"speed_limit_mps": 20}),
    allocations={f"0x{address('rich').hex()}": 5},
)


def validator(name: str, *, peer: str | None = None, place: str | None = None, **changes: Any) -> GenesisValidator:
    public_key = public_key_of(private_key(name))
    return GenesisValidator(
        **{
            "address": f"0x{address_of(public_key).hex()}",
            "public_key": f"0x{public_key.hex()}",
            "stake_ustep": 100_000 * USTEP_PER_STEP,
            "p2p_address": f"/dns4/{place or name}.example/tcp/26600/p2p/{peer or PEERS[name]}",
            "owner": f"0x{address(f'{name}-owner').hex()}",
            **changes,
        }
    )


PEERS = {
    "anna": "16Uiu2HAm1vCCSd1vBdF8DZpHfJQJ8DqXbTqMB8RfLSTpdVwNXQQ7",
    "ben": "16Uiu2HAmPLe7Mzm8TsYUubgCAW1aJoeFScxrLj8ppHFivPo97bUZ",
    "cleo": "16Uiu2HAm8YdcwfZ1WyTNGuyWtYh2sMxvNWQ8LyJbtVXhLGSLWAnA",
    "dora": "16Uiu2HAm4v86W3bmT1BiH6oSPzcsSr24iDQpSN5Qa992BCjjwgrD",
}


def declared(name: str, **changes: Any) -> Declaration:
    return declare(PLAN, validator(name, **changes), hot_key=private_key(name), owner_key=private_key(f"{name}-owner"))


ALL = {f"{name}.json": declared(name) for name in NAMES}


@given(st.permutations(list(ALL)))
def test_whoever_collects_in_whatever_order_it_is_the_same_genesis(order: list[str]) -> None:
    genesis = collect(PLAN, {name: ALL[name] for name in order})
    assert genesis.hash == collect(PLAN, ALL).hash
    assert {one.address for one in genesis.validators} == {f"0x{address(name).hex()}" for name in NAMES}
    check_plan(genesis, PLAN)
    for name in NAMES:
        check_mine(genesis, ALL[f"{name}.json"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stake_ustep", 200_000 * USTEP_PER_STEP),
        ("owner", f"0x{address('thief').hex()}"),
        ("p2p_address", f"/dns4/thief.example/tcp/1/p2p/{PEERS['ben']}"),
    ],
)
def test_whatever_is_changed_after_it_was_signed_is_refused(field: str, value: object) -> None:
    changed = ALL["anna.json"].model_copy(
        update={"validator": ALL["anna.json"].validator.model_copy(update={field: value})}
    )
    with pytest.raises(GenesisError, match=r"^anna.json: signature: is not by the validator's key"):
        collect(PLAN, {**ALL, "anna.json": changed})


def test_a_declaration_for_another_plan_is_refused() -> None:
    other = GenesisPlan(chain_id="ours", genesis_time_ms=START_MS)
    with pytest.raises(GenesisError, match=r"ben.json: plan: is for 0x[0-9a-f]{64} of the chain ours, and this plan"):
        collect(other, {"ben.json": ALL["ben.json"]})


def test_the_owners_signature_has_to_be_the_owners() -> None:
    with pytest.raises(DeclarationError, match="owner_signature: is not by the owner's key"):
        declare(PLAN, validator("anna"), hot_key=private_key("anna"), owner_key=private_key("ben-owner"))
    assert not declare(PLAN, validator("anna"), hot_key=private_key("anna")).is_owner_shown
    assert declare(PLAN, validator("anna", owner=None), hot_key=private_key("anna")).is_owner_shown


def test_a_stake_below_the_plans_and_an_address_without_a_peer_are_refused() -> None:
    with pytest.raises(DeclarationError, match=r"validator.stake_ustep: 5 is below parameters.min_stake"):
        declared("anna", stake_ustep=5)
    with pytest.raises(DeclarationError, match=r"validator.p2p_address: must end in /p2p/"):
        declared("anna", p2p_address="/dns4/anna.example/tcp/26600")


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (declared("anna"), "declare the validator 0x.* more than once: leave one away"),
        (
            declared("anna", stake_ustep=300_000 * USTEP_PER_STEP),
            "declare the validator 0x.* more than once, and differ in stake_ustep: leave the wrong",
        ),
        (declared("ben", peer=PEERS["anna"]), "declare the peer 16Uiu2HAm1v.* more than once, and differ in address"),
        (declared("ben", place="anna"), "declare the place /dns4/anna.example/tcp/26600 more than once"),
    ],
)
def test_two_declarations_that_cannot_both_be_are_named(second: Declaration, message: str) -> None:
    with pytest.raises(GenesisError, match=f"^anna.json and second.json: {message}"):
        collect(PLAN, {"second.json": second, "anna.json": ALL["anna.json"], "cleo.json": ALL["cleo.json"]})


def test_all_that_is_wrong_is_told_at_once() -> None:
    theirs = GenesisPlan(chain_id="theirs", genesis_time_ms=START_MS)
    other = declare(theirs, validator("dora"), hot_key=private_key("dora"))
    files = {"a.json": "anna", "b.json": "anna", "e.json": "ben", "f.json": "ben"}
    with pytest.raises(GenesisError) as raised:
        collect(PLAN, {"d.json": other, **{file: ALL[f"{name}.json"] for file, name in files.items()}})
    assert [line.split(":")[0] for line in str(raised.value).splitlines()][1:] == [
        "a.json and b.json",
        "e.json and f.json",
    ], raised.value
    assert str(raised.value).startswith("d.json: plan: ")


def test_a_genesis_that_differs_from_what_was_planned_or_declared_is_told_by_its_field() -> None:
    genesis = collect(PLAN, ALL)
    for change, message in (
        ({"parameters": new_chain_parameters()}, "parameters: is not as in the plan: speed_limit_mps"),
        ({"allocations": {}}, f"allocations: is not as in the plan: 0x{address('rich').hex()}"),
        ({"genesis_time_ms": START_MS + 1}, f"genesis_time_ms: is not as in the plan: {START_MS + 1}, not {START_MS}"),
    ):
        with pytest.raises(GenesisError, match=message):
            check_plan(genesis.model_copy(update=change), PLAN)
    with pytest.raises(GenesisError, match="is not among them: it has been left out"):
        check_mine(collect(PLAN, {"ben.json": ALL["ben.json"]}), ALL["anna.json"])
    other = collect(PLAN, {"a.json": declared("anna", stake_ustep=300_000 * USTEP_PER_STEP)})
    with pytest.raises(GenesisError, match="stake_ustep is 300000000000, declared was 100000000000"):
        check_mine(other, ALL["anna.json"])


def warned(genesis: Genesis, *, now_ms: int = START_MS - 86_400_000) -> str:
    return "\n".join(warnings(genesis, now_ms=now_ms))


def test_what_may_not_be_meant_is_warned_of_and_nothing_else() -> None:
    sane = collect(PLAN, ALL)
    assert warned(sane) == "parameters.speed_limit_mps is 20; new chains have 15"
    assert "which is past by this clock" in warned(sane, now_ms=START_MS + 1)
    assert "in 60 s by this clock" in warned(sane, now_ms=START_MS - 60_000)
    few = {name: ALL[name] for name in ("anna.json", "ben.json", "cleo.json")}
    assert "with fewer than 4 the chain stands still" in warned(collect(PLAN, few))
    one_owner = f"0x{address('anna-owner').hex()}"
    second = declare(PLAN, validator("ben", owner=one_owner), hot_key=private_key("ben"))
    assert f"the owner {one_owner} has 2 of 4 validators, and can stop the chain alone" in warned(
        collect(PLAN, {**ALL, "ben.json": second})
    )
    assert "1 of 4 validators are their own owners" in warned(
        collect(PLAN, {**ALL, "ben.json": declare(PLAN, validator("ben", owner=None), hot_key=private_key("ben"))})
    )
    inside = declared("ben", p2p_address=f"/ip4/10.0.0.1/tcp/26600/p2p/{PEERS['ben']}")
    assert "10.0.0.1 is not reached from everywhere" in warned(collect(PLAN, {**ALL, "ben.json": inside}))
    beside = declared("ben", p2p_address=f"/dns4/anna.example/tcp/26601/p2p/{PEERS['ben']}")
    assert "2 validators are at anna.example" in warned(collect(PLAN, {**ALL, "ben.json": beside}))
    defaults = warned(sane.model_copy(update={"protocol_version": None, "parameters": Parameters()})).splitlines()
    assert defaults == [
        "protocol_version is 1; new chains begin with 2",
        "parameters.slash_offline_bps is 1000; new chains have 100",
    ]
    cheap = sane.model_copy(update={"parameters": Parameters(slash_double_sign_bps=0, unbonding_ms=1)})
    assert "contradicting oneself costs nothing" in warned(cheap)
    assert "unbonding_ms is less than a day" in warned(cheap)


def test_parameters_are_read_from_either_form_and_strictly(tmp_path: Path) -> None:
    toml, as_json = tmp_path / "p.toml", tmp_path / "p.json"
    toml.write_text("speed_limit_mps = 20\n")
    as_json.write_text('{"speed_limit_mps": 20}')
    assert load_parameters(toml) == load_parameters(as_json) == new_chain_parameters({"speed_limit_mps": 20})
    for text, message in (
        ("speed = 1", "speed: unknown key"),
        ('speed_limit_mps = "20"', "speed_limit_mps: must"),
        ("speed_limit_mps = ", "is not TOML"),
    ):
        toml.write_text(text)
        with pytest.raises(GenesisError, match=f"^{toml}: {message}"):
            load_parameters(toml)
    as_json.write_text("[20]")
    with pytest.raises(GenesisError, match="must have parameters with their values"):
        load_parameters(as_json)
    as_json.write_text('{"speed_limit_mps": 20, "speed_limit_mps": 21}')
    with pytest.raises(GenesisError, match="stands twice"):
        load_parameters(as_json)
    with pytest.raises(GenesisError, match=r"must end in .toml or .json"):
        load_parameters(_written(tmp_path / "p.yaml", ""))


SMALL = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
"""An example of EIP-55."""


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_allocations_are_the_same_from_all_three_forms(tmp_path: Path) -> None:
    expected = {SMALL: 1_000_500_000, f"0x{address('bob').hex()}": 1}
    entries = {CHECKSUMMED: "1000.5", f"0x{address('bob').hex()}": "0.000001"}
    rows = "".join(f"{key},{value}\n" for key, value in entries.items())
    assert load_allocations(_written(tmp_path / "a.csv", f"address,amount\n{rows}")) == expected
    assert load_allocations(_written(tmp_path / "a.json", json.dumps(entries))) == expected
    lines = "".join(f'{key} = "{value}"\n' for key, value in entries.items())
    assert load_allocations(_written(tmp_path / "a.toml", lines)) == expected


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0x12,1", "line 2: must be an address"),
        (f"{CHECKSUMMED.replace('aA', 'Aa')},1", "line 2: 0x5Aae.*: its capital letters are not its checksum"),
        (f"{SMALL},1\n{CHECKSUMMED},2", "line 3: 0x5aAe.* stands at line 2 already"),
        (f"{SMALL},-1", "line 2: 0x5aae.*: must be an amount of STEP"),
        (f"{SMALL},1e6", "line 2: 0x5aae.*: must be an amount of STEP"),
        (f"{SMALL},0.0000001", "line 2: 0x5aae.*: must be an amount of STEP"),
        (f"{SMALL},9999999999999", "line 2: 0x5aae.*: must be at most 9007199254740991 micro-STEP"),
        (f"{SMALL}", "line 2: must have an address and an amount, no more"),
        (f'{SMALL},"1', "is not CSV"),
    ],
)
def test_what_is_wrong_with_an_allocation_is_told_by_its_line(tmp_path: Path, rows: str, message: str) -> None:
    path = _written(tmp_path / "a.csv", f"address,amount\n{rows}\n")
    with pytest.raises(GenesisError, match=message):
        load_allocations(path)


def test_errors_of_many_allocations_are_counted(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.csv", "address,amount\n" + "x,1\n" * 50)
    with pytest.raises(GenesisError, match=r"and 30 more$"):
        load_allocations(path)
    with pytest.raises(GenesisError, match="line 1: must be address,amount"):
        load_allocations(_written(tmp_path / "b.csv", "amount,address\n"))
    with pytest.raises(GenesisError, match="must be an amount of STEP in quotes"):
        load_allocations(_written(tmp_path / "c.json", json.dumps({SMALL: 1})))


def test_a_declaration_survives_its_file_and_unknown_keys_do_not() -> None:
    text = ALL["anna.json"].model_dump_json(exclude_none=True)
    assert parse_document(text, Declaration, name="anna.json") == ALL["anna.json"]
    with pytest.raises(GenesisError, match=r"^anna\.json: name: unknown key"):
        parse_document(text[:-1] + ',"name":"Anna"}', Declaration, name="anna.json")
