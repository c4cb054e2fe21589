"""`step-node init` and `testnet`: homes that a node can start from, and that are never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2p.libp2p_host import peer_id_of
from step_node.chain.genesis import genesis_of, load_genesis
from step_node.crypto.eip191 import address_of, public_key_of
from step_node.home.config import load_config
from step_node.home.making import network_homes
from step_node.home.paths import NodeHome
from step_node.signing.key_file import load_key_file
from step_node.signing.keystore import load_keystore, read_password
from tests.cli.conftest import Command
from tests.snapshot.test_initial_state import with_state
from tests.support.chains import make_genesis

VALIDATORS = 4


def init(command: Command, home: Path, password_file: Path) -> NodeHome:
    made = command("init", "--home", home, "--chain-id", "a-chain", "--validator", "--password-file", password_file)
    assert made.exit_code == 0, made.stderr
    return NodeHome(home)


def test_a_new_chain_has_this_node_as_its_only_validator(command: Command, password_file: Path, tmp_path: Path) -> None:
    home = init(command, tmp_path / "home", password_file)
    private_key = load_keystore(home.validator_keystore, "correct horse")
    (validator,) = load_genesis(home.genesis).validators
    assert validator.address == f"0x{address_of(public_key_of(private_key)).hex()}"
    assert validator.p2p_address.endswith(f"/p2p/{peer_id_of(load_key_file(home.p2p_key))}")
    assert load_config(home.config).api.port == 8_600
    assert not home.password.exists()


def test_another_node_joins_by_its_genesis(command: Command, password_file: Path, tmp_path: Path) -> None:
    first = init(command, tmp_path / "first", password_file)
    peer = load_genesis(first.genesis).validators[0].p2p_address
    options = ("--genesis", first.genesis, "--bootstrap", peer, "--api-port", 8_700)
    made = command("init", "--home", tmp_path / "second", *options)
    assert made.exit_code == 0, made.stderr
    second = NodeHome(tmp_path / "second")
    assert load_genesis(second.genesis).hash == load_genesis(first.genesis).hash
    assert load_config(second.config).p2p.bootstrap == (peer,)
    assert not second.validator_keystore.exists()


def test_a_genesis_of_another_chain_than_the_one_named_is_refused(
    command: Command, password_file: Path, tmp_path: Path
) -> None:
    first = init(command, tmp_path / "first", password_file)
    result = command("init", "--home", tmp_path / "second", "--genesis", first.genesis, "--chain-id", "another")
    assert result.exit_code == 1
    assert "'a-chain', not 'another'" in result.stderr
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ((), 2, "--genesis FILE to join a chain"),
        (("--validator",), 2, "--chain-id"),
        (("--validator", "--chain-id", "No Chain"), 1, "error: new chain: chain_id:"),
        (("--validator", "--chain-id", "a", "--bootstrap", "nowhere"), 1, "bootstrap.0: must be a multiaddr"),
        (("--genesis", "/nowhere/genesis.json"), 1, "error: /nowhere/genesis.json: cannot be read"),
    ],
)
def test_what_cannot_be_made_is_an_error_and_leaves_nothing(
    command: Command, tmp_path: Path, password_file: Path, options: tuple[str, ...], exit_code: int, message: str
) -> None:
    result = command("init", "--home", tmp_path / "home", *options, "--password-file", password_file)
    assert result.exit_code == exit_code
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "home").exists()


def test_an_empty_password_is_refused_before_anything_is_made(command: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    options = ("--chain-id", "a", "--validator", "--password-file", empty)
    result = command("init", "--home", tmp_path / "home", *options)
    assert result.exit_code == 1
    assert f"error: {empty}: password: must be 1 to 1024 bytes" in result.stderr
    assert not (tmp_path / "home").exists()


def test_a_home_is_never_overwritten(command: Command, password_file: Path, tmp_path: Path) -> None:
    home = init(command, tmp_path / "home", password_file)
    before = home.validator_keystore.read_bytes()
    result = command("init", "--home", home.root, "--chain-id", "b", "--validator", "--password-file", password_file)
    assert result.exit_code == 1
    assert "never overwritten" in result.stderr
    assert home.validator_keystore.read_bytes() == before


def test_a_test_network_shares_one_genesis_and_everyone_knows_everyone(command: Command, tmp_path: Path) -> None:
    result = command("testnet", "--validators", VALIDATORS, "--output", tmp_path / "net", "--base-port", 9_000)
    assert result.exit_code == 0, result.stderr
    homes = [NodeHome(tmp_path / "net" / f"node{index}") for index in range(VALIDATORS)]
    genesis = load_genesis(homes[0].genesis)
    addresses = [validator.p2p_address for validator in genesis.validators]
    assert len(set(addresses)) == VALIDATORS
    for index, home in enumerate(homes):
        config = load_config(home.config)
        assert home.genesis.read_bytes() == homes[0].genesis.read_bytes()
        assert set(config.p2p.bootstrap) == set(addresses) - {addresses[index]}
        assert config.p2p.listen == (f"/ip4/127.0.0.1/tcp/{9_000 + VALIDATORS + index}",)
        assert config.api.port == 9_000 + index
        assert addresses[index].endswith(f"/p2p/{peer_id_of(load_key_file(home.p2p_key))}")
        private_key = load_keystore(home.validator_keystore, read_password(home.password))
        assert genesis.validators[index].address == f"0x{address_of(public_key_of(private_key)).hex()}"
        for secret in (home.p2p_key, home.password, home.validator_keystore):
            assert secret.stat().st_mode & 0o777 == 0o600


def test_nodes_on_hosts_of_their_own_have_the_same_ports(command: Command, tmp_path: Path) -> None:
    options = ("--validators", 2, "--hosts", "10.0.0.1,node1", "--base-port", 9_000)
    assert command("testnet", "--output", tmp_path / "net", *options).exit_code == 0
    home = NodeHome(tmp_path / "net" / "node1")
    config = load_config(home.config)
    assert (config.api.host, config.api.port) == ("0.0.0.0", 9_000)
    assert config.p2p.listen == ("/ip4/0.0.0.0/tcp/9001",)
    assert config.p2p.bootstrap[0].startswith("/ip4/10.0.0.1/tcp/9001/p2p/16Uiu2HA")
    assert load_genesis(home.genesis).validators[1].p2p_address.startswith("/dns4/node1/tcp/9001/p2p/")


def test_each_node_has_a_database_of_its_own(command: Command, tmp_path: Path) -> None:
    uri = "mongodb://127.0.0.1/?replicaSet=rs0"
    options = ("--validators", 2, "--store", "mongodb", "--mongodb-uri", uri)
    assert command("testnet", "--output", tmp_path / "net", *options).exit_code == 0
    stores = [load_config(NodeHome(tmp_path / "net" / name).config).storage for name in ("node0", "node1")]
    assert [store.mongodb_uri for store in stores] == [uri, uri]
    assert stores[0].mongodb_database != stores[1].mongodb_database


def test_a_test_network_overwrites_no_home_and_then_writes_none(command: Command, tmp_path: Path) -> None:
    taken = tmp_path / "net" / "node1"
    taken.mkdir(parents=True)
    (taken / "precious").touch()
    result = command("testnet", "--validators", 2, "--output", tmp_path / "net")
    assert result.exit_code == 1
    assert str(taken) in result.stderr
    assert not (tmp_path / "net" / "node0").exists()


def test_a_test_network_of_a_plan_has_its_chain_and_the_state_that_it_names(command: Command, tmp_path: Path) -> None:
    state, plan = tmp_path / "state", tmp_path / "plan.json"
    named = with_state(state, genesis=make_genesis(allocations={"alice": 5}))
    plan.write_text(named.model_dump_json(exclude_none=True, exclude={"validators"}))
    options = ("--validators", 2, "--observers", 1, "--owners", "--output", tmp_path / "net", "--plan", plan)
    for wrong in ((), ("--initial-state", plan), ("--initial-state", state, "--chain-id", "another")):
        assert command("testnet", *options, *wrong).exit_code in (1, 2)
        assert not (tmp_path / "net").exists()
    result = command("testnet", *options, "--initial-state", state)
    assert result.exit_code == 0, result.stderr
    homes = network_homes(tmp_path / "net", 3)
    genesis = load_genesis(homes[0].genesis)
    assert genesis_of(named, genesis.validators) == genesis
    assert len({validator.owner for validator in genesis.validators}) == 2
    assert len(genesis.validators) == 2
    for home in homes:
        assert load_genesis(home.genesis) == genesis
        assert home.initial_state.read_bytes() == state.read_bytes()


def test_a_test_network_without_a_state_to_begin_with_takes_none(command: Command, tmp_path: Path) -> None:
    with_state(tmp_path / "state")
    result = command("testnet", "--output", tmp_path / "net", "--initial-state", tmp_path / "state")
    assert result.exit_code == 1
    assert "this genesis names no initial state" in result.stderr
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--store", "mongodb"),
        ("--mongodb-uri", "mongodb://x"),
        ("--validators", "0"),
        ("--validators", "2", "--hosts", "one"),
        ("--store", "mongodb", "--mongodb-uri", "foo"),
        ("--store", "mongodb", "--mongodb-uri", "mongodb://a:b:c"),
        ("--validators", "2", "--hosts", "a b,c"),
        ("--validators", "2", "--hosts", "-a,c"),
        ("--validators", "2", "--hosts", "a_b,c"),
        ("--validators", "2", "--hosts", "a,10.0.0.256"),
        ("--validators", "2", "--hosts", "a,http://b"),
        ("--base-port", "65535"),
    ],
)
def test_a_test_network_that_cannot_be_is_wrong_usage(
    command: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert command("testnet", "--output", tmp_path / "net", *options).exit_code == 2
    assert not (tmp_path / "net").exists()


def test_the_example_files_in_configs_are_true() -> None:
    from step_node.home.config import NodeConfig
    from step_node.home.config_file import render_config

    configs = Path(__file__).parent.parent.parent / "configs"
    assert (configs / "config.toml").read_text() == render_config(NodeConfig())
    for name in ("genesis.json", "genesis.user.json"):
        genesis = load_genesis(configs / name)
        content = json.loads((configs / name).read_text())
        shown = genesis.model_dump(mode="json", exclude_none=True)
        assert content == shown, "every key that has a default must be shown"


@pytest.mark.parametrize("uri", ["foo", "http://127.0.0.1", "mongodb://", "mongodb://127.0.0.1:x"])
def test_a_devnet_looks_at_the_uri_of_mongodb_before_it_starts_anything(command: Command, uri: str) -> None:
    ended = command("devnet", "--store", "mongodb", "--mongodb-uri", uri)
    assert ended.exit_code == 2
    assert "--mongodb-uri" in ended.output
