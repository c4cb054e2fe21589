"""Messages and inputs survive the wire, and garbage is refused by one exception that says why."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import inputs as event
from consensus.checkpoint import decode_entry
from consensus.evidence import contradiction
from consensus.lock import ProofOfLock, decode_proof_of_lock, encode_proof_of_lock
from consensus.messages import (
    BATCH_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    ROUND_MAX,
    Commit,
    CommitSignature,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    TimeoutMessage,
    decode_message,
    encode_message,
)
from consensus.values import VALIDATORS_MAX, TimeoutKind
from consensus.wire import WireError, decode, encode
from step_node.ledger.validators import SET_VALIDATORS_MAX

heights = st.integers(0, 2**63 - 1)
rounds = st.integers(0, 2**31 - 1)
addresses = st.binary(min_size=20, max_size=20)
hashes = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=65, max_size=65)
proposals = st.builds(ProofBatch, heights, rounds, st.integers(-1, 9), hashes, st.binary(), addresses, signatures)
pre_votes = st.builds(PreVote, heights, rounds, hashes | st.none(), addresses, signatures)
pre_commits = st.builds(PreCommit, heights, rounds, hashes | st.none(), addresses, signatures)
timeouts = st.builds(TimeoutMessage, heights, rounds, st.sampled_from(TimeoutKind), addresses, signatures)
entries = st.builds(CommitSignature, addresses, signatures)
commits = st.builds(Commit, heights, rounds, hashes, st.lists(entries, max_size=5).map(tuple))
evidence = st.one_of(*(st.builds(contradiction, kind, kind) for kind in (proposals, pre_votes, pre_commits)))
proofs_of_lock = st.builds(ProofOfLock, heights, rounds, hashes, st.binary(), st.lists(entries, max_size=5).map(tuple))
signed = st.one_of(proposals, pre_votes, pre_commits, timeouts)
messages = st.one_of(signed, commits, evidence)
inputs = st.one_of(
    st.builds(event.WorkAvailable),
    st.builds(event.MessageReceived, messages),
    st.builds(event.TimerFired, st.sampled_from(TimeoutKind), rounds),
    st.builds(event.BatchBuilt, rounds, hashes, st.binary()),
    st.builds(event.BatchNotBuilt, rounds),
    st.builds(event.BatchValidated, hashes, rounds, st.booleans()),
    st.builds(event.LogWritten, signed),
    st.builds(event.Signed, signed),
    st.builds(event.OwnMessagesRecovered, st.lists(signed, max_size=5).map(tuple), st.none() | proofs_of_lock),
)
PRE_VOTE = PreVote(5, 0, None, b"a" * 20, b"s" * 65)


@given(messages)
def test_a_message_comes_back_as_it_was_sent(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


def test_a_message_is_as_long_as_its_batch_and_a_commit_of_all_validators_is_short() -> None:
    batch = ProofBatch(1, 0, -1, b"h" * 32, bytes(BATCH_BYTES_MAX), b"a" * 20, b"s" * 65)
    signatures = tuple(CommitSignature(bytes([number]) * 20, b"s" * 65) for number in range(SET_VALIDATORS_MAX))
    commit = Commit(2**63 - 1, ROUND_MAX, b"h" * 32, signatures)
    assert all(decode_message(encode_message(message)) == message for message in (batch, commit))


@given(inputs)
def test_an_input_comes_back_from_the_log_as_it_was_written(item: event.Input) -> None:
    assert decode_entry(event.encode_input(item)) == item


def test_the_largest_proof_of_lock_and_all_that_is_recovered_with_it_fit_into_the_log() -> None:
    pre_votes = tuple(CommitSignature(bytes([number]) * 20, b"s" * 65) for number in range(VALIDATORS_MAX))
    proof = ProofOfLock(2**63 - 1, ROUND_MAX, b"h" * 32, bytes(BATCH_BYTES_MAX), pre_votes)
    assert decode_proof_of_lock(encode_proof_of_lock(proof)) == proof
    proposal = ProofBatch(2**63 - 1, ROUND_MAX, ROUND_MAX, b"h" * 32, b"", b"a" * 20, b"s" * 65)
    item = event.OwnMessagesRecovered((proposal,) * event.RECOVERED_MESSAGES_MAX, proof)
    assert decode_entry(event.encode_input(item)) == item


@given(st.binary(max_size=300))
def test_garbage_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        decode_message(data)


@given(messages, st.data())
def test_a_damaged_message_is_a_message_or_a_wire_error(message: Message, data: st.DataObject) -> None:
    damaged = bytearray(encode_message(message))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode_message(bytes(damaged))
    except WireError:
        return
    assert encode_message(again) == damaged


def fields(**changes: Any) -> bytes:
    """The encoded PRE_VOTE with some of its fields changed; None takes a field out."""
    content = {**msgpack.unpackb(encode_message(PRE_VOTE)), **changes}
    return bytes(msgpack.packb({name: value for name, value in content.items() if value is not ...}))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        pytest.param(fields(height="5"), r"PRE_VOTE\.height: .*integer", id="text for a number"),
        pytest.param(fields(round=True), r"PRE_VOTE\.round: .*integer", id="a boolean for a number"),
        pytest.param(fields(round=-1), r"PRE_VOTE\.round: .*greater than or equal to 0", id="a negative round"),
        pytest.param(fields(height=2**64 - 1), r"PRE_VOTE\.height: .*less than or equal", id="an integer of 64 bits"),
        pytest.param(fields(validator="a" * 20), r"PRE_VOTE\.validator: .*bytes", id="text for bytes"),
        pytest.param(fields(validator=b"a"), r"PRE_VOTE\.validator: .*20 bytes", id="a short address"),
        pytest.param(fields(signature=b"s"), r"PRE_VOTE\.signature: .*65 bytes", id="a short signature"),
        pytest.param(fields(signature=b""), r"PreVote\.signature: .*65 bytes", id="no signature"),
        pytest.param(fields(colour="red"), r"PRE_VOTE\.colour: .*[Uu]nexpected", id="an unknown field"),
        pytest.param(fields(height=...), r"PRE_VOTE\.height: .*required", id="a missing field"),
        pytest.param(fields(type="PRE_LUNCH"), r"tag", id="an unknown type"),
        pytest.param(fields(version=2), r"version: must be 1, not 2", id="another version"),
        pytest.param(fields(version=True), r"version: must be 1", id="a boolean version"),
        pytest.param(fields(version=...), r"version: must be 1", id="no version"),
        pytest.param(fields() + b"\x00", r"extra data", id="something after it"),
        pytest.param(fields()[:20], r"incomplete", id="half of it"),
        pytest.param(b"\x90", r"must be a map, not tuple", id="an array"),
        pytest.param(b"\x91" * 10_000, r"StackError", id="ten thousand brackets"),
        pytest.param(b"\x91" * 100_000, r"must be a map", id="a hundred thousand brackets"),
        pytest.param(b"\x81\x91" + b"\x91" * 100_000, r"StackError", id="brackets in a map"),
        pytest.param(
            b"\x81\xa1a\xdc\xff\xff" + b"\x80" * 0xFFFF, r"65541 bytes besides byte strings", id="sixty thousand maps"
        ),
        pytest.param(fields() + bytes(20_000), r"besides byte strings", id="a lot after it"),
        pytest.param(fields(batch=bytes(20_000))[:-5_000], r"No more data|incomplete", id="half of a long one"),
        pytest.param(
            bytes(msgpack.packb({f"f{number}": 0 for number in range(40)})), r"max_map_len", id="too many fields"
        ),
        pytest.param(
            bytes(msgpack.packb({f"f{number}": bytes(1_000) for number in range(40)})),
            r"40 fields",
            id="many long fields",
        ),
        pytest.param(b"\xdf\xff\xff\xff\xff", r"max_map_len", id="a promise of 2**32 entries"),
        pytest.param(b"\xc6\xff\xff\xff\xff", r"incomplete", id="a promise of 2**32 bytes"),
        pytest.param(b"\x82\xa1a\x01\xa1a\x02", r"same key twice", id="a key twice"),
        pytest.param(b"\xd4\x05\x00", r"extension type 5", id="an extension type"),
        pytest.param(b"\x81\x01\x01", r"not one MessagePack value", id="a number as a key"),
        pytest.param(b"\x81\xa1\xff\x01", r"not one MessagePack value", id="bad UTF-8"),
        pytest.param(bytes(MESSAGE_BYTES_MAX + 1), r"at most 1000000 are allowed", id="too many bytes"),
    ],
)
def test_bad_bytes_are_refused_with_the_field_and_the_rule(data: bytes, rule: str) -> None:
    with pytest.raises(WireError, match=rule):
        decode_message(data)


TIMEOUT = TimeoutMessage(5, 0, TimeoutKind.PROPOSER, b"a" * 20, b"s" * 65)


@pytest.mark.parametrize(
    ("message", "one_form", "another"),
    [
        pytest.param(TIMEOUT, b"\xa8PROPOSER", b"\xc4\x08PROPOSER", id="bytes for the text of an enum"),
        pytest.param(TIMEOUT, b"\xa8PROPOSER", b"\xd9\x08PROPOSER", id="a longer text"),
        pytest.param(PRE_VOTE, b"\xa6height\x05", b"\xa6height\xcc\x05", id="an integer in two bytes"),
        pytest.param(PRE_VOTE, b"\xa6height\x05", b"\xa6height\xd3" + bytes(7) + b"\x05", id="an integer in nine"),
        pytest.param(PRE_VOTE, b"\xc4\x14", b"\xc5\x00\x14", id="longer bytes"),
        pytest.param(PRE_VOTE, b"\x87\xa7version", b"\xde\x00\x07\xa7version", id="a longer map"),
        pytest.param(PRE_VOTE, b"\xa6height\x05\xa5round\x00", b"\xa5round\x00\xa6height\x05", id="another order"),
    ],
)
def test_other_bytes_that_would_mean_the_same_are_refused(message: Message, one_form: bytes, another: bytes) -> None:
    data = encode_message(message)
    assert data.count(one_form) == 1
    with pytest.raises(WireError, match="one form"):
        decode_message(data.replace(one_form, another))


def test_a_field_that_has_a_default_is_not_left_out() -> None:
    double = contradiction(PRE_VOTE, PreVote(5, 0, b"h" * 32, b"a" * 20, b"s" * 65))
    assert double is not None
    content = msgpack.unpackb(encode_message(double))
    assert content.pop("exhibit", ...) is None
    with pytest.raises(WireError, match="one form"):
        decode_message(msgpack.packb(content))


def test_the_largest_batch_fits_into_a_message() -> None:
    proposal = ProofBatch(2**63 - 1, 2**31 - 1, 9, b"h" * 32, bytes(BATCH_BYTES_MAX), b"a" * 20, b"s" * 65)
    assert len(encode_message(proposal)) <= MESSAGE_BYTES_MAX
    assert decode_entry(event.encode_input(event.MessageReceived(proposal))) == event.MessageReceived(proposal)


def test_an_unsigned_message_is_not_sent() -> None:
    with pytest.raises(WireError, match="signature"):
        encode_message(PreVote(5, 0, None, b"a" * 20))


def test_one_type_is_decoded_by_its_class() -> None:
    assert decode(PreVote, encode(PRE_VOTE), bytes_max=1_000) == PRE_VOTE
    with pytest.raises(WireError, match=r"PreCommit\.type"):
        decode(PreCommit, encode(PRE_VOTE), bytes_max=1_000)


def test_each_kind_of_signing_line_names_kind_chain_height_round_and_value() -> None:
    batch_hash, hex_hash = b"\xab" * 32, "0x" + "ab" * 32
    lines = [
        ProofBatch(5, 1, -1, batch_hash, b"", b"a" * 20).signing_line("c"),
        PreVote(5, 1, batch_hash, b"a" * 20).signing_line("c"),
        PreCommit(5, 1, None, b"a" * 20).signing_line("c"),
        TimeoutMessage(5, 1, TimeoutKind.PROPOSER, b"a" * 20).signing_line("c"),
    ]
    assert lines == [
        f"STEP-PROOF-BATCH-v1|chain:c|height:5|round:1|valid_round:-1|batch:{hex_hash}",
        f"STEP-PRE-VOTE-v1|chain:c|height:5|round:1|batch:{hex_hash}",
        "STEP-PRE-COMMIT-v1|chain:c|height:5|round:1|batch:nil",
        "STEP-TIMEOUT-v1|chain:c|height:5|round:1|kind:PROPOSER",
    ]
