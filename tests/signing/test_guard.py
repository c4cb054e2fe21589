import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step_node.durable.record_log import DamagedLog, ForeignLog, RecordLog
from step_node.signing import guard as guard_module
from step_node.signing.guard import DoubleSignRefused, SigningGuard, SigningKind

A, B = b"a" * 32, b"b" * 32
PRE_VOTE, PRE_COMMIT, PROPOSAL = SigningKind.PRE_VOTE, SigningKind.PRE_COMMIT, SigningKind.PROPOSAL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing_history"


def opened(path: Path) -> SigningGuard:
    return SigningGuard.open(path, "step-test")


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


def test_a_history_of_another_chain_is_refused(path: Path) -> None:
    opened(path).close()
    with pytest.raises(ForeignLog, match=r"chain step-test.*chain other"):
        SigningGuard.open(path, "other")


def test_a_history_that_cannot_be_understood_is_refused(path: Path) -> None:
    opened(path).close()
    log, _ = RecordLog.open(path, b"STEP signing history 1, chain step-test")
    log.append(b"\x01")
    log.sync()
    log.close()
    with pytest.raises(DamagedLog, match="record 0: it is no entry of a signing history"):
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
        monkeypatch.setattr(guard_module, "RECORDS_MAX", 1)

    def fail(*_arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
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
    monkeypatch.setattr(guard_module, "RECORDS_MAX", 10)
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
    monkeypatch.setattr(guard_module, "RECORDS_MAX", 20)
    monkeypatch.setattr(guard_module, "ROUNDS_KEPT", 3)
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


REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(0, 3),
        st.sampled_from((PRE_VOTE, PRE_COMMIT)),
        st.sampled_from((A, B, b"")),
        st.booleans(),
    ),
    max_size=25,
)


@given(requests=REQUESTS, records_max=st.integers(1, 6))
def test_whatever_is_asked_and_whenever_it_restarts_no_two_values_are_authorised(
    requests: list[tuple[int, int, SigningKind, bytes, bool]],
    records_max: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("guard") / "signing_history"
    signed: dict[tuple[int, int, SigningKind], bytes] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard_module, "RECORDS_MAX", records_max)
        guard = opened(path)
        for height, round_number, kind, value, restarts in requests:
            if restarts:
                guard.close()
                guard = opened(path)
            try:
                guard.authorise(height, round_number, kind, value)
            except DoubleSignRefused:
                continue
            assert signed.setdefault((height, round_number, kind), value) == value
        guard.close()
