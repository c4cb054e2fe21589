"""What was signed comes back from the signing history word for word, or not at all."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consensus.inputs import RECOVERED_MESSAGES_MAX
from consensus.messages import PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.state import ROUNDS_BEHIND_MAX
from consensus.values import TimeoutKind
from step_node.crypto.eip191 import digest
from step_node.engine.own_history import messages_of, worth_recovering
from step_node.signing.history import SignedRecord
from step_node.signing.signed_value import signed_value

CHAIN_ID = "step-test"
OWN = b"v" * 20
rounds = st.integers(0, 200)
hashes = st.binary(min_size=32, max_size=32)
proposals = st.builds(
    lambda number, batch_hash, valid: ProofBatch(7, number, min(valid, number - 1), batch_hash, b"", OWN),
    rounds,
    hashes,
    st.integers(-1, 200),
)
pre_votes = st.builds(lambda number, batch_hash: PreVote(7, number, batch_hash, OWN), rounds, hashes | st.none())
pre_commits = st.builds(lambda number, batch_hash: PreCommit(7, number, batch_hash, OWN), rounds, hashes | st.none())
timeouts = st.builds(lambda number, kind: TimeoutMessage(7, number, kind, OWN), rounds, st.sampled_from(TimeoutKind))
messages = st.one_of(proposals, pre_votes, pre_commits, timeouts)


def record_of(message: SignedMessage) -> SignedRecord:
    """As `ValidatorSigner.sign` has the guard write it."""
    kind, value = signed_value(message)
    return SignedRecord(message.height, message.round, kind, digest(message.signing_line(CHAIN_ID)) + value)


@given(st.lists(messages, max_size=8))
def test_every_message_comes_back(signed: list[SignedMessage]) -> None:
    assert messages_of(map(record_of, signed), chain_id=CHAIN_ID, validator=OWN) == signed


@given(messages, st.binary(max_size=80), st.integers(0, 99))
def test_what_the_digest_is_not_of_is_left_out(message: SignedMessage, value: bytes, place: int) -> None:
    record = record_of(message)
    damaged = bytearray(record.value)
    damaged[place % len(damaged)] ^= 1
    others = [replace_value(record, bytes(damaged)), replace_value(record, value)]
    assert messages_of(others, chain_id=CHAIN_ID, validator=OWN) == []
    assert messages_of([record], chain_id="another-chain", validator=OWN) == []
    assert messages_of([record], chain_id=CHAIN_ID, validator=b"w" * 20) in ([], [replace_signer(message)])


def replace_value(record: SignedRecord, value: bytes) -> SignedRecord:
    return record._replace(value=value)


def replace_signer(message: SignedMessage) -> SignedMessage:
    """A line does not name its signer: whose history it is says the history."""
    if isinstance(message, ProofBatch):
        return replace(message, proposer=b"w" * 20)
    return replace(message, validator=b"w" * 20)


def test_the_rounds_near_the_latest_are_recovered_and_the_lock_wherever_it_is() -> None:
    signed: list[SignedMessage] = []
    for number in range(60):
        locks = bytes([number]) * 32 if number in (3, 9) else None
        signed += [PreVote(7, number, None, OWN), PreCommit(7, number, locks, OWN)]
        signed += [TimeoutMessage(7, number, kind, OWN) for kind in TimeoutKind]
        signed.append(ProofBatch(7, number, -1, bytes(32), b"", OWN))
    chosen = worth_recovering(signed)
    assert {one.round for one in chosen} == {9, *range(59 - ROUNDS_BEHIND_MAX, 60)}
    assert len(chosen) <= RECOVERED_MESSAGES_MAX
    assert worth_recovering([]) == []
