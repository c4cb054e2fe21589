"""Hearing one's own voice from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
import trio
from trio.testing import MockClock

from consensus.messages import (
    Commit,
    CommitSignature,
    Evidence,
    EvidenceKind,
    Message,
    PreCommit,
    PreVote,
    ProofBatch,
    SignedMessage,
    TimeoutMessage,
)
from consensus.values import TimeoutKind
from step_node.crypto import eip191
from step_node.engine.doppelganger import SAY_AGAIN_SECONDS, DoppelgangerFound, DoppelgangerWatch
from step_node.signing.guard import SigningGuard
from step_node.signing.signed_value import signed_value
from step_node.signing.signer import ValidatorSigner
from tests.support.proofs import address, private_key

CHAIN_ID = "step-test"
OWN = address("own")
A, B = b"a" * 32, b"b" * 32


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[SigningGuard]:
    with SigningGuard.open(tmp_path / "history.log", chain_id=CHAIN_ID, validator=OWN) as opened:
        yield opened


@pytest.fixture
def watch(guard: SigningGuard) -> DoppelgangerWatch:
    """At the head, which is height 4."""
    watch = DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)
    watch.begin(4)
    return watch


def signed(message: SignedMessage, name: str = "own") -> SignedMessage:
    """Signed by the key of `name`, by a process that keeps no history here."""
    return replace(message, signature=eip191.sign(message.signing_line(CHAIN_ID), private_key(name)))


def is_held_against_somebody(watch: DoppelgangerWatch, message: Message) -> bool:
    """Whether the watch has found a doppelganger once it has heard this."""
    watch.hear(message)
    return watch.found is not None


def sign(guard: SigningGuard, message: SignedMessage) -> SignedMessage:
    kind, value = signed_value(message)
    line = message.signing_line(CHAIN_ID)
    signature = ValidatorSigner(private_key("own"), guard).sign(kind, message.height, message.round, value, line)
    return replace(message, signature=signature)


MESSAGES: list[SignedMessage] = [
    PreVote(5, 0, A, OWN),
    PreVote(5, 1, None, OWN),
    PreCommit(5, 0, A, OWN),
    ProofBatch(5, 0, -1, A, b"", OWN),
    TimeoutMessage(5, 0, TimeoutKind.PRE_VOTE, OWN),
]


def commit(message: PreCommit, *others: str) -> Commit:
    """The pre-commit in a commit, with others'."""
    assert message.batch_hash is not None
    entries = [CommitSignature(message.validator, message.signature)]
    for name in others:
        other = signed(replace(message, validator=address(name)), name)
        entries.append(CommitSignature(address(name), other.signature))
    ordered = tuple(sorted(entries, key=lambda entry: entry.validator))
    return Commit(message.height, message.round, message.batch_hash, ordered)


@pytest.mark.parametrize("message", MESSAGES)
def test_what_this_node_signed_may_be_heard_again(
    guard: SigningGuard, watch: DoppelgangerWatch, message: SignedMessage
) -> None:
    assert not is_held_against_somebody(watch, sign(guard, message))


@pytest.mark.parametrize("message", MESSAGES)
async def test_what_this_node_did_not_sign_gives_the_other_away(
    guard: SigningGuard, watch: DoppelgangerWatch, message: SignedMessage
) -> None:
    sign(guard, PreVote(5, 7, B, OWN))
    watch.hear(signed(message))
    with pytest.raises(DoppelgangerFound, match="another process signs with the key"):
        await watch.run()


def test_another_value_than_the_one_signed_gives_the_other_away(guard: SigningGuard, watch: DoppelgangerWatch) -> None:
    sign(guard, PreVote(5, 0, A, OWN))
    assert is_held_against_somebody(watch, signed(PreVote(5, 0, B, OWN)))


def test_an_empty_history_hears_every_own_message_above_the_head_as_another_s(watch: DoppelgangerWatch) -> None:
    assert is_held_against_somebody(watch, signed(PreVote(5, 0, A, OWN)))


def test_messages_of_heights_that_the_history_has_left_say_nothing(
    guard: SigningGuard, watch: DoppelgangerWatch
) -> None:
    sign(guard, PreVote(9, 0, A, OWN))
    assert not is_held_against_somebody(watch, signed(PreVote(8, 0, B, OWN)))


def test_others_are_not_listened_to(watch: DoppelgangerWatch) -> None:
    assert not is_held_against_somebody(watch, signed(PreVote(5, 0, A, address("other")), "other"))
    assert not is_held_against_somebody(watch, Commit(5, 0, A, ()))


