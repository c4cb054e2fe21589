"""What others rely on stays as it is, byte for byte, unless the changelog tells them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from step_node.signing.keystore import KdfStrength, create_keystore, load_keystore
from tests.conformance import vectors
from tests.conformance.encodings import NOT_REPRODUCED, encodings
from tests.conformance.vectors import WHAT_TO_DO, broken, recorded, write
from tests.fuzz.decoders import decoders
from tests.support.proofs import private_key

KEYSTORE = vectors.VECTORS.with_name("keystore.json")


@cache
def made() -> dict[str, str]:
    return encodings()


def test_everything_that_leaves_the_process_has_the_bytes_that_others_know() -> None:
    new, old = made(), recorded()
    changed = broken(old, new)
    assert not changed, f"others rely on these, and they have changed: {', '.join(changed)}. {WHAT_TO_DO}"
    added = sorted(name for name in new if new[name] != old.get(name))
    assert not added, f"these are new, or have more fields: {added}. Record them: .venv/bin/python -m tests.conformance"


def test_every_decoder_has_an_example_that_it_still_reads() -> None:
    table = decoders()
    assert set(table) >= NOT_REPRODUCED
    for name in set(table) - NOT_REPRODUCED:
        examples = [text for key, text in recorded().items() if key.startswith(f"{name}/")]
        assert examples, f"no example of {name} is recorded"
        for text in examples:
            data = text.encode() if text.startswith(("{", "[")) else bytes.fromhex(text)
            assert table[name].try_out(data), f"{name}: {text[:80]}"


def test_the_recorded_keystore_opens_and_new_ones_have_its_form(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch(mode=0o600)
    kept.write_bytes(KEYSTORE.read_bytes())
    assert load_keystore(kept, "conformance") == private_key("alice")
    create_keystore(tmp_path / "new", private_key("alice"), "conformance", KdfStrength.DEVNET)
    assert shape(json.loads((tmp_path / "new").read_text())) == shape(json.loads(KEYSTORE.read_text()))


def shape(value: object) -> object:
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else type(value)


OLD = {"a/0": "00", "api/x": '200 {"one": 1, "list": [{"two": 2}], "message": "m"}'}


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"b/0": "01"}, []),
        ({"a/0": "01"}, ["a/0"]),
        ({"a/0": None}, ["a/0"]),
        ({"api/x": '200 {"one": 1, "more": 5, "list": [{"two": 2, "three": 3}], "message": "m"}'}, []),
        ({"api/x": '200 {"one": 1, "list": [{"two": 2}], "message": "another"}'}, []),
        ({"api/x": '200 {"one": "1", "list": [{"two": 2}], "message": "m"}'}, ["api/x"]),
        ({"api/x": '200 {"one": true, "list": [{"two": 2}], "message": "m"}'}, ["api/x"]),
        ({"api/x": '200 {"list": [{"two": 2}], "message": "m"}'}, ["api/x"]),
        ({"api/x": '200 {"one": 1, "list": [], "message": "m"}'}, ["api/x"]),
        ({"api/x": '202 {"one": 1, "list": [{"two": 2}], "message": "m"}'}, ["api/x"]),
    ],
)
def test_a_break_is_written_only_with_a_line_in_the_changelog(
    change: Mapping[str, str | None], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "ROOT", tmp_path)
    monkeypatch.setattr(vectors, "VECTORS", tmp_path / "encodings.json")
    (tmp_path / "changelog.d").mkdir()
    write(OLD, None)
    new = {name: text for name, text in {**OLD, **change}.items() if text is not None}
    if names:
        for breaking in (None, "not-there"):
            with pytest.raises(SystemExit, match=names[0]):
                write(new, breaking)
        assert recorded() == OLD
        (tmp_path / "changelog.d" / "told.breaking.md").write_text("What changes.")
    assert write(new, "told") == names
    assert recorded() == new
