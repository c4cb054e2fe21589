"""A key signs only with its own history: what `keys` and `start` do with homes, keys and histories that come apart."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from step_node.chain.genesis import load_genesis
from step_node.home.histories import keys_with_history
from step_node.home.paths import NodeHome
from step_node.signing.guard import SigningGuard
from step_node.signing.history import SigningKind
from step_node.signing.keystore import keystore_address, load_keystore
from tests.cli.conftest import SECONDS_MAX, Command, Start, read_until

Refused = Callable[..., str]

pytestmark = pytest.mark.slow


@pytest.fixture
def refused(command: Command, password_file: Path) -> Refused:
    """What `start` says that does not start: one line."""

    def call(home: NodeHome, *options: object) -> str:
        result = command("start", "--home", home.root, "--password-file", password_file, *options)
        assert result.exit_code == 1, result.stdout
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        return line

    return call


@pytest.fixture
def observer(command: Command, home: NodeHome, tmp_path: Path) -> NodeHome:
    """A home of the same chain, without a validator's key."""
    options = ("--genesis", home.genesis, "--api-port", 0, "--p2p-port", 0)
    made = command("init", "--home", tmp_path / "observer", *options)
    assert made.exit_code == 0, made.stderr
    return NodeHome(tmp_path / "observer")


def history_of(home: NodeHome) -> SigningGuard:
    validator = keystore_address(home.validator_keystore)
    chain_id = load_genesis(home.genesis).chain_id
    return SigningGuard.open(home.signing_history(validator), chain_id=chain_id, validator=validator)


def exported(command: Command, home: NodeHome) -> dict[str, Any]:
    result = command("keys", "export-history", "--home", home.root)
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def run_once(start: Start, home: NodeHome, password_file: Path, *options: object) -> str:
    """Start the node in `home`, and stop it as soon as it serves; what its log said."""
    node = start("start", "--home", home.root, "--password-file", password_file, *options)
    read_until(node, "Running.")
    node.send_signal(signal.SIGTERM)
    _, errors = node.communicate(timeout=SECONDS_MAX)
    assert node.returncode == 0, errors
    return errors


def test_a_key_made_with_its_home_has_its_history_from_the_beginning(command: Command, home: NodeHome) -> None:
    validator = keystore_address(home.validator_keystore)
    assert keys_with_history(home) == {validator}
    document = exported(command, home)
    assert document["data"] == [
        {"pubkey": f"0x{validator.hex()}", "signed_blocks": [], "signed_attestations": [], "step": {}}
    ]


def test_a_key_made_for_a_home_has_its_history_there_and_one_made_for_none_has_not(
    command: Command, home: NodeHome, password_file: Path, tmp_path: Path
) -> None:
    before = keys_with_history(home)
    for name, options in (("first", ()), ("second", ("--home", home.root))):
        made = command("keys", "new", "--output", tmp_path / name, "--password-file", password_file, "--json", *options)
        address = bytes.fromhex(json.loads(made.stdout)["address"][2:])
        assert (address in keys_with_history(home)) == bool(options)
    assert len(keys_with_history(home)) == len(before) + 1
    nowhere = command("keys", "new", "--output", tmp_path / "third", "--home", tmp_path / "nowhere")
    assert nowhere.exit_code == 1
    assert not (tmp_path / "third").exists(), "no key is made that would then lack its history"


@pytest.mark.slow
def test_neither_a_fresh_home_nor_one_that_has_observed_takes_a_key_without_a_word(
    start: Start, command: Command, refused: Refused, home: NodeHome, observer: NodeHome, password_file: Path
) -> None:
    fresh = NodeHome(observer.root.with_name("fresh"))
    shutil.copytree(observer.root, fresh.root)
    run_once(start, observer, password_file)
    for receiver in (fresh, observer):
        shutil.copy(home.validator_keystore, receiver.validator_keystore)
        assert "what the validator's key 0x" in refused(receiver)
        assert f"--home {receiver.root} --lost-signing-history" in refused(receiver)
        assert not keys_with_history(receiver)
    errors = run_once(start, observer, password_file, "--lost-signing-history")
    assert "the signing history is doubtful: nothing is signed for now" in errors
    assert "lost" in exported(command, observer)["data"][0]["step"]["doubt"]


