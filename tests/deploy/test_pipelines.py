"""The pipelines for GitHub and GitLab: both do what `.ci/run` does, and name nothing that is not there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
GITHUB = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text(encoding="utf-8"))
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def _on_github(job: str) -> list[str]:
    return [step["run"] for step in GITHUB["jobs"][job]["steps"] if "run" in step]


def _commands(job: str) -> tuple[list[str], list[str]]:
    """Those of either pipeline, without what is only its own."""
    own = re.compile(
        r'^sudo -E env "PATH=\$PATH" |\$\{\{ matrix\.python \}\}|\$\{PYTHON\}|\$GITHUB_SHA|\$CI_COMMIT_SHA'
    )
    github, gitlab = _on_github(job), GITLAB[job]["script"]
    return [own.sub("", command) for command in github], [own.sub("", command) for command in gitlab]


def test_both_run_the_same_commands() -> None:
    for job in GITHUB["jobs"]:
        on_github, on_gitlab = _commands(job)
        assert on_github == on_gitlab
        assert on_github


def test_the_first_job_is_the_check_of_the_repository() -> None:
    assert _commands("check")[0] == [".ci/run"]


def test_what_they_run_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for job in GITHUB["jobs"]:
        for command in _commands(job)[0]:
            program = command.split()[0]
            if program == "make":
                assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)
            elif program != "docker":
                assert os.access(ROOT / program, os.X_OK), program


def test_every_python_that_is_promised_is_tried() -> None:
    on_github = set(GITHUB["jobs"]["other-pythons"]["strategy"]["matrix"]["python"])
    on_gitlab = {version for row in GITLAB["other-pythons"]["parallel"]["matrix"] for version in row["PYTHON"]}
    first = GITHUB["jobs"]["check"]["steps"][1]["with"]["python-version"]
    low, high = re.findall(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', PYPROJECT)[0]
    assert {first, *on_github} == {first, *on_gitlab} == {f"3.{minor}" for minor in range(int(low), int(high))}
