"""Hearing one's own voice from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.messages import Commit, PreCommit, PreVote, ProofBatch, SignedMessage, TimeoutMessage
from consensus.values import TimeoutKind
from step_node.engine.doppelganger import DoppelgangerFound, DoppelgangerWatch
from step_node.engine.signed_value import signed_value
from step_node.signing.guard import SigningGuard
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
    return DoppelgangerWatch(address=OWN, chain_id=CHAIN_ID, guard=guard)


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


@pytest.mark.parametrize("message", MESSAGES)
def test_what_this_node_signed_may_be_heard_again(
    guard: SigningGuard, watch: DoppelgangerWatch, message: SignedMessage
) -> None:
    watch.hear(sign(guard, message))


@pytest.mark.parametrize("message", MESSAGES)
def test_what_this_node_did_not_sign_gives_the_other_away(
    guard: SigningGuard, watch: DoppelgangerWatch, message: SignedMessage
) -> None:
    sign(guard, PreVote(5, 7, B, OWN))
    with pytest.raises(DoppelgangerFound, match="another process signs with the key"):
        watch.hear(message)


def test_another_value_than_the_one_signed_gives_the_other_away(guard: SigningGuard, watch: DoppelgangerWatch) -> None:
    sign(guard, PreVote(5, 0, A, OWN))
    with pytest.raises(DoppelgangerFound):
        watch.hear(PreVote(5, 0, B, OWN))


def test_an_empty_history_hears_every_own_message_as_another_s(watch: DoppelgangerWatch) -> None:
    with pytest.raises(DoppelgangerFound):
        watch.hear(PreVote(1, 0, A, OWN))


def test_messages_of_heights_that_the_history_has_left_say_nothing(
    guard: SigningGuard, watch: DoppelgangerWatch
) -> None:
    sign(guard, PreVote(9, 0, A, OWN))
    watch.hear(PreVote(8, 0, B, OWN))


def test_others_are_not_listened_to(watch: DoppelgangerWatch) -> None:
    watch.hear(PreVote(5, 0, A, address("other")))
    watch.hear(Commit(5, 0, A, ()))