@pytest.mark.slow
def test_a_home_that_has_signed_does_not_become_an_observers_silently(
    start: Start, refused: Refused, home: NodeHome, password_file: Path
) -> None:
    validator = keystore_address(home.validator_keystore)
    home.validator_keystore.rename(home.root / "validator.json")
    assert f"0x{validator.hex()} has signed in this home" in refused(home)
    errors = run_once(start, home, password_file, "--observer")
    assert f"0x{validator.hex()} is in the validator set and has signed in this home" in errors


@pytest.mark.slow
def test_a_second_node_does_not_start_though_the_file_lock_is_deleted(
    start: Start, refused: Refused, home: NodeHome, password_file: Path
) -> None:
    node = start("start", "--home", home.root, "--password-file", password_file)
    read_until(node, "Running.")
    (home.root / "lock").unlink()
    assert "this node home is in use by another process; stop it first" in refused(home)
    assert node.poll() is None


def test_a_history_is_carried_to_another_home_with_its_floor_and_its_doubt(
    command: Command, home: NodeHome, observer: NodeHome, tmp_path: Path
) -> None:
    with history_of(home) as guard:
        guard.authorise(7, 0, SigningKind.PRE_VOTE, b"a")
        guard.raise_floor(5)
        guard.doubt("a copy was put back")
    result = command("keys", "export-history", "--home", home.root)
    assert "this history is doubtful, and stays so where it is imported: a copy was put back" in result.stderr
    (tmp_path / "history.json").write_text(result.stdout)
    shutil.copy(home.validator_keystore, observer.validator_keystore)
    imported = ("keys", "import-history", "--home", observer.root, "--input", tmp_path / "history.json")
    for _ in range(2):
        told = command(*imported)
        assert told.exit_code == 0, told.stderr
        assert "now stands at height 7 with 1 records; nothing is signed up to height 5" in told.stdout
        assert "it is doubtful" in told.stdout
        with history_of(home) as old, history_of(observer) as new:
            assert new.content() == old.content()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"signed_blocks": [{"slot": str(2**62)}]}, "heights must be at most "),
        ({"pubkey": "0x" + "00" * 20}, "and no keystore of it is in"),
        ({"pubkey": "0x00"}, "data.0.pubkey: must be 0x and 40 lower-case hex digits"),
    ],
)
def test_a_document_that_cannot_be_this_keys_history_changes_nothing(
    command: Command, home: NodeHome, tmp_path: Path, change: dict[str, object], rule: str
) -> None:
    document = tmp_path / "history.json"
    content = exported(command, home)
    content["data"][0] |= change
    document.write_text(json.dumps(content))
    imported = ("keys", "import-history", "--home", home.root, "--input", document)
    path = home.signing_history(keystore_address(home.validator_keystore))
    before = path.read_bytes()
    for is_there in (True, False):
        if not is_there:
            path.unlink()
        result = command(*imported)
        assert result.exit_code == 1
        assert rule in result.stderr
        assert (path.read_bytes() == before) if is_there else not path.exists()


def test_a_history_ahead_of_an_empty_store_is_taken_where_the_chain_can_have_come_so_far(
    command: Command, home: NodeHome, tmp_path: Path
) -> None:
    """The genesis is a few seconds old: the others may be at 1,000 by now, but not at 100,000."""
    for height, status in ((1_000, 0), (100_000, 1)):
        content = exported(command, home)
        content["data"][0]["signed_attestations"] = [
            {
                "source_epoch": str(height - 1),
                "target_epoch": str(height),
                "step": {"round": 0, "kind": "PRE_VOTE", "value": "0x61"},
            }
        ]
        (tmp_path / "history.json").write_text(json.dumps(content))
        result = command("keys", "import-history", "--home", home.root, "--input", tmp_path / "history.json")
        assert result.exit_code == status, result.stderr


