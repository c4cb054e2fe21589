import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any, Literal

import pytest
from Crypto.Cipher import AES
from eth_account import Account

from step_node.crypto import eip191
from step_node.crypto.keccak import keccak_256
from step_node.signing.key_file import create_key_file, load_key_file
from step_node.signing.keyfile_format import create_keyfile_json
from step_node.signing.keystore import (
    PASSWORD_ENVIRONMENT_VARIABLE,
    KdfStrength,
    create_keystore,
    keystore_address,
    load_keystore,
    new_private_key,
    read_password,
)
from step_node.signing.private_file import KeystoreError

KEY = bytes.fromhex("44" * 32)
PASSWORD = "correct horse é"
_WALLET_KDFS: tuple[tuple[Literal["scrypt", "pbkdf2"], int], ...] = (("scrypt", 1024), ("pbkdf2", 1000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    keystore = tmp_path / "validator.json"
    create_keystore(keystore, KEY, PASSWORD, KdfStrength.DEVNET)
    return keystore


def altered(path: Path, *keys: str, value: object) -> None:
    content: Any = json.loads(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(content))


def test_a_keystore_gives_back_the_key_to_its_password(path: Path) -> None:
    assert load_keystore(path, PASSWORD) == KEY
    assert keystore_address(path) == eip191.address_of(eip191.public_key_of(KEY))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_eth_account_reads_our_keystores_and_we_read_its(path: Path) -> None:
    assert bytes(Account.decrypt(path.read_text(), PASSWORD)) == KEY
    for kdf, iterations in _WALLET_KDFS:
        path.write_text(json.dumps(Account.encrypt(KEY, PASSWORD, kdf=kdf, iterations=iterations)))
        assert load_keystore(path, PASSWORD) == KEY


@pytest.mark.parametrize("spelling", ["crypto", "Crypto"])
def test_keystores_of_ethers_and_pyethereum_are_read(path: Path, spelling: str) -> None:
    content = json.loads(path.read_text())
    content[spelling] = content.pop("crypto") | {"version": 1}
    content["x-ethers"] = {"client": "ethers/6.13.4", "path": "m/44'/60'/0'/0/0"}
    path.write_text(json.dumps(content))
    assert load_keystore(path, PASSWORD) == KEY
    assert keystore_address(path) == eip191.address_of(eip191.public_key_of(KEY))


@pytest.mark.parametrize("zeros", [1, 2])
def test_a_key_whose_leading_zeros_were_left_out_is_read(path: Path, zeros: int) -> None:
    """As geth wrote them before 2016: keys of 31 and of 30 bytes."""
    key = bytes(zeros) + bytes.fromhex("44" * (32 - zeros))
    content = create_keyfile_json(key, PASSWORD.encode(), kdf="scrypt", iterations=2)
    whole = content["crypto"]
    assert isinstance(whole, dict)
    derived = hashlib.scrypt(PASSWORD.encode(), salt=bytes.fromhex(whole["kdfparams"]["salt"]), n=2, r=8, p=1, dklen=32)
    short = _aes_128_ctr(key[zeros:], derived[:16], bytes.fromhex(whole["cipherparams"]["iv"]))
    whole |= {"ciphertext": short.hex(), "mac": keccak_256(derived[16:] + short).hex()}
    path.write_text(json.dumps(content))
    assert load_keystore(path, PASSWORD) == key


def _aes_128_ctr(content: bytes, key: bytes, iv: bytes) -> bytes:
    return AES.new(key, AES.MODE_CTR, initial_value=int.from_bytes(iv, "big"), nonce=b"").encrypt(content)


def test_no_key_and_no_password_stands_in_an_error_or_in_its_traceback(path: Path) -> None:
    with pytest.raises(KeystoreError) as wrong_password:
        load_keystore(path, PASSWORD + " and more")
    path.write_text(KEY.hex())
    with pytest.raises(KeystoreError) as no_keystore:
        load_keystore(path, PASSWORD)
    for caught in (wrong_password, no_keystore):
        shown = f"{caught.value!r} {''.join(traceback.format_exception(caught.value))}"
        assert PASSWORD not in shown
        assert KEY.hex()[:16] not in shown


def test_the_default_strength_is_that_of_a_real_validator(tmp_path: Path) -> None:
    create_keystore(tmp_path / "keystore", KEY, PASSWORD)
    assert json.loads((tmp_path / "keystore").read_text())["crypto"]["kdfparams"]["n"] == 2**18


def test_a_wrong_password_is_said_to_be_wrong(path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"validator\.json: the password is wrong"):
        load_keystore(path, "wrong")


def test_a_keystore_is_never_overwritten(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(KeystoreError, match="exists already"):
        create_keystore(path, new_private_key(), PASSWORD, KdfStrength.DEVNET)
    assert path.read_bytes() == before


def test_a_keystore_that_others_may_read_is_refused(path: Path) -> None:
    path.chmod(0o640)
    with pytest.raises(KeystoreError, match=r"readable by its owner alone \(chmod 600\), not 0640"):
        load_keystore(path, PASSWORD)


@pytest.mark.parametrize(
    ("keys", "value", "rule"),
    [
        (("version",), 4, "version"),
        (("crypto", "cipher"), "aes-256-gcm", "crypto.cipher"),
        (("crypto", "ciphertext"), "00" * 33, "crypto.ciphertext"),
        (("crypto", "kdf"), "pbkdf2", "crypto.kdfparams: must be those of pbkdf2"),
        (("crypto", "kdf"), "argon2", "crypto.kdf"),
        (("crypto", "kdfparams", "n"), 4095, "crypto.kdfparams.n: must be a power of 2"),
        (("crypto", "kdfparams", "n"), 2**22, "crypto.kdfparams: must need at most"),
        (("crypto", "kdfparams", "n"), True, "crypto.kdfparams"),
        (("crypto", "cipherparams", "surprise"), 1, "crypto.cipherparams.surprise"),
        (("address",), "00" * 20, "address: must be that of the key"),
        (("address",), "zz", "address"),
    ],
)
def test_a_keystore_that_breaks_a_rule_is_refused_and_the_rule_named(
    path: Path, keys: tuple[str, ...], value: object, rule: str
) -> None:
    altered(path, *keys, value=value)
    with pytest.raises(KeystoreError) as caught:
        load_keystore(path, PASSWORD)
    assert str(path) in str(caught.value)
    assert rule in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"{" * 1000, b" " * 20_000])
def test_what_is_no_keystore_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(KeystoreError, match=r"validator\.json: must be"):
        load_keystore(path, PASSWORD)


def test_a_missing_file_a_directory_and_a_pipe_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match=r"nowhere: cannot be read: No such file"):
        load_keystore(tmp_path / "nowhere", PASSWORD)
    with pytest.raises(KeystoreError, match=r"must be a regular file|Is a directory"):
        load_keystore(tmp_path, PASSWORD)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeystoreError, match="must be a regular file"):
        load_keystore(tmp_path / "pipe", PASSWORD)


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_a_password_that_is_empty_or_too_long_is_refused(tmp_path: Path, password: str) -> None:
    with pytest.raises(KeystoreError, match="password: must be 1 to 1024 bytes"):
        create_keystore(tmp_path / "keystore", KEY, password, KdfStrength.DEVNET)


