"""Operations: one wire form, signed lines that mean nothing elsewhere, and keys that nobody can borrow."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.crypto.eip191 import public_key_of
from step_node.operations.operation import (
    MEMO_BYTES_MAX,
    OPERATION_BYTES_MAX,
    P2P_ADDRESS_CHARACTERS_MAX,
    TRANSFER_USTEP_MAX,
    Operation,
    OperationRefused,
    Register,
    SetAddress,
    Transfer,
    decode_operation,
    encode_operation,
    operation_id,
    recipient_of,
    signing_line,
    verify_operation,
)
from tests.support.chains import CHAIN_ID
from tests.support.operations import (
    STAKE_USTEP,
    approve_upgrade,
    cancel_upgrade,
    register,
    rotate,
    set_address,
    signed,
    transfer,
    unbond,
    withdraw,
)
from tests.support.proofs import address, private_key

REGISTER = register("cold", "hot", 7)
TRANSFER = transfer("cold", "friend", 7, amount_ustep=1_500_000, memo="rent | Zürich")
OPERATIONS: dict[str, Operation] = {
    "register": REGISTER,
    "unbond": unbond("cold", "hot", 7),
    "withdraw": withdraw("cold", "hot", 7),
    "rotate": rotate("cold", "hot", "new", 7),
    "set-address": set_address("cold", "hot", 7, "/dns4/node.example/tcp/26600/p2p/16Uiu2"),
    "transfer": TRANSFER,
    "approve-upgrade": approve_upgrade("cold", "hot", 7, height=3_001),
    "cancel-upgrade": cancel_upgrade("cold", "hot", 7),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_comes_back_as_it_was_and_its_signatures_hold(name: str) -> None:
    operation = OPERATIONS[name]
    assert decode_operation(encode_operation(operation)) == operation
    verify_operation(operation, CHAIN_ID)


def test_the_signed_lines() -> None:
    cold, hot = address("cold").hex(), address("hot").hex()
    start = f"chain:{CHAIN_ID}|owner:0x{cold}|sequence:7"
    assert [signing_line(operation, CHAIN_ID) for operation in OPERATIONS.values()] == [
        f"STEP-VALIDATOR-REGISTER-v1|{start}|key:0x{public_key_of(private_key('hot')).hex()}"
        f"|stake_ustep:{STAKE_USTEP}|p2p:/memory/hot",
        f"STEP-VALIDATOR-UNBOND-v1|{start}|validator:0x{hot}",
        f"STEP-VALIDATOR-WITHDRAW-v1|{start}|validator:0x{hot}",
        f"STEP-VALIDATOR-ROTATE-KEY-v1|{start}|validator:0x{hot}|key:0x{public_key_of(private_key('new')).hex()}",
        f"STEP-VALIDATOR-SET-ADDRESS-v1|{start}|validator:0x{hot}|p2p:/dns4/node.example/tcp/26600/p2p/16Uiu2",
        f"STEP-TRANSFER-v1|{start}|to:0x{address('friend').hex()}|amount_ustep:1500000|memo:rent | Zürich",
        f"STEP-VALIDATOR-APPROVE-UPGRADE-v1|{start}|validator:0x{hot}|protocol_version:2|activation_height:3001"
        "|release:0.2.0",
        f"STEP-VALIDATOR-CANCEL-UPGRADE-v1|{start}|validator:0x{hot}",
    ]


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(
    "field",
    [
        "owner",
        "sequence",
        "validator",
        "public_key",
        "stake_ustep",
        "p2p_address",
        "to",
        "amount_ustep",
        "memo",
        "protocol_version",
        "activation_height",
        "release",
    ],
)
def test_a_signature_covers_every_field(name: str, field: str) -> None:
    operation = OPERATIONS[name]
    if not hasattr(operation, field):
        return
    other = {
        "owner": address("thief"),
        "sequence": 8,
        "validator": address("other"),
        "public_key": public_key_of(private_key("other")),
        "stake_ustep": STAKE_USTEP + 1,
        "p2p_address": "/memory/other",
        "to": address("other"),
        "amount_ustep": 1_500_001,
        "memo": "rent | Zurich",
        "protocol_version": 3,
        "activation_height": 4_001,
        "release": "0.2.1",
    }[field]
    changed: Operation = replace(operation, **{field: other})  # type: ignore[arg-type]  # any field of it
    with pytest.raises(OperationRefused, match="BAD_SIGNATURE: signature"):
        verify_operation(changed, CHAIN_ID)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_signature_for_another_chain_or_by_another_is_refused(name: str) -> None:
    with pytest.raises(OperationRefused, match="BAD_SIGNATURE"):
        verify_operation(OPERATIONS[name], "step-other-1")
    with pytest.raises(OperationRefused, match="BAD_SIGNATURE: signature: must be by"):
        verify_operation(signed(OPERATIONS[name], cold="thief"), CHAIN_ID)
    with pytest.raises(OperationRefused, match="BAD_SIGNATURE: signature: v must be"):
        verify_operation(replace(OPERATIONS[name], signature=bytes(65)), CHAIN_ID)


def test_what_rules_come_next_is_said_with_the_owners_key_or_with_the_hot_key_and_no_other() -> None:
    for make in (partial(approve_upgrade, height=3_001), cancel_upgrade):
        verify_operation(make("hot", "hot", 7, owner="cold"), CHAIN_ID)
        with pytest.raises(OperationRefused, match=f"0x{address('cold').hex()} or 0x{address('hot').hex()}"):
            verify_operation(make("thief", "hot", 7, owner="cold"), CHAIN_ID)
    forged = replace(unbond("cold", "hot", 7), signature=cancel_upgrade("hot", "hot", 7, owner="cold").signature)
    with pytest.raises(OperationRefused, match="BAD_SIGNATURE"):
        verify_operation(forged, CHAIN_ID)


@pytest.mark.parametrize("release", ["0.2|0", "0.2.0 ", "x" * 33, "\x1b[0m"])
def test_a_release_is_a_name_that_any_line_or_log_can_hold(release: str) -> None:
    with pytest.raises(ValueError, match="release"):
        approve_upgrade("cold", "hot", 7, height=3_001, release=release)


@pytest.mark.parametrize("name", ["register", "rotate"])
def test_nobody_registers_a_key_that_he_does_not_have(name: str) -> None:
    with pytest.raises(OperationRefused, match="BAD_SIGNATURE: possession: must be by"):
        verify_operation(signed(OPERATIONS[name], cold="cold", hot="cold"), CHAIN_ID)


def test_a_key_that_is_no_point_is_refused() -> None:
    broken = replace(REGISTER, public_key=b"\x05" * 33)
    with pytest.raises(OperationRefused, match="INVALID_OPERATION: public_key: is not a point"):
        verify_operation(broken, CHAIN_ID)


@pytest.mark.parametrize("name", ["register", "set-address"])
@pytest.mark.parametrize(
    "p2p_address", ["", "memory", "/a|stake_ustep:1", "/a b", "/" + "a" * P2P_ADDRESS_CHARACTERS_MAX]
)
def test_an_address_that_could_be_another_field_is_no_address(name: str, p2p_address: str) -> None:
    operation = OPERATIONS[name]
    assert isinstance(operation, Register | SetAddress)
    with pytest.raises(ValueError, match="p2p_address"):
        replace(operation, p2p_address=p2p_address)


def test_the_largest_operation_fits_its_limit() -> None:
    longest = replace(REGISTER, p2p_address="/" + "a" * (P2P_ADDRESS_CHARACTERS_MAX - 1), sequence=2**63 - 1)
    assert len(encode_operation(longest)) <= OPERATION_BYTES_MAX


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(OperationRefused, match="INVALID_OPERATION"):
        decode_operation(data)


@pytest.mark.parametrize("name", OPERATIONS)
def test_any_flipped_bit_is_refused(name: str) -> None:
    encoded = encode_operation(OPERATIONS[name])
    for position in range(len(encoded)):
        flipped = bytearray(encoded)
        flipped[position] ^= 0x01
        with pytest.raises(OperationRefused):
            verify_operation(decode_operation(bytes(flipped)), CHAIN_ID)


def test_another_spelling_of_the_same_operation_is_refused() -> None:
    encoded = encode_operation(OPERATIONS["unbond"])
    longer = encoded.replace(b"\xa8sequence\x07", b"\xa8sequence\xcc\x07")
    assert longer != encoded
    with pytest.raises(OperationRefused, match="must be in its one form"):
        decode_operation(longer)


@given(st.text(max_size=MEMO_BYTES_MAX), st.text(max_size=MEMO_BYTES_MAX))
def test_no_two_transfers_share_a_line_whatever_their_memos(one: str, other: str) -> None:
    def line(memo: str) -> str | None:
        try:
            return signing_line(replace(TRANSFER, memo=memo), CHAIN_ID)
        except ValueError:
            return None

    lines = [found for found in (line(one), line(other)) if found is not None]
    assert len(set(lines)) == len({one, other}) or len(lines) < 2
    for memo, found in zip((one, other), (line(one), line(other)), strict=True):
        if found is not None:
            assert found.split("|memo:", 1)[1] == memo


@pytest.mark.parametrize(
    ("memo", "rule"),
    [
        ("a" * 65, "at most 64 bytes"),
        ("€" * 22, "it has 66"),
        ("\x00", "U+0000"),
        ("tab\t", "U+0009"),
        ("two\nlines", "U+000A"),
        ("\x7f", "U+007F"),
        ("\x85", "U+0085"),
        ("\u061c", "U+061C"),
        ("\u200f", "U+200F"),
        ("\u2028", "U+2028"),
        ("\u202e", "U+202E"),
        ("\u2069", "U+2069"),
        ("\udc80", "surrogates"),
    ],
)
def test_a_memo_that_could_pass_for_something_else_is_none(memo: str, rule: str) -> None:
    with pytest.raises(ValueError, match="memo") as refused:
        replace(TRANSFER, memo=memo)
    assert rule in str(refused.value)


@pytest.mark.parametrize("memo", ["", "|memo:", "a" * 64, "e\u0301 and \u00e9", "猫 \U0001f63a", "\u200d"])
def test_a_memo_is_carried_byte_for_byte(memo: str) -> None:
    operation = signed(replace(TRANSFER, memo=memo), cold="cold")
    decoded = decode_operation(encode_operation(operation))
    assert isinstance(decoded, Transfer)
    assert decoded.memo.encode() == memo.encode()
    verify_operation(decoded, CHAIN_ID)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", bytes(20)),
        ("to", address("cold")),
        ("to", b"\x01" * 19),
        ("amount_ustep", 0),
        ("amount_ustep", -1),
        ("amount_ustep", TRANSFER_USTEP_MAX + 1),
        ("amount_ustep", 1.5),
        ("amount_ustep", True),
        ("memo", b"bytes"),
        ("memo", None),
    ],
)
def test_a_transfer_of_nothing_to_nobody_or_to_oneself_cannot_be_decoded(field: str, value: object) -> None:
    fields = msgpack.unpackb(encode_operation(TRANSFER)) | {field: value}
    with pytest.raises(OperationRefused, match=f"INVALID_OPERATION: .*{field}"):
        decode_operation(msgpack.packb(fields))


def test_a_memo_that_is_no_utf_8_cannot_be_decoded() -> None:
    encoded = encode_operation(TRANSFER).replace("Zürich".encode(), b"Z\xff\xffrich")
    with pytest.raises(OperationRefused, match="INVALID_OPERATION"):
        decode_operation(encoded)


def test_an_operation_s_id_is_the_digest_of_its_line_and_no_signature_changes_it() -> None:
    ids = {operation_id(operation, CHAIN_ID) for operation in OPERATIONS.values()}
    assert len(ids) == len(OPERATIONS)
    assert operation_id(replace(TRANSFER, signature=bytes(65)), CHAIN_ID) in ids
    assert operation_id(TRANSFER, "step-other-1") not in ids


def test_only_a_transfer_has_a_recipient() -> None:
    assert {name: recipient_of(one) for name, one in OPERATIONS.items() if recipient_of(one) is not None} == {
        "transfer": address("friend")
    }
