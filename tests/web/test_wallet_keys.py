"""Keys of the web app: the words and files that other wallets read, addresses, and what stands sealed on the device."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any, Final

import pytest
from eth_account import Account
from eth_account.hdaccount import ETHEREUM_DEFAULT_PATH
from eth_utils.address import to_checksum_address

from step_node.signing.keystore import KdfStrength, create_keystore, load_keystore
from tests.web.typescript import evaluate, needs_web_packages

pytestmark = needs_web_packages

_PASSWORD: Final = "four unrelated wörds"
_KEY: Final = bytes.fromhex("00" + "5a" * 31)
"""With a zero first, which early wallets left out."""

Account.enable_unaudited_hdwallet_features()


def _refused(module: str, expression: str, given: list[Any]) -> list[str]:
    """The codes that the app gives for each of what it is given, as `each`."""
    codes = evaluate(
        module,
        f"""Promise.all(given.map(async (each) => {{
          try {{ await ({expression}); return "taken"; }} catch (error) {{ return error.code; }}
        }}))""",
        given,
    )
    assert isinstance(codes, list)
    return codes


# --- Words ---


@pytest.mark.parametrize(
    ("entropy", "words"),
    [
        ("00" * 16, "abandon " * 11 + "about"),
        ("7f" * 16, "legal winner thank year wave sausage worth useful legal winner thank yellow"),
        ("ff" * 16, "zoo " * 11 + "wrong"),
        ("ff" * 32, "zoo " * 23 + "vote"),
        (
            "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
            "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol"
            " group space point ten exist slush involve unfold",
        ),
    ],
)
def test_words_are_those_of_bip_39_and_give_the_account_that_other_wallets_find(entropy: str, words: str) -> None:
    key, again = evaluate(
        "wallet/words.ts",
        "web.secretOfWords(given).then((secret) => [Buffer.from(secret).toString('hex'), web.wordsOf(secret)])",
        f"  {words.upper()}\n",
    )
    assert key[64:] == entropy
    assert again == words.split()
    assert key[:64] == Account.from_mnemonic(words.strip(), account_path=ETHEREUM_DEFAULT_PATH).key.hex()


def test_a_new_key_has_twelve_words_and_no_two_are_alike() -> None:
    made = evaluate(
        "wallet/words.ts",
        "Promise.all([1, 2].map(async () => web.wordsOf(await web.newSecret())))",
    )
    assert [len(words) for words in made] == [12, 12]
    assert made[0] != made[1]
    for words in made:
        Account.from_mnemonic(" ".join(words))  # The checksum fits, or it raises.


def test_words_that_are_none_are_refused() -> None:
    words = ["", "abandon " * 12, "abandon " * 11 + "abuot", "abandon " * 10 + "about"]
    assert _refused("wallet/words.ts", "web.secretOfWords(each)", words) == ["NO_WORDS"] * 4


# --- Keystores ---


def test_what_the_app_exports_the_node_and_eth_account_read(tmp_path: Path) -> None:
    text = evaluate(
        "wallet/keystore.ts",
        "web.writeKeystore(Uint8Array.from(Buffer.from(given[0], 'hex')), given[1])",
        [_KEY.hex(), _PASSWORD],
    )
    path = tmp_path / "key.json"
    path.write_text(text)
    path.chmod(0o600)
    assert load_keystore(path, _PASSWORD) == _KEY
    assert bytes(Account.decrypt(json.loads(text), _PASSWORD)) == _KEY
    assert json.loads(text)["crypto"]["kdfparams"]["n"] >= 2**17


def _read(keystores: list[str]) -> Any:
    return evaluate(
        "wallet/keystore.ts",
        "Promise.all(given.map(async ([text, password]) =>"
        " Buffer.from(await web.readKeystore(text, password)).toString('hex')))",
        [[keystore, _PASSWORD] for keystore in keystores],
    )


def test_what_the_node_and_eth_account_export_the_app_reads(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    create_keystore(path, _KEY, _PASSWORD, KdfStrength.DEVNET)
    by_scrypt = Account.encrypt(_KEY, _PASSWORD, kdf="scrypt", iterations=2**12)
    by_pbkdf2 = Account.encrypt(_KEY, _PASSWORD, kdf="pbkdf2", iterations=1000)
    # As ethers writes it, and with what early geth left out.
    by_ethers = {"version": 3, "Crypto": by_scrypt["crypto"], "x-ethers": {}}
    texts = [path.read_text(), *(json.dumps(keystore) for keystore in (by_scrypt, by_pbkdf2, by_ethers))]
    assert _read(texts) == [_KEY.hex()] * 4


def _altered(**changes: Any) -> str:
    keystore = dict(Account.encrypt(_KEY, _PASSWORD, kdf="scrypt", iterations=2**10))
    keystore["crypto"] = {**keystore["crypto"], **changes.pop("crypto", {})}
    keystore["crypto"]["kdfparams"] = {**keystore["crypto"]["kdfparams"], **changes.pop("kdfparams", {})}
    return json.dumps({**keystore, **changes})


def test_a_file_that_is_no_keystore_is_refused_with_a_code() -> None:
    refusals = [
        ("", "NO_KEYSTORE"),
        ("[]", "NO_KEYSTORE"),
        ("{" * 20_000, "NO_KEYSTORE"),
        (_altered(version=2), "NO_KEYSTORE"),
        (_altered(crypto={"cipher": "aes-256-gcm"}), "NO_KEYSTORE"),
        (_altered(crypto={"ciphertext": "ab" * 33}), "NO_KEYSTORE"),
        (_altered(kdfparams={"n": 3}), "NO_KEYSTORE"),
        (_altered(kdfparams={"n": 2**30}), "KEYSTORE_TOO_COSTLY"),
        (_altered(kdfparams={"r": 2**20}), "KEYSTORE_TOO_COSTLY"),
        (_altered(kdfparams={"p": 1000}), "KEYSTORE_TOO_COSTLY"),
        (_altered(crypto={"mac": "00" * 32}), "WRONG_PASSPHRASE"),
        (_altered(address="ab" * 20), "KEYSTORE_ADDRESS"),
    ]
    texts = [[text, _PASSWORD] for text, _ in refusals]
    codes = _refused("wallet/keystore.ts", "web.readKeystore(each[0], each[1])", texts)
    assert codes == [code for _, code in refusals]


# --- Addresses and keys ---


def test_addresses_have_the_checksum_of_eip_55() -> None:
    addresses = ["0x" + secrets.token_hex(20) for _ in range(50)]
    got = evaluate("wallet/address.ts", "given.map(web.checksummed)", addresses)
    assert got == [to_checksum_address(address) for address in addresses]


def test_an_address_with_one_wrong_letter_is_not_taken() -> None:
    right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    texts = [
        f" {right} ",
        right.lower(),
        "0X" + right[2:].upper(),
        right.replace("aA", "Aa"),
        right[:-1],
        "0x" + "0" * 40,
        "",
    ]
    got = evaluate(
        "wallet/address.ts",
        "given.map((text) => web.typedAddress(text).fault ?? web.typedAddress(text).address)",
        texts,
    )
    assert got == [right.lower()] * 3 + ["checksum", "form", "zero", "form"]


def test_what_is_no_key_is_refused() -> None:
    texts = ["", "0x12", "zz" * 32, "00" * 32, "ff" * 32]
    assert _refused("wallet/keys.ts", "(async () => web.typedKey(each))()", texts) == ["NO_KEY"] * 5


# --- Sealed ---

_SEALED: Final = """
  const secret = () => Uint8Array.from({ length: 48 }, (_, index) => index + 1);
  const refused = (promise) => promise.then(() => "opened", (error) => error.code);
  const isWhole = (opened) => opened.every((byte, index) => byte === index + 1) && opened.length === 48;
