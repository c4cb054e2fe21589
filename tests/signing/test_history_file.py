"""Carrying a signing history from one machine to another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step_node.signing.guard import DoubleSignRefused, SigningGuard, SigningKind
from step_node.signing.history_file import (
    HistoryDocument,
    HistoryFileError,
    export_history,
    import_history,
    read_history,
)

CHAIN_ID = "step-test"
VALIDATOR = b"v" * 20
PRE_VOTE, PRE_COMMIT = SigningKind.PRE_VOTE, SigningKind.PRE_COMMIT


def guard_at(path: Path, *signed: tuple[int, int, SigningKind, bytes]) -> SigningGuard:
    guard = SigningGuard.open(path, CHAIN_ID)
    for height, round_number, kind, value in signed:
        guard.authorise(height, round_number, kind, value)
    return guard


def document_of(guard: SigningGuard) -> HistoryDocument:
    return HistoryDocument.model_validate_json(export_history(guard, chain_id=CHAIN_ID, validator=VALIDATOR))


def take_in(guard: SigningGuard, document: HistoryDocument) -> int:
    return import_history(guard, document, chain_id=CHAIN_ID, validator=VALIDATOR)


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
        with pytest.raises(DoubleSignRefused, match="this key has signed twice"):
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
        document = HistoryDocument.model_validate_json(export_history(old, chain_id=chain_id, validator=validator))
        with guard_at(tmp_path / "new") as new, pytest.raises(HistoryFileError, match=message):
            take_in(new, document)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "step-signing-history-2"}, "format"),
        ({"surprise": 1}, "surprise: unknown key"),
        ({"records": [{"height": 0, "round": 0, "kind": "PRE_VOTE", "value": "0x"}]}, r"records\.0\.height"),
        ({"records": [{"height": 1, "round": 0, "kind": "VOTE", "value": "0x"}]}, r"records\.0\.kind"),
        ({"records": [{"height": 1, "round": 0, "kind": "PRE_VOTE", "value": "0x0"}]}, r"records\.0\.value"),
    ],
)
def test_a_document_that_is_not_one_names_the_field(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with guard_at(tmp_path / "old") as old:
        content = json.loads(export_history(old, chain_id=CHAIN_ID, validator=VALIDATOR))
    (tmp_path / "history.json").write_text(json.dumps(content | change))
    with pytest.raises(HistoryFileError, match=message):
        read_history(tmp_path / "history.json")
