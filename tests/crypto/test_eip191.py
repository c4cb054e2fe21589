import contextlib

import pytest
from coincurve import PublicKey
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from step_node.crypto import eip191
from step_node.crypto.eip191 import BadSignature
from tests.proofs.vectors import VECTORS, Vector

KEY = bytes.fromhex("22" * 32)
ADDRESS = eip191.address_of(eip191.public_key_of(KEY))


@pytest.mark.parametrize("vector", VECTORS)
def test_the_known_answers_agree_with_eth_account(vector: Vector) -> None:
    signature = bytes.fromhex(vector["signature"][2:])
    signable = encode_defunct(text=vector["message"])
    digest = eip191.digest(vector["message"])
    assert digest == bytes(_hash_eip191_message(signable)) == bytes.fromhex(vector["eip191Hash"][2:])
    assert eip191.recover_address(digest, signature).hex() == vector["address"][2:]
    assert Account.recover_message(signable, signature=signature).lower() == vector["address"]


@given(text=st.text(max_size=300), key=st.integers(1, eip191.GROUP_ORDER - 1))
def test_a_signature_recovers_to_its_signer_and_is_eth_accounts_own(text: str, key: int) -> None:
    private_key = key.to_bytes(32, "big")
    signature = eip191.sign(text, private_key)
    assert signature == bytes(Account.sign_message(encode_defunct(text=text), private_key).signature)
    address = eip191.address_of(eip191.public_key_of(private_key))
    assert eip191.recover_address(eip191.digest(text), signature) == address
    assert address.hex() == Account.from_key(private_key).address[2:].lower()


def test_an_address_is_the_same_from_both_forms_of_the_key() -> None:
    digest = eip191.digest("x")
    uncompressed = eip191.recover_public_key(digest, eip191.sign("x", KEY))
    assert eip191.address_of(uncompressed) == ADDRESS


def test_the_high_s_twin_of_a_signature_is_refused() -> None:
    signature = eip191.sign("x", KEY)
    s = eip191.GROUP_ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + s.to_bytes(32, "big") + bytes((55 - signature[64],))
    # eth-account accepts it for the same signer: that is the malleability.
    assert Account.recover_message(encode_defunct(text="x"), signature=twin).lower()[2:] == ADDRESS.hex()
    with pytest.raises(BadSignature, match="s must be between 1 and n / 2"):
        eip191.recover_address(eip191.digest("x"), twin)


@pytest.mark.parametrize(
    ("signature", "rule"),
    [
        (b"", "must be 65 bytes, not 0"),
        (b"\x01" * 64, "must be 65 bytes"),
        (b"\x01" * 64 + b"\x00", "v must be 27 or 28"),
        (bytes(32) + b"\x01" * 32 + b"\x1b", "r must be between"),
        (b"\xff" * 32 + b"\x01" * 32 + b"\x1b", "r must be between"),
        (b"\x01" * 32 + bytes(32) + b"\x1b", "s must be between"),
        # 5 is the abscissa of no point of secp256k1.
        ((5).to_bytes(32, "big") + b"\x01" * 32 + b"\x1b", "no public key can be recovered"),
    ],
)
def test_what_no_key_can_have_made_is_a_bad_signature(signature: bytes, rule: str) -> None:
    with pytest.raises(BadSignature, match=rule):
        eip191.recover_address(bytes(32), signature)


@given(st.binary(min_size=65, max_size=65), st.binary(min_size=31, max_size=33))
def test_arbitrary_bytes_recover_or_are_a_bad_signature(signature: bytes, digest: bytes) -> None:
    with contextlib.suppress(BadSignature):
        assert len(eip191.recover_address(digest, signature)) == 20


@pytest.mark.parametrize("key", [b"", bytes(32), b"\xff" * 32, b"\x01" * 31])
def test_a_private_key_out_of_range_is_an_error(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        eip191.sign("x", key)
    with pytest.raises(ValueError, match=r"."):
        eip191.public_key_of(key)


def test_an_address_belongs_to_a_point_in_one_of_its_two_forms() -> None:
    compressed = eip191.public_key_of(b"\1" * 32)
    whole = PublicKey(compressed).format(compressed=False)
    assert eip191.address_of(whole) == eip191.address_of(compressed)
    off_the_curve = whole[:64] + bytes((whole[64] ^ 1,))
    hybrid = bytes((6 + (whole[64] & 1),)) + whole[1:]
    for key in (off_the_curve, b"\4" + bytes(64), hybrid, whole[1:], compressed[:32], b"\5" + compressed[1:], b""):
        with pytest.raises(ValueError, match="key"):
            eip191.address_of(key)