"""


def test_a_passphrase_opens_what_it_sealed_and_nothing_else_does() -> None:
    got = evaluate(
        "wallet/sealing.ts",
        f"""(async () => {{ {_SEALED}
          const progress = [];
          const seal = await web.sealByPassphrase(secret(), "0xab", given, (done) => progress.push(done));
          const {"{"} n, r, p, by {"}"} = seal;
          const stored = Buffer.concat([seal.salt, seal.iv, seal.ciphertext]);
          return {{
            cost: [by, n, r, p],
            opened: isWhole(await web.openByPassphrase(seal, "0xab", given.normalize("NFD"))),
            wrong: await refused(web.openByPassphrase(seal, "0xab", given + "!")),
            isHidden: !stored.includes(Buffer.from(secret().slice(0, 8))),
            progress: progress.at(-1),
          }};
        }})()""",
        _PASSWORD,
    )
    assert got == {
        "cost": ["passphrase", 2**17, 8, 1],
        "opened": True,
        "wrong": "WRONG_PASSPHRASE",
        "isHidden": True,
        "progress": 1,
    }


def test_a_passkeys_answer_opens_what_it_sealed_and_no_other_answer_does() -> None:
    got = evaluate(
        "wallet/sealing.ts",
        f"""(async () => {{ {_SEALED}
          const [credentialId, question, answer] = [16, 32, 32].map(web.randomBytes);
          const seal = await web.sealByPasskey(secret(), "0xab", {{ credentialId, question, answer }});
          const altered = {{ ...seal, ciphertext: seal.ciphertext.map((byte, index) => index ? byte : byte ^ 1) }};
          return {{
            keeps: Object.keys(seal).sort().join(),
            opened: isWhole(await web.openByPasskey(seal, "0xab", answer)),
            otherAnswer: await refused(web.openByPasskey(seal, "0xab", web.randomBytes(32))),
            otherAddress: await refused(web.openByPasskey(seal, "0xac", answer)),
            altered: await refused(web.openByPasskey(altered, "0xab", answer)),
          }};
        }})()""",
    )
    assert got == {
        "keeps": "by,ciphertext,credentialId,iv,question,salt",
        "opened": True,
        "otherAnswer": "PASSKEY_GONE",
        "otherAddress": "PASSKEY_GONE",
        "altered": "PASSKEY_GONE",
    }


def test_a_weak_passphrase_seals_nothing() -> None:
    passphrases = ["", "short", "aaaaaaaaaaaaaaaa", "x" * 1_025]
    codes = _refused("wallet/sealing.ts", 'web.sealByPassphrase(new Uint8Array(32), "0xab", each)', passphrases)
    assert codes == ["WEAK_PASSPHRASE"] * 4


# --- Locking, and what other programs tell ---


def test_a_key_locks_some_minutes_after_its_last_use_and_sooner_out_of_sight() -> None:
    got = evaluate(
        "wallet/unlocked.ts",
        "[web.lockAtMs(1000, null) - web.LOCK_AFTER_MS, web.lockAtMs(1000, 5000) - web.LOCK_HIDDEN_AFTER_MS,"
        " web.lockAtMs(1000, 1000 + web.LOCK_AFTER_MS) - web.LOCK_AFTER_MS]",
    )
    assert got == [1000, 5000, 1000]


def test_of_another_wallet_is_believed_only_what_can_be_shown_safely() -> None:
    got = evaluate(
        "wallet/foreign.ts",
        """(() => {
          const provider = { request() {} };
          const wallet = { id: "org.wallet", name: "Wallet", icon: "data:image/png;base64,AA", provider };
          const told = (changes) => web.checked({ ...wallet, ...changes });
          return [
            told({}).icon,
            told({ icon: "https://elsewhere.example/pixel.png" }).icon,
            told({ icon: "javascript:alert(1)" }).icon,
            told({ name: "x".repeat(1000) }).name.length,
            told({ id: "<script>" }),
            told({ name: " " }),
            told({ provider: {} }),
          ];
        })()""",
    )
    assert got == ["data:image/png;base64,AA", None, None, 40, None, None, None]
