"""The web app as sources: what is served was made of them, its types hold, and its tests without a browser pass."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.web.app import WEB, made_of, needs_packages, run_in_app, sources_hash


@needs_packages
@pytest.mark.parametrize("file", sorted((WEB / "tests").glob("*.test.ts")), ids=lambda file: file.name)
def test_its_own_tests_pass(file: Path) -> None:
    said = run_in_app("scripts/test.mjs", file.relative_to(WEB))
    (count,) = re.findall(r"^# pass (\d+)$", said, re.MULTILINE)
    assert int(count) > 0


@needs_packages
def test_its_types_hold() -> None:
    for project in ("tsconfig.json", "tests/tsconfig.json", "src/service-worker/tsconfig.json"):
        run_in_app("node_modules/typescript/bin/tsc", "--project", project)


def test_what_is_served_was_made_of_what_is_written() -> None:
    """`npm run build` in clients/web makes it anew; it needs npm's packages, which this test does not."""
    assert made_of() == sources_hash(), "step_node/api/web is stale: npm run build, in clients/web"


@needs_packages
def test_what_is_served_is_what_its_sources_give() -> None:
    run_in_app("scripts/build.mjs", "--check")


def test_the_lock_file_names_hashes_and_no_addresses_of_packages() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
    wanted = json.loads((WEB / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