def test_words_that_contradict_one_another_are_wrong_usage(command: Command, home: NodeHome) -> None:
    both = command("start", "--home", home.root, "--lost-signing-history", "--sign-from-height", 4)
    assert both.exit_code == 2
    assert "give only one of" in both.stderr


def test_a_home_with_a_history_of_an_older_version_is_refused(
    command: Command, refused: Refused, home: NodeHome
) -> None:
    home.unnamed_signing_history.touch()
    assert "older version" in refused(home)
    assert "older version" in command("keys", "export-history", "--home", home.root).stderr


def test_histories_of_several_keys_are_carried_in_one_document_all_or_none(
    command: Command, home: NodeHome, observer: NodeHome, password_file: Path, tmp_path: Path
) -> None:
    new = ("keys", "new", "--output", home.root / "keys" / "next.json", "--home", home.root)
    assert command(*new, "--password-file", password_file).exit_code == 0
    keys = [keystore_address(home.validator_keystore), keystore_address(home.root / "keys" / "next.json")]
    for number, key in enumerate(keys):
        with begun(home, key) as guard:
            guard.authorise(7 + number, 0, SigningKind.PRE_VOTE, bytes([number]) * 32)
    document = tmp_path / "history.json"
    document.write_text(json.dumps(exported(command, home)))
    imported = ("keys", "import-history", "--home", observer.root, "--input", document)
    assert "no keystore of it is in" in command(*imported).stderr
    shutil.copy(home.validator_keystore, observer.validator_keystore)
    one = command(*imported)
    assert f"passed over, since its keystore is not here: 0x{keys[1].hex()}" in one.stdout
    assert keys_with_history(observer) == {keys[0]}
    shutil.copy(home.root / "keys" / "next.json", observer.root / "keys" / "next.json")
    # One that contradicts keeps all of them out.
    with begun(observer, keys[1]) as guard:
        guard.authorise(8, 0, SigningKind.PRE_VOTE, b"x" * 32)
    observer.signing_history(keys[0]).unlink()
    refusal = command(*imported)
    assert refusal.exit_code == 1
    assert "this key has signed twice" in refusal.stderr
    assert keys_with_history(observer) == {keys[1]}
    observer.signing_history(keys[1]).unlink()
    assert command(*imported).exit_code == 0
    for number, key in enumerate(keys):
        with begun(observer, key) as guard:
            assert guard.height == 7 + number


def test_the_keys_of_a_home_are_listed_and_handed_on_without_showing_a_private_one(
    command: Command, home: NodeHome, password_file: Path, tmp_path: Path
) -> None:
    key = keystore_address(home.validator_keystore)
    listed = json.loads(command("keys", "list", "--home", home.root, "--json").stdout)["keys"]
    assert [(row["address"], row["signing_history"]) for row in listed] == [(f"0x{key.hex()}", True)]
    shown = command("keys", "list", "--home", home.root, "--public-key", "--password-file", password_file)
    assert "0x02" in shown.stdout or "0x03" in shown.stdout
    handed = tmp_path / "wallet.json"
    other = tmp_path / "other password"
    other.write_text("another password\n")
    other.chmod(0o600)
    export = ("keys", "export", "--keystore", home.validator_keystore, "--output", handed)
    result = command(*export, "--keystore-password-file", password_file, "--password-file", other)
    assert result.exit_code == 0, result.stderr
    assert load_keystore(handed, "another password") == load_keystore(
        home.validator_keystore, password_file.read_text().strip()
    )
    assert "keys are never overwritten" in command(*export, "--password-file", other).stderr
    home.validator_keystore.unlink()
    assert "(no keystore here)" in command("keys", "list", "--home", home.root).stdout
    assert "is no home" in command("keys", "list", "--home", tmp_path / "nowhere").stderr


def begun(home: NodeHome, key: bytes) -> SigningGuard:
    home.signing_histories.mkdir(parents=True, exist_ok=True)
    chain_id = load_genesis(home.genesis).chain_id
    return SigningGuard.open(home.signing_history(key), chain_id=chain_id, validator=key)
