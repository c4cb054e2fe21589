import errno
import os
from pathlib import Path
from typing import Any

import pytest

from step_node.durable.record_log import DamagedLog, ForeignLog, RecordLog
from step_node.signing import guard as guard_module
from step_node.signing import history as history_module
from step_node.signing.guard import DoubleSignRefused, SigningGuard, SigningRule
from step_node.signing.history import NEVER_SIGNED, HistoryContent, SignedRecord, SigningKind

KEY, OTHER_KEY = b"k" * 20, b"o" * 20
A, B = b"a" * 32, b"b" * 32
PRE_VOTE, PRE_COMMIT, PROPOSAL = SigningKind.PRE_VOTE, SigningKind.PRE_COMMIT, SigningKind.PROPOSAL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing_history"


def opened(path: Path) -> SigningGuard:
    return SigningGuard.open(path, chain_id="step-test", validator=KEY)


def test_a_second_value_for_a_height_round_and_kind_is_refused(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 0, PRE_VOTE, A)
        with pytest.raises(DoubleSignRefused, match="PRE_VOTE at height 5, round 0: another value was signed"):
            guard.authorise(5, 0, PRE_VOTE, B)
        with pytest.raises(DoubleSignRefused):
            guard.authorise(5, 0, PRE_VOTE, b"")


def test_the_same_value_may_be_signed_again_even_of_an_earlier_round(path: Path) -> None:
    with opened(path) as guard:
        for round_number in (0, 1, 4, 1, 0, 4):
            guard.authorise(5, round_number, PRE_VOTE, A)


def test_nil_is_a_value_like_any_other(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 0, PRE_COMMIT, b"")
        guard.authorise(5, 0, PRE_COMMIT, b"")
        with pytest.raises(DoubleSignRefused):
            guard.authorise(5, 0, PRE_COMMIT, A)


def test_each_kind_has_a_history_of_its_own(path: Path) -> None:
    with opened(path) as guard:
        for value, kind in enumerate(SigningKind):
            guard.authorise(5, 0, kind, bytes((value,)))
        guard.authorise(5, 3, PRE_VOTE, A)
        guard.authorise(5, 2, PRE_COMMIT, A)


