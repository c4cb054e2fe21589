"""With which signing history a node starts, and what the operator must say where there is none of its key."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from step_node.errors import StepNodeError
from step_node.home.histories import begin_history, keys_with_history, open_history
from step_node.home.paths import NodeHome
from step_node.node.signing_history import NO_WORD, HistoryWord, check_history, open_own_history
from step_node.signing import guard as guard_module
from step_node.signing.guard import DoubleSignRefused, SigningGuard
from step_node.signing.history import HEIGHT_MAX, NEVER_SIGNED, HistoryContent, SigningKind

CHAIN_ID = "step-test"
KEY, OTHER_KEY = b"k" * 20, b"o" * 20
PRE_VOTE = SigningKind.PRE_VOTE
NEW, LOST = HistoryWord(is_new=True), HistoryWord(is_lost=True)


@pytest.fixture
def home(tmp_path: Path) -> NodeHome:
    return NodeHome(tmp_path)


def start(
    home: NodeHome, word: HistoryWord = NO_WORD, *, validator: bytes = KEY, believable_max: int = 2_000
) -> SigningGuard:
    check_history(home, validator=validator, word=word, is_observer=False)
    return open_own_history(home, chain_id=CHAIN_ID, validator=validator, word=word, believable_max=believable_max)


def sign(guard: SigningGuard, height: int) -> None:
    guard.authorise(height, 0, PRE_VOTE, b"a")


def test_a_key_without_a_history_of_its_own_does_not_start_and_every_way_out_is_named(home: NodeHome) -> None:
    begin_history(home, chain_id=CHAIN_ID, validator=OTHER_KEY)
    for _ in range(2):
        with pytest.raises(StepNodeError) as refused:
            start(home)
        assert f"0x{KEY.hex()}" in str(refused.value)
        for way in (
            f"step-node keys import-history --home {home.root} --input history.json",
            f"step-node start --home {home.root} --new-signing-history",
            f"step-node start --home {home.root} --lost-signing-history",
            f"step-node start --home {home.root} --sign-from-height",
        ):
            assert way in str(refused.value)
    assert keys_with_history(home) == {OTHER_KEY}


def test_a_key_change_leaves_the_old_history_where_it_is(home: NodeHome) -> None:
    with start(home, NEW) as guard:
        sign(guard, 5)
    with start(home, NEW, validator=OTHER_KEY) as other:
        assert other.content() == NEVER_SIGNED
    with start(home) as guard, pytest.raises(DoubleSignRefused):
        guard.authorise(5, 0, PRE_VOTE, b"b")


def test_a_new_history_is_begun_once(home: NodeHome) -> None:
    with start(home, NEW) as guard:
        assert guard.content() == NEVER_SIGNED
    with pytest.raises(StepNodeError, match="is there already; leave --new-signing-history out"):
        start(home, NEW)
    start(home).close()


def test_a_lost_history_is_doubtful_until_it_is_settled(home: NodeHome) -> None:
    with structlog.testing.capture_logs() as logged:
        start(home, LOST).close()
    assert any("doubtful" in line["event"] and line["log_level"] == "warning" for line in logged)
    with start(home) as guard:
        assert guard.is_doubtful
        with pytest.raises(DoubleSignRefused):
            sign(guard, 5)
        guard.settle(7)
    with start(home) as guard:
        sign(guard, 8)


@pytest.mark.parametrize("word", [LOST, HistoryWord(sign_from_height=8)])
def test_a_crash_while_the_word_is_taken_leaves_a_doubt(
    home: NodeHome, word: HistoryWord, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_arguments: object) -> None:
        raise OSError("crash")

    with monkeypatch.context() as patch:
        patch.setattr(SigningGuard, "doubt", crash)
        patch.setattr(SigningGuard, "settle", crash)
        with pytest.raises(OSError, match="crash"):
            start(home, word)
    with start(home) as guard:
        assert guard.is_doubtful


def test_on_the_operators_word_a_key_signs_from_a_height_on(home: NodeHome) -> None:
    with structlog.testing.capture_logs() as logged:
        guard = start(home, HistoryWord(sign_from_height=8))
    assert any(line.get("sign_from_height") == 8 and line["log_level"] == "warning" for line in logged)
    assert (guard.is_doubtful, guard.floor) == (False, 7)
    with pytest.raises(DoubleSignRefused):
        sign(guard, 7)
    sign(guard, 8)
    guard.close()
    with pytest.raises(StepNodeError, match=r"--sign-from-height: 8 must be above 8: .* leave it out now"):
        start(home, HistoryWord(sign_from_height=8))


def test_the_word_ends_a_doubt(home: NodeHome) -> None:
    start(home, LOST).close()
    with start(home, HistoryWord(sign_from_height=8)) as guard:
        assert not guard.is_doubtful
        sign(guard, 8)


def test_a_history_that_can_be_true_stays_where_its_loss_is_said(home: NodeHome) -> None:
    with start(home, NEW) as guard:
        sign(guard, 5)
    with start(home, LOST) as guard:
        assert guard.is_doubtful
        assert guard.height == 5


def test_a_history_beyond_reason_is_said_and_replaced_by_a_doubt_on_the_operators_word(home: NodeHome) -> None:
    with start(home, NEW) as guard:
        sign(guard, 2**62)
    with structlog.testing.capture_logs() as logged:
        start(home).close()
    (line,) = logged
    assert (line["log_level"], line["history_height"], line["believable_height_max"]) == ("error", 2**62, 2_000)
    assert "--lost-signing-history" in line["event"]
    with start(home, LOST) as guard:
        assert guard.content() == HistoryContent(doubt=guard.doubt_reason)
        guard.settle(7)
        sign(guard, 8)


def test_a_history_that_names_no_key_is_refused_with_what_to_do(home: NodeHome) -> None:
    home.data.mkdir()
    home.unnamed_signing_history.touch()
    for validator in (KEY, None):
        with pytest.raises(StepNodeError, match=r"older version.*Move it out of this home.*--lost-signing-history"):
            check_history(home, validator=validator, word=NO_WORD, is_observer=False)
    with pytest.raises(StepNodeError, match="older version"):
        begin_history(home, chain_id=CHAIN_ID, validator=KEY)


def test_a_home_that_has_signed_does_not_start_without_its_key_unless_it_shall_only_observe(home: NodeHome) -> None:
    check_history(home, validator=None, word=NO_WORD, is_observer=False)
    begin_history(home, chain_id=CHAIN_ID, validator=KEY)
    with pytest.raises(StepNodeError) as refused:
        check_history(home, validator=None, word=NO_WORD, is_observer=False)
    assert str(refused.value).startswith(f"{home.validator_keystore}: is not there, but 0x{KEY.hex()} has signed")
    assert f"step-node start --home {home.root} --observer" in str(refused.value)
    check_history(home, validator=None, word=NO_WORD, is_observer=True)


def test_a_word_without_a_key_is_refused(home: NodeHome) -> None:
    with pytest.raises(StepNodeError, match="there is no validator's key in this home"):
        check_history(home, validator=None, word=LOST, is_observer=True)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"is_new": True, "is_lost": True}, "give only one of --new-signing-history, --lost-signing-history and"),
        ({"is_lost": True, "sign_from_height": 1}, "give only one"),
        ({"sign_from_height": 0}, "--sign-from-height: must be from 1 to"),
        ({"sign_from_height": HEIGHT_MAX + 1}, "--sign-from-height: must be from 1 to"),
    ],
)
def test_words_that_contradict_one_another_are_refused(arguments: dict[str, int], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        HistoryWord(**arguments)  # type: ignore[arg-type]


def test_a_history_of_another_chain_is_refused(home: NodeHome) -> None:
    begin_history(home, chain_id="another", validator=KEY)
    with pytest.raises(StepNodeError, match="chain another"):
        start(home)


def test_a_compacted_history_keeps_its_doubt(home: NodeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "ENTRIES_MAX", 1)
    with open_history(home, chain_id=CHAIN_ID, validator=KEY, begin_with=HistoryContent(doubt="lost")) as guard:
        guard.raise_floor(3)
        guard.raise_floor(4)
    with start(home) as guard:
        assert guard.content() == HistoryContent(floor=4, doubt="lost")