def test_a_password_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_ENVIRONMENT_VARIABLE, raising=False)
    with pytest.raises(KeystoreError, match=f"set the variable {PASSWORD_ENVIRONMENT_VARIABLE}"):
        read_password()
    monkeypatch.setenv(PASSWORD_ENVIRONMENT_VARIABLE, "from the environment ")
    assert read_password() == "from the environment "
    file = tmp_path / "password"
    file.write_bytes(f" {PASSWORD} \n".encode())
    file.chmod(0o600)
    assert read_password(file) == f" {PASSWORD} "
    file.write_bytes(b"\xff")
    with pytest.raises(KeystoreError, match="must be UTF-8"):
        read_password(file)


def test_new_keys_differ_and_are_in_range() -> None:
    keys = {new_private_key() for _ in range(20)}
    assert len(keys) == 20
    for key in keys:
        eip191.public_key_of(key)


def test_a_key_file_gives_back_its_key(tmp_path: Path) -> None:
    path = tmp_path / "p2p.key"
    create_key_file(path, KEY)
    assert path.read_text() == KEY.hex() + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key_file(path) == KEY
    with pytest.raises(KeystoreError, match="exists already"):
        create_key_file(path, KEY)
    path.write_text("0x" + KEY.hex())
    assert load_key_file(path) == KEY


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "64 hex digits"),
        (KEY, "64 hex digits"),
        (KEY.hex().encode() + b"\n\n", "64 hex digits"),
        (b"g" * 64, "64 hex digits"),
        (b"0" * 64, "between 1 and n - 1"),
        (b"f" * 64, "between 1 and n - 1"),
        (b"0" * 500, "64 hex digits, and nothing else$"),
        (b"0" * 20_000, "at most 16384 bytes"),
        (b'{"version": 3}', "looks like an encrypted keystore, which --keystore takes"),
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "p2p.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeystoreError, match=rule):
        load_key_file(path)


def test_reading_keystores_leaves_the_recursion_limit_as_it_was() -> None:
    """With the limit that a library below would set, deeply nested JSON ends the process."""
    program = "import sys; before = sys.getrecursionlimit(); import step_node.signing.keystore; " + (
        "sys.exit(sys.getrecursionlimit() != before)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_nothing_else_imports_the_library_that_raises_the_limit_not_even_a_test() -> None:
    """Who imports it first leaves the raised limit for `keyfile_format` to find, and a nested text ends the process."""
    root = Path(__file__).parents[2]
    importing = re.compile(r"^\s*(?:from|import) eth_keyfile\b", re.MULTILINE)
    found = [
        path.relative_to(root)
        for package in ("consensus", "mesh", "p2p", "scripts", "step_node", "tests")
        for path in (root / package).rglob("*.py")
        if importing.search(path.read_text())
    ]
    assert found == [Path("step_node/signing/keyfile_format.py")]
