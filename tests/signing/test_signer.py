from pathlib import Path

import pytest

from step_node.crypto import eip191
from step_node.signing.guard import DoubleSignRefused, SigningGuard
from step_node.signing.history import SigningKind
from step_node.signing.signer import ValidatorSigner

KEY = bytes.fromhex("33" * 32)
ADDRESS = eip191.address_of(eip191.public_key_of(KEY))
HASH = b"h" * 32


def test_a_signature_is_the_validators_and_the_same_again_after_a_restart(tmp_path: Path) -> None:
    signatures = []
    for _ in range(2):
        with SigningGuard.open(tmp_path / "history", chain_id="step-test", validator=ADDRESS) as guard:
            signer = ValidatorSigner(KEY, guard)
            signature = signer.sign(SigningKind.PRE_VOTE, 1, 0, HASH, "line")
            assert eip191.recover_address(eip191.digest("line"), signature) == signer.address
            signatures.append(signature)
    assert signatures[0] == signatures[1]


@pytest.mark.parametrize(("value", "line"), [(b"i" * 32, "line"), (HASH, "another line")])
def test_neither_another_value_nor_another_line_is_signed(tmp_path: Path, value: bytes, line: str) -> None:
    with SigningGuard.open(tmp_path / "history", chain_id="step-test", validator=ADDRESS) as guard:
        signer = ValidatorSigner(KEY, guard)
        signer.sign(SigningKind.PROPOSAL, 1, 0, HASH, "line")
        with pytest.raises(DoubleSignRefused):
            signer.sign(SigningKind.PROPOSAL, 1, 0, value, line)


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    with SigningGuard.open(tmp_path / "history", chain_id="step-test", validator=ADDRESS) as guard:
        signer = ValidatorSigner(KEY, guard)
        assert repr(signer) == f"ValidatorSigner(0x{signer.address.hex()})"
        assert len(signer.public_key) == 33
        with pytest.raises(ValueError, match="private key: must be 32 bytes"):
            ValidatorSigner(b"", guard)


def test_a_signer_takes_no_other_keys_history(tmp_path: Path) -> None:
    with (
        SigningGuard.open(tmp_path / "history", chain_id="step-test", validator=b"o" * 20) as guard,
        pytest.raises(ValueError, match="guard: is of the key of 0x6f6f"),
    ):
        ValidatorSigner(KEY, guard)
