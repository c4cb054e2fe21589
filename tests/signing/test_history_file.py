"""Carrying a signing history from one machine to another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.signing.guard import DoubleSignRefused, SigningGuard
from step_node.signing.history import HEIGHT_MAX, HistoriesContradict, SigningKind
from step_node.signing.history_file import (
    HistoryDocument,
    HistoryFileError,
    export_history,
    read_history,
)

CHAIN_ID = "step-test"
VALIDATOR = b"v" * 20
PRE_VOTE, PRE_COMMIT = SigningKind.PRE_VOTE, SigningKind.PRE_COMMIT


def guard_at(path: Path, *signed: tuple[int, int, SigningKind, bytes]) -> SigningGuard:
    guard = SigningGuard.open(path, chain_id=CHAIN_ID, validator=VALIDATOR)
    for height, round_number, kind, value in signed:
        guard.authorise(height, round_number, kind, value)
    return guard


def document_of(guard: SigningGuard) -> HistoryDocument:
    return HistoryDocument.model_validate_json(export_history(guard, chain_id=CHAIN_ID))


def take_in(guard: SigningGuard, document: HistoryDocument) -> int:
    document.check(chain_id=CHAIN_ID, validator=VALIDATOR, height_max=HEIGHT_MAX)
    return guard.merge(document.content)


def test_a_history_carried_over_binds_the_new_machine_across_restarts(tmp_path: Path) -> None:
    with guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a"), (7, 1, PRE_VOTE, b"b")) as old:
        document = document_of(old)
    with guard_at(tmp_path / "new") as new:
        assert take_in(new, document) == 2
    with guard_at(tmp_path / "new") as again:
        again.authorise(7, 1, PRE_VOTE, b"b")
        with pytest.raises(DoubleSignRefused, match="another value was signed already"):
            again.authorise(7, 1, PRE_VOTE, b"c")
        with pytest.raises(DoubleSignRefused, match="height must not be below 7"):
            again.authorise(6, 0, PRE_VOTE, b"a")


def test_an_older_history_changes_nothing(tmp_path: Path) -> None:
    with (
        guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a")) as old,
        guard_at(tmp_path / "new", (9, 0, PRE_VOTE, b"x")) as new,
    ):
        before = new.history()
        assert take_in(new, document_of(old)) == 0
        assert new.history() == before


def test_histories_of_one_height_are_merged(tmp_path: Path) -> None:
    with (
        guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a")) as old,
        guard_at(tmp_path / "new", (7, 0, PRE_COMMIT, b"a")) as new,
    ):
        assert take_in(new, document_of(old)) == 1
        with pytest.raises(DoubleSignRefused):
            new.authorise(7, 0, PRE_VOTE, b"b")
        with pytest.raises(DoubleSignRefused):
            new.authorise(7, 0, PRE_COMMIT, b"b")


def test_histories_that_contradict_one_another_are_told_and_change_nothing(tmp_path: Path) -> None:
    with (
        guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a")) as old,
        guard_at(tmp_path / "new", (7, 0, PRE_VOTE, b"b")) as new,
    ):
        with pytest.raises(HistoriesContradict, match="this key has signed twice"):
            take_in(new, document_of(old))
        new.authorise(7, 0, PRE_VOTE, b"b")


@pytest.mark.parametrize(
    ("chain_id", "validator", "message"),
    [("another", VALIDATOR, "chain_id: the history is of"), (CHAIN_ID, b"w" * 20, "validator: the history is of")],
)
def test_a_history_of_another_chain_or_key_is_refused(
    tmp_path: Path, chain_id: str, validator: bytes, message: str
) -> None:
    with guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a")) as old:
        document = document_of(old)
    with pytest.raises(HistoryFileError, match=message):
        document.check(chain_id=chain_id, validator=validator, height_max=HEIGHT_MAX)


@pytest.mark.parametrize("field", ["records.0.height", "floor"])
def test_a_height_beyond_what_the_chain_can_have_come_to_is_refused(tmp_path: Path, field: str) -> None:
    with guard_at(tmp_path / "old") as old:
        if field == "floor":
            old.raise_floor(2**62)
        else:
            old.authorise(2**62, 0, PRE_VOTE, b"a")
        document = document_of(old)
    with pytest.raises(HistoryFileError, match=f"^{field}: must be at most 1500, .* not {2**62}: .*lost-signing"):
        document.check(chain_id=CHAIN_ID, validator=VALIDATOR, height_max=1_500)
    document.check(chain_id=CHAIN_ID, validator=VALIDATOR, height_max=2**62)


def test_floor_and_doubt_are_carried_along(tmp_path: Path) -> None:
    with guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a")) as old:
        old.raise_floor(9)
        old.doubt("a copy was put back")
        document = document_of(old)
    with guard_at(tmp_path / "new", (12, 0, PRE_VOTE, b"b")) as new:
        assert take_in(new, document) == 0
        assert (new.floor, new.doubt_reason, new.height) == (9, "a copy was put back", 12)
        with pytest.raises(DoubleSignRefused, match="doubtful"):
            new.authorise(13, 0, PRE_VOTE, b"c")


def test_a_history_that_is_begun_with_another_binds_as_much_from_its_first_byte_on(tmp_path: Path) -> None:
    with guard_at(tmp_path / "old", (7, 0, PRE_VOTE, b"a")) as old:
        old.raise_floor(3)
        document = document_of(old)
    for _ in range(2):
        with SigningGuard.open(
            tmp_path / "new", chain_id=CHAIN_ID, validator=VALIDATOR, begin_with=document.content
        ) as new:
            assert new.content() == document.content
            with pytest.raises(DoubleSignRefused):
                new.authorise(7, 0, PRE_VOTE, b"b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "step-signing-history-1"}, "format: the document is of an older version.*export it anew"),
        ({"format": "step-signing-history-3"}, "format: must be 'step-signing-history-2'"),
        ({"floor": -1}, "floor: must be"),
        ({"doubt": ""}, "doubt: reason: must be 1 to 500 printable characters"),
        ({"doubt": "\x1b[2J"}, "doubt: reason: must be 1 to 500 printable characters"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"records": [{"height": 0, "round": 0, "kind": "PRE_VOTE", "value": "0x"}]}, r"records\.0\.height"),
        ({"records": [{"height": 1, "round": 0, "kind": "VOTE", "value": "0x"}]}, r"records\.0\.kind"),
        ({"records": [{"height": 1, "round": 0, "kind": "PRE_VOTE", "value": "0x0"}]}, r"records\.0\.value"),
    ],
)
def test_a_document_that_is_not_one_names_the_field(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with guard_at(tmp_path / "old") as old:
        content = json.loads(export_history(old, chain_id=CHAIN_ID))
    (tmp_path / "history.json").write_text(json.dumps(content | change))
    with pytest.raises(HistoryFileError, match=message):
        read_history(tmp_path / "history.json")
