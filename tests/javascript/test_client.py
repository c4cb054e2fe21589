"""The JavaScript client's own tests, run by Node; and what is loaded is what was written, and small."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from step_node.parameters import CHAIN_ID_PATTERN, Parameters
from tests.javascript.node import CLIENT, LIBRARY, ROOT, needs_packages, run_node

GZIPPED_BYTES_MAX = 25_000
"""Of all that a page loads."""


@pytest.mark.parametrize("file", sorted((CLIENT / "tests").glob("*.test.mjs")), ids=lambda file: file.name)
def test_its_own_tests_pass(file: Path) -> None:
    said = run_node("--test", "--test-reporter=tap", file)
    (count,) = re.findall(r"^# pass (\d+)$", said, re.MULTILINE)
    assert int(count) > 0


def test_all_that_a_page_loads_is_small() -> None:
    library = LIBRARY.read_bytes()
    assert re.findall(rb"""(?:from|import)\s*\(?["'][^"']+["']""", library) == []
    assert len(gzip.compress(library)) <= GZIPPED_BYTES_MAX


def test_what_is_loaded_was_made_of_what_is_written() -> None:
    """`npm run build` makes it anew; it needs npm's packages, which this test does not."""
    sources = sorted((CLIENT / "src").glob("*.js"))
    made_of = hashlib.sha256()
    for path in (*sources, CLIENT / "package.json"):
        made_of.update(path.read_bytes())
    second_line = LIBRARY.read_text(encoding="utf-8").splitlines()[1]
    assert second_line == f"// Made by scripts/build.mjs of src/; sha256 {made_of.hexdigest()}."


@needs_packages
def test_what_is_loaded_is_what_its_sources_give() -> None:
    run_node("scripts/build.mjs", "--check")


@needs_packages
def test_its_types_are_those_of_its_sources() -> None:
    run_node("node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


def test_its_codes_are_those_of_the_node() -> None:
    run_node("scripts/codes.mjs", "--check")


def test_its_parameters_are_those_of_the_protocol() -> None:
    source = (CLIENT / "src" / "parameters.js").read_text(encoding="utf-8")
    written = {name: int(value) for name, value in re.findall(r"^  (\w+): (\d+),$", source, re.MULTILINE)}
    assert written == Parameters().model_dump()


def test_a_chain_s_name_is_what_genesis_takes() -> None:
    source = (CLIENT / "src" / "parameters.js").read_text(encoding="utf-8")
    assert re.findall("^export const CHAIN_ID = /(.+)/;$", source, re.MULTILINE) == [CHAIN_ID_PATTERN]


def test_the_lock_file_names_hashes_and_no_addresses_of_packages() -> None:
    lock = json.loads((CLIENT / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
    wanted = json.loads((CLIENT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_its_licence_is_the_projects() -> None:
    assert (CLIENT / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
