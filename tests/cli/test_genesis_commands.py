"""`step-node genesis`: from a plan to a home that can start, and what is refused on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.chain.genesis import load_genesis
from step_node.home.config import load_config
from step_node.home.histories import keys_with_history
from step_node.home.paths import NodeHome
from step_node.signing.keystore import KdfStrength, create_keystore, keystore_address
from tests.cli.conftest import Command

HOST = "/dns4/node.example/tcp/26600"


@pytest.fixture
def plan(command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    made = command(
        *("genesis", "new", "--chain-id", "ours", "--begins-at", "2026-01-31T12:00:00.000Z", "--output", path)
    )
    assert made.exit_code == 0, made.stderr
    return path


def test_a_declared_home_is_completed_by_the_genesis_it_is_in(
    command: Command, plan: Path, password_file: Path, tmp_path: Path
) -> None:
    home = NodeHome(tmp_path / "node")
    cold = create_keystore(tmp_path / "cold.json", bytes(range(1, 33)), "correct horse", KdfStrength.DEVNET)
    declaring = (
        *("genesis", "add-validator", "--plan", plan, "--home", home.root, "--password-file", password_file),
        *("--owner-keystore", tmp_path / "cold.json", "--owner-password-file", password_file),
    )
    declared = command(*declaring, "--p2p-address", HOST, "--output", tmp_path / "mine.json")
    assert declared.exit_code == 0, declared.stderr
    assert not home.genesis.exists()
    kept = home.validator_keystore.read_bytes()

    moved = command(*declaring, "--p2p-address", HOST.replace("node", "other"), "--output", tmp_path / "again.json")
    assert moved.exit_code == 0, moved.stderr
    assert home.validator_keystore.read_bytes() == kept, "declaring anew keeps the keys"

    genesis = tmp_path / "genesis.json"
    collecting = ("genesis", "collect", "--plan", plan, "--output", genesis)
    both = command(*collecting, tmp_path / "mine.json", tmp_path / "again.json")
    assert (both.exit_code, genesis.exists()) == (1, False)
    assert "differ in p2p_address" in both.stderr
    assert command(*collecting, tmp_path / "again.json").exit_code == 0

    checking = ("genesis", "check", "--genesis", genesis, "--plan", plan, "--json")
    told = json.loads(command(*checking, "--mine", tmp_path / "again.json").stdout)
    assert (told["chainId"], told["validators"], told["supply"]) == ("ours", 1, "100000.000000")
    assert told["hash"] == f"0x{load_genesis(genesis).hash.hex()}"
    older = command(*checking, "--mine", tmp_path / "mine.json")
    assert older.exit_code == 1
    assert "p2p_address is /dns4/other.example" in older.stderr

    assert command("init", "--home", home.root, "--genesis", genesis, "--validator").exit_code == 2
    made = command("init", "--home", home.root, "--genesis", genesis, "--api-port", 8_700)
    assert made.exit_code == 0, made.stderr
    assert "not among the validators" not in made.stdout
    assert home.validator_keystore.read_bytes() == kept
    assert keys_with_history(home) == {keystore_address(home.validator_keystore)}
    assert load_config(home.config).api.port == 8_700
    (validator,) = load_genesis(home.genesis).validators
    assert validator.owner == f"0x{cold.hex()}"
    assert "never overwritten" in command("init", "--home", home.root, "--genesis", genesis).stderr


def test_a_genesis_is_held_against_that_of_a_node(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    genesis = Path(__file__).parents[2] / "configs" / "genesis.json"
    said = {"genesisHash": f"0x{load_genesis(genesis).hash.hex()}"}
    monkeypatch.setattr("step_node.cli.http_calls.get_json", lambda _url, path: {"/status": said}[path])
    checking = ("genesis", "check", "--genesis", genesis, "--url", "http://node")
    same = command(*checking)
    assert same.exit_code == 0, same.stderr
    assert "the node at http://node has the same" in same.stdout
    said["genesisHash"] = "0x" + "00" * 32
    other = command(*checking)
    assert other.exit_code == 1
    assert f"the node at http://node has the genesis 0x{'00' * 32}, and this file is 0x" in other.stderr


def test_a_begun_home_does_not_join_another_chain(
    command: Command, plan: Path, password_file: Path, tmp_path: Path
) -> None:
    options = ("--home", tmp_path / "node", "--p2p-address", HOST, "--password-file", password_file)
    assert command("genesis", "add-validator", "--plan", plan, *options, "--output", tmp_path / "m").exit_code == 0
    assert command("testnet", "--validators", 1, "--output", tmp_path / "net").exit_code == 0
    other = command("init", "--home", tmp_path / "node", "--genesis", tmp_path / "net" / "node0" / "genesis.json")
    assert other.exit_code == 1
    assert "chain ours" in other.stderr, other.stderr
    assert not (tmp_path / "node" / "genesis.json").exists()


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (("--p2p-address", "nowhere"), 2, "must be a multiaddr"),
        (("--p2p-address", HOST, "--stake", "5"), 1, "validator.stake_ustep: 5000000 is below parameters.min_stake"),
        (("--p2p-address", HOST, "--owner", "0x12"), 2, "must be 0x and 40 hex digits"),
        (("--p2p-address", HOST, "--owner", "0x5Aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), 2, "EIP-55"),
    ],
)
def test_what_cannot_be_declared_is_named(
    command: Command,
    plan: Path,
    password_file: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    exit_code: int,
    message: str,
) -> None:
    declaring = ("genesis", "add-validator", "--plan", plan, "--home", tmp_path / "node", "--output", tmp_path / "m")
    result = command(*declaring, *options, "--password-file", password_file)
    assert result.exit_code == exit_code
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "m").exists()
    assert not (tmp_path / "node").exists(), "a slip begins no home"


def test_no_file_is_written_over(command: Command, plan: Path) -> None:
    again = command("genesis", "new", "--chain-id", "x", "--begins-at", "2026-01-31T12:00:00.000Z", "--output", plan)
    assert again.exit_code == 1
    assert f"{plan}: exists already" in again.stderr


def test_a_test_network_has_observers_owners_parameters_and_balances(command: Command, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("epoch_batches = 50\n")
    (tmp_path / "a.csv").write_text(f"address,amount\n0x{'12' * 20},7.5\n")
    options = ("--validators", 2, "--observers", 1, "--owners", "--base-port", 9_000)
    files = ("--parameters", tmp_path / "p.toml", "--allocations", tmp_path / "a.csv")
    made = command("testnet", "--output", tmp_path / "net", *options, *files)
    assert made.exit_code == 0, made.stderr
    homes = [NodeHome(tmp_path / "net" / f"node{index}") for index in range(3)]
    genesis = load_genesis(homes[2].genesis)
    assert [home.validator_keystore.exists() for home in homes] == [True, True, False]
    assert genesis.parameters.epoch_batches == 50
    assert genesis.allocations == {f"0x{'12' * 20}": 7_500_000}
    owners = [keystore_address(tmp_path / "net" / "owners" / f"owner{index}.json") for index in range(2)]
    assert [validator.owner for validator in genesis.validators] == [f"0x{owner.hex()}" for owner in owners]
    observer = load_config(homes[2].config)
    assert set(observer.p2p.bootstrap) == {validator.p2p_address for validator in genesis.validators}
    assert (observer.api.port, observer.p2p.listen) == (9_002, ("/ip4/127.0.0.1/tcp/9005",))
    assert "observer" in made.stdout
