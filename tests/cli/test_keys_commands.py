"""`step-node keys`: keystores are made once, for their owner alone, and never show a private key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.crypto.eip191 import address_of, public_key_of
from step_node.signing.keyfile_format import create_keyfile_json
from step_node.signing.keystore import PASSWORD_ENVIRONMENT_VARIABLE, load_keystore
from tests.cli.conftest import PRIVATE_KEY, Command

ADDRESS = f"0x{address_of(public_key_of(PRIVATE_KEY)).hex()}"


@pytest.fixture
def keystore(command: Command, key_file: Path, password_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    result = command("keys", "import", "--key-file", key_file, "--output", path, "--password-file", password_file)
    assert result.exit_code == 0, result.stderr
    assert ADDRESS in result.stdout
    return path


def test_a_new_key_is_in_an_encrypted_file_of_its_owner_alone(
    command: Command, password_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new.json"
    result = command("keys", "new", "--output", path, "--password-file", password_file, "--json")
    shown = json.loads(result.stdout)
    private_key = load_keystore(path, "correct horse")
    assert shown["address"] == f"0x{address_of(public_key_of(private_key)).hex()}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert private_key.hex() not in result.stdout + path.read_text()


def test_a_keystore_shows_its_address_without_the_password(command: Command, keystore: Path) -> None:
    assert command("keys", "show", "--keystore", keystore).stdout.split() == ["address", ADDRESS]


def test_the_public_key_needs_the_password(command: Command, keystore: Path, password_file: Path) -> None:
    asked = ("keys", "show", "--keystore", keystore, "--public-key", "--json")
    assert command(*asked).exit_code == 1
    shown = json.loads(command(*asked, "--password-file", password_file).stdout)
    assert shown == {"address": ADDRESS, "public_key": f"0x{public_key_of(PRIVATE_KEY).hex()}"}


def test_a_key_file_shows_its_peer_id(command: Command, key_file: Path) -> None:
    shown = json.loads(command("keys", "show", "--key-file", key_file, "--json").stdout)
    assert shown["address"] == ADDRESS
    assert shown["peer_id"].startswith("16Uiu2HA")
    assert PRIVATE_KEY.hex() not in json.dumps(shown)


def test_the_password_may_come_from_the_environment(
    command: Command, keystore: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_ENVIRONMENT_VARIABLE, "correct horse")
    assert command("keys", "show", "--keystore", keystore, "--public-key").exit_code == 0
    monkeypatch.setenv(PASSWORD_ENVIRONMENT_VARIABLE, "wrong")
    result = command("keys", "show", "--keystore", keystore, "--public-key")
    assert (result.exit_code, result.stderr) == (
        1,
        f"error: {keystore}: the password is wrong (or the file was altered)\n",
    )


def test_a_file_that_exists_is_never_overwritten(command: Command, keystore: Path, password_file: Path) -> None:
    before = keystore.read_bytes()
    result = command("keys", "new", "--output", keystore, "--password-file", password_file)
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert keystore.read_bytes() == before


def test_a_password_file_that_others_may_read_is_refused(command: Command, password_file: Path, tmp_path: Path) -> None:
    password_file.chmod(0o644)
    result = command("keys", "new", "--output", tmp_path / "new.json", "--password-file", password_file)
    assert result.exit_code == 1
    assert "chmod 600" in result.stderr
    assert not (tmp_path / "new.json").exists()


def test_without_a_password_and_without_a_terminal_it_says_where_to_give_one(command: Command, tmp_path: Path) -> None:
    result = command("keys", "new", "--output", tmp_path / "new.json")
    assert result.exit_code == 1
    assert "--password-file" in result.stderr
    assert PASSWORD_ENVIRONMENT_VARIABLE in result.stderr


def test_another_programs_keystore_is_imported_with_its_own_password(
    command: Command, password_file: Path, tmp_path: Path
) -> None:
    foreign, foreign_password, output = tmp_path / "wallet.json", tmp_path / "foreign", tmp_path / "validator.json"
    content = create_keyfile_json(PRIVATE_KEY, b"another", kdf="scrypt", iterations=2)
    foreign.write_text(json.dumps({"version": 3, "Crypto": content["crypto"], "address": ADDRESS[2:]}))
    foreign_password.write_text("another\n")
    for file in (foreign, foreign_password):
        file.chmod(0o600)
    arguments = ["keys", "import", "--keystore", foreign, "--output", output, "--password-file", password_file]
    asked = command(*arguments)
    assert asked.exit_code == 1
    assert "--keystore-password-file" in asked.stderr
    assert not output.exists()
    result = command(*arguments, "--keystore-password-file", foreign_password)
    assert result.exit_code == 0
    assert PRIVATE_KEY.hex() not in result.output
    assert load_keystore(output, "correct horse") == PRIVATE_KEY


def test_a_key_is_imported_from_exactly_one_file(command: Command, key_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "validator.json"
    both = ["--keystore", key_file, "--key-file", key_file]
    for given in ([], both):
        assert command("keys", "import", "--output", output, *given).exit_code == 2