def test_a_height_below_the_highest_is_refused_for_every_kind(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(4, 0, PRE_VOTE, A)
        guard.authorise(5, 0, PRE_VOTE, A)
        for kind in SigningKind:
            with pytest.raises(DoubleSignRefused, match="the height must not be below 5"):
                guard.authorise(4, 0, kind, A)


def test_a_round_below_the_highest_of_its_kind_is_refused(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 3, PRE_VOTE, A)
        with pytest.raises(DoubleSignRefused, match="the round must not be below 3"):
            guard.authorise(5, 2, PRE_VOTE, A)


def test_what_was_signed_binds_after_a_restart(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 0, PRE_VOTE, A)
        guard.authorise(5, 2, PRE_VOTE, B)
    with opened(path) as guard:
        assert guard.height == 5
        assert [(record.round, record.kind, record.value) for record in guard.history()] == [
            (0, PRE_VOTE, A),
            (2, PRE_VOTE, B),
        ]
        guard.authorise(5, 0, PRE_VOTE, A)
        for height, round_number, value in ((5, 0, B), (5, 1, A), (5, 2, A), (4, 9, A)):
            with pytest.raises(DoubleSignRefused):
                guard.authorise(height, round_number, PRE_VOTE, value)


def test_a_history_of_another_key_is_refused(path: Path) -> None:
    opened(path).close()
    with pytest.raises(ForeignLog, match=rf"validator 0x{KEY.hex()}.*validator 0x{OTHER_KEY.hex()}"):
        SigningGuard.open(path, chain_id="step-test", validator=OTHER_KEY)


def test_an_address_that_is_none_is_refused_before_there_is_a_file(path: Path) -> None:
    with pytest.raises(ValueError, match="validator: must be an address of 20 bytes, not 3"):
        SigningGuard.open(path, chain_id="step-test", validator=b"key")
    assert not path.exists()


def test_nothing_is_authorised_at_the_floor_or_below_across_restarts(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 0, PRE_VOTE, A)
        guard.raise_floor(6)
        guard.raise_floor(4)
    with opened(path) as guard:
        assert guard.floor == 6
        for height, value in ((6, A), (5, A), (5, B), (1, A)):
            with pytest.raises(DoubleSignRefused, match="the height must be above 6") as refused:
                guard.authorise(height, 0, PRE_VOTE, value)
            assert refused.value.rule is SigningRule.FLOOR
        guard.authorise(7, 0, PRE_VOTE, A)
        assert guard.history() == [(7, 0, PRE_VOTE, A)]


def test_a_doubtful_history_authorises_nothing_until_it_is_settled_across_restarts(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 0, PRE_VOTE, A)
        guard.doubt("a copy was put back")
        guard.doubt("and another")
    with opened(path) as guard:
        assert guard.is_doubtful
        assert guard.doubt_reason == "a copy was put back"
        for height in (5, 6):
            with pytest.raises(DoubleSignRefused, match=r"doubtful, .*a copy was put back") as refused:
                guard.authorise(height, 0, PRE_VOTE, A)
            assert refused.value.rule is SigningRule.DOUBT
        guard.settle(8)
    with opened(path) as guard:
        assert (guard.is_doubtful, guard.doubt_reason, guard.floor) == (False, None, 8)
        with pytest.raises(DoubleSignRefused):
            guard.authorise(8, 0, PRE_VOTE, A)
        guard.authorise(9, 0, PRE_VOTE, A)


def test_a_history_that_is_forgotten_leaves_a_doubt(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(2**62, 0, PRE_VOTE, A)
        guard.raise_floor(2**62)
        guard.forget("it cannot be true")
    with opened(path) as guard:
        assert guard.content() == HistoryContent(doubt="it cannot be true")
        guard.settle(8)
        guard.authorise(9, 0, PRE_VOTE, A)


def test_a_refusal_says_by_which_rule_it_is(path: Path) -> None:
    with opened(path) as guard:
        guard.authorise(5, 3, PRE_VOTE, A)
        for request, rule in (
            ((4, 0, PRE_VOTE, A), SigningRule.HEIGHT_BELOW),
            ((5, 2, PRE_VOTE, A), SigningRule.ROUND_BELOW),
            ((5, 3, PRE_VOTE, B), SigningRule.ANOTHER_VALUE),
        ):
            with pytest.raises(DoubleSignRefused) as refused:
                guard.authorise(*request)
            assert refused.value.rule is rule


def test_a_beginning_is_in_the_file_as_soon_as_there_is_one(path: Path) -> None:
    beginning = HistoryContent((SignedRecord(5, 0, PRE_VOTE, A),), 3, "its history is lost")
    for begin_with in (beginning, NEVER_SIGNED):
        with SigningGuard.open(path, chain_id="step-test", validator=KEY, begin_with=begin_with) as guard:
            assert guard.content() == beginning


def test_a_beginning_that_is_none_leaves_no_file(path: Path) -> None:
    for begin_with, field in (
        (HistoryContent(floor=-1), "floor"),
        (HistoryContent(doubt=""), "reason"),
        (HistoryContent((SignedRecord(5, -1, PRE_VOTE, A),)), "round"),
    ):
        with pytest.raises(ValueError, match=f"^{field}: must be"):
            SigningGuard.open(path, chain_id="step-test", validator=KEY, begin_with=begin_with)
    assert not path.exists()


@pytest.mark.parametrize("is_compacting", [False, True])
def test_if_the_disk_fails_floor_and_doubt_bind_and_no_doubt_is_ended(
    path: Path, is_compacting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as guard:
        guard.authorise(5, 0, PRE_VOTE, A)
        guard.doubt("a copy was put back")
    if is_compacting:
        monkeypatch.setattr(guard_module, "ENTRIES_MAX", 1)
    for change in ("raise_floor", "settle"):
        with opened(path) as guard:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", _fail)
                with pytest.raises(OSError, match="Input/output error"):
                    getattr(guard, change)(9)
            assert guard.is_doubtful
            assert guard.floor == (9 if change == "raise_floor" else 0)
            with pytest.raises(DoubleSignRefused):
                guard.authorise(5, 0, PRE_VOTE, A)
            path.write_bytes(_without_floor(path))


def _fail(*_arguments: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def _without_floor(path: Path) -> bytes:
    """The file as a crash leaves it that loses what was not synced."""
    fresh = path.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    content = HistoryContent((SignedRecord(5, 0, PRE_VOTE, A),), 0, "a copy was put back")
    SigningGuard.open(fresh, chain_id="step-test", validator=KEY, begin_with=content).close()
    return fresh.read_bytes()


@pytest.mark.parametrize(
    ("change", "argument", "field"),
    [
        ("raise_floor", -1, "floor"),
        ("raise_floor", 2**63, "floor"),
        ("settle", True, "floor"),
        ("doubt", "", "reason"),
        ("doubt", "x" * 501, "reason"),
        ("doubt", "a\x1b[2Jb", "reason"),
        ("forget", "two\nlines", "reason"),
    ],
)
def test_a_floor_or_a_reason_that_is_none_changes_nothing(path: Path, change: str, argument: Any, field: str) -> None:
    with opened(path) as guard:
        with pytest.raises(ValueError, match=f"^{field}: must be"):
            getattr(guard, change)(argument)
        assert guard.content() == NEVER_SIGNED


def test_a_history_of_another_chain_is_refused(path: Path) -> None:
    opened(path).close()
    with pytest.raises(ForeignLog, match=r"chain step-test.*chain other"):
        SigningGuard.open(path, chain_id="other", validator=KEY)


def test_a_history_that_cannot_be_understood_is_refused(path: Path) -> None:
    opened(path).close()
    log, _ = RecordLog.open(path, f"STEP signing history 2, chain step-test, validator 0x{KEY.hex()}".encode())
    log.append(b"\x01")
    log.sync()
    log.close()
    with pytest.raises(DamagedLog, match="entry 0: it is no entry of a signing history"):
        opened(path)


def test_the_record_is_on_disk_before_authorise_returns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    guard = opened(path)
    for name in ("write", "fsync"):
        original = getattr(os, name)

        def spy(*arguments: Any, name: str = name, original: Any = original) -> Any:
            answer = original(*arguments)
            calls.append(name)
            return answer

        monkeypatch.setattr(os, name, spy)
    guard.authorise(5, 0, PRE_VOTE, A)
    assert calls == ["write", "fsync"]
    guard.authorise(5, 0, PRE_VOTE, A)
    assert calls == ["write", "fsync"]
    guard.close()


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("is_compacting", [False, True])
def test_if_the_disk_fails_nothing_is_authorised_any_more(
    path: Path, step: str, is_compacting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if step == "replace" and not is_compacting:
        return
    guard = opened(path)
    guard.authorise(5, 0, PRE_VOTE, A)
    if is_compacting:
        monkeypatch.setattr(guard_module, "ENTRIES_MAX", 1)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, _fail)
        with pytest.raises(OSError, match="Input/output error"):
            guard.authorise(5, 0, PRE_COMMIT, A)
    with pytest.raises(OSError, match="a write has failed"):
        guard.authorise(5, 0, PRE_COMMIT, A)
    assert guard.history() == [(5, 0, PRE_VOTE, A)]
    guard.close()
    with opened(path) as guard, pytest.raises(DoubleSignRefused):
        guard.authorise(5, 0, PRE_VOTE, B)


def test_a_crash_at_any_byte_of_a_record_binds_to_all_that_was_authorised_before(path: Path) -> None:
    sizes = []
    with opened(path) as guard:
        for round_number in range(3):
            guard.authorise(5, round_number, PRE_VOTE, A)
            sizes.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(sizes[0], sizes[-1] + 1):
        path.write_bytes(whole[:size])
        for round_number, size_when_authorised in enumerate(sizes):
            if size_when_authorised <= size:
                with opened(path) as guard, pytest.raises(DoubleSignRefused):
                    guard.authorise(5, round_number, PRE_VOTE, B)


def test_the_file_stays_small_and_binding_as_the_height_moves_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "ENTRIES_MAX", 10)
    with opened(path) as guard:
        for height in range(1, 60):
            guard.authorise(height, 0, PRE_VOTE, A)
            guard.authorise(height, 0, PRE_COMMIT, A)
            assert path.stat().st_size < 2_000
    with opened(path) as guard:
        assert guard.height == 59
        with pytest.raises(DoubleSignRefused):
            guard.authorise(59, 0, PRE_VOTE, B)


def test_the_file_stays_small_however_many_rounds_a_height_takes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "ENTRIES_MAX", 20)
    monkeypatch.setattr(history_module, "ROUNDS_KEPT", 3)
    with opened(path) as guard:
        guard.authorise(5, 0, PROPOSAL, A)
        for round_number in range(200):
            guard.authorise(5, round_number, PRE_VOTE, A)
            assert len(guard.history()) <= 20
        for value in (A, B):
            with pytest.raises(DoubleSignRefused, match="the round must not be below 199"):
                guard.authorise(5, 0, PRE_VOTE, value)
        guard.authorise(5, 199, PRE_VOTE, A)
        with pytest.raises(DoubleSignRefused):
            guard.authorise(5, 0, PROPOSAL, B)
    assert path.stat().st_size < 4_000


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((0, 0, PRE_VOTE, A), "height"),
        ((2**63, 0, PRE_VOTE, A), "height"),
        ((True, 0, PRE_VOTE, A), "height"),
        ((1, -1, PRE_VOTE, A), "round"),
        ((1, 2**31, PRE_VOTE, A), "round"),
        ((1, 0, "PREVOTE", A), "kind"),
        ((1, 0, PRE_VOTE, "a"), "value"),
        ((1, 0, PRE_VOTE, bytes(257)), "value"),
    ],
)
def test_an_argument_out_of_range_is_named(path: Path, arguments: Any, field: str) -> None:
    with opened(path) as guard:
        with pytest.raises(ValueError, match=f"^{field}: must be"):
            guard.authorise(*arguments)
        assert guard.history() == []


def test_no_round_comes_back_by_a_merge_that_was_forgotten_here(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "ENTRIES_MAX", 1)
    monkeypatch.setattr(history_module, "ROUNDS_KEPT", 2)
    with opened(path) as guard:
        for round_number in (0, 5):
            guard.authorise(5, round_number, PRE_VOTE, A)
        assert guard.history() == [(5, 5, PRE_VOTE, A)]
        guard.merge(HistoryContent((SignedRecord(5, 0, PRE_VOTE, B),)))
        with pytest.raises(DoubleSignRefused) as refused:
            guard.authorise(5, 0, PRE_VOTE, B)
        assert refused.value.rule is SigningRule.ROUND_BELOW