@pytest.mark.parametrize("message", MESSAGES)
def test_nobody_can_stop_the_node_without_the_key(watch: DoppelgangerWatch, message: SignedMessage) -> None:
    """A message in the validator's name that another key has signed, alone, in a commit and as evidence."""
    forged = replace(message, signature=signed(message, "other").signature)
    assert not is_held_against_somebody(watch, forged)
    if isinstance(forged, PreCommit):
        assert not is_held_against_somebody(watch, commit(forged, "other"))
    if isinstance(forged, PreVote):
        evidence = Evidence(EvidenceKind.DOUBLE_SIGN, forged, replace(forged, batch_hash=B))
        assert not is_held_against_somebody(watch, evidence)


async def test_until_it_is_known_what_the_chain_says_nothing_of_a_later_height_is_held_against_anybody(
    guard: SigningGuard,
) -> None:
    """The key may have signed it before this start: its history was lost, or is an old one (both are said elsewhere).
    What is of the history's own height is held against somebody all the same."""
    sign(guard, PreVote(5, 0, A, OWN))
    watch = DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)
    assert not is_held_against_somebody(watch, signed(PreVote(6, 0, A, OWN)))
    watch.begin(8)
    assert not is_held_against_somebody(watch, signed(PreVote(8, 0, A, OWN)))
    assert is_held_against_somebody(watch, signed(PreVote(9, 0, A, OWN)))


@pytest.mark.parametrize("other", [PreVote(5, 1, B, OWN), PreVote(5, 0, A, OWN)])
def test_what_would_have_come_before_the_last_that_was_signed_counts_at_once(
    guard: SigningGuard, other: SignedMessage
) -> None:
    sign(guard, PreVote(5, 1, A, OWN))
    watch = DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)
    assert is_held_against_somebody(watch, signed(other))


@pytest.mark.parametrize("later", [PreVote(5, 2, A, OWN), PreCommit(5, 1, A, OWN), PreVote(6, 0, A, OWN)])
async def test_what_may_have_come_after_an_older_copy_of_the_history_counts_once_the_chain_has_told(
    guard: SigningGuard, later: SignedMessage
) -> None:
    sign(guard, PreVote(5, 1, A, OWN))
    watch = DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)
    assert not is_held_against_somebody(watch, signed(later))
    watch.begin(6)
    assert not is_held_against_somebody(watch, signed(later))
    at_the_head = DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)
    at_the_head.begin(4)
    assert is_held_against_somebody(at_the_head, signed(later))


def test_a_commit_with_a_signature_that_was_not_made_here_gives_the_other_away(
    guard: SigningGuard, watch: DoppelgangerWatch
) -> None:
    ours = sign(guard, PreCommit(5, 0, A, OWN))
    assert isinstance(ours, PreCommit)
    assert not is_held_against_somebody(watch, commit(ours, "other"))
    theirs = signed(PreCommit(5, 1, A, OWN))
    assert isinstance(theirs, PreCommit)
    assert is_held_against_somebody(watch, commit(theirs, "other"))


def test_evidence_with_a_message_that_was_not_made_here_gives_the_other_away(
    guard: SigningGuard, watch: DoppelgangerWatch
) -> None:
    ours, theirs = sign(guard, PreVote(5, 0, A, OWN)), signed(PreVote(5, 0, B, OWN))
    assert isinstance(ours, PreVote)
    assert isinstance(theirs, PreVote)
    assert is_held_against_somebody(watch, Evidence(EvidenceKind.DOUBLE_SIGN, ours, theirs))


async def test_messages_that_cannot_be_judged_yet_are_said_once_a_minute(
    guard: SigningGuard, autojump_clock: MockClock
) -> None:
    del autojump_clock
    watch = DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)
    with structlog.testing.capture_logs() as lines:
        for height in range(1, 200):
            watch.hear(signed(PreVote(height, 0, A, OWN)))
        assert len(lines) == 1
        await trio.sleep(SAY_AGAIN_SECONDS)
        watch.hear(signed(PreVote(200, 0, A, OWN)))
    assert [line["height"] for line in lines] == [1, 200]


async def test_while_the_history_is_doubtful_nobody_is_accused_since_it_may_lack_what_this_process_has_signed(
    guard: SigningGuard, watch: DoppelgangerWatch
) -> None:
    guard.doubt("it was lost")
    old = signed(PreCommit(5, 0, A, OWN))
    assert not is_held_against_somebody(watch, old)
    guard.settle(6)
    watch.begin(6)
    assert not is_held_against_somebody(watch, old)
    assert is_held_against_somebody(watch, signed(PreCommit(7, 0, A, OWN)))
