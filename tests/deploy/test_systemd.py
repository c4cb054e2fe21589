"""The units in deploy/systemd, as systemd reads them. What they keep from a node, no test here can try: that needs a
machine whose first process is systemd."""

from __future__ import annotations

import inspect
import pkgutil
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

import step_node
from step_node.errors import StepNodeError

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
NODE_UNIT = (UNITS / "step-node.service").read_text(encoding="utf-8")
EXPOSURE_MAX = 2.0
"""Of 10, by `systemd-analyze security`; a service without any hardening has 9.6."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def _setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", NODE_UNIT, re.MULTILINE)


@needs_systemd
@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.iterdir()))
def test_a_unit_is_one_that_systemd_understands(name: str, tmp_path: Path) -> None:
    for path in UNITS.iterdir():
        # The program is not installed here, and systemd asks whether it is.
        text = re.sub(r"^(ExecStart=)\S+", r"\1/bin/true", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    # Units of the machine itself that depend on one another may be told of too; they are not ours.
    assert [line for line in verified.stderr.splitlines() if "step-" in line] == []


@needs_systemd
def test_the_node_is_shut_in() -> None:
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / "step-node.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    (exposure,) = re.findall(r"Overall exposure level for step-node\.service: ([\d.]+)", told.stdout)
    assert float(exposure) <= EXPOSURE_MAX


def test_what_no_restart_mends_is_not_restarted() -> None:
    statuses = {2}  # wrong usage, by the command line's library
    for found in pkgutil.walk_packages(step_node.__path__, "step_node."):
        if found.name.endswith("__main__"):
            continue
        for one in vars(import_module(found.name)).values():
            if inspect.isclass(one) and issubclass(one, StepNodeError):
                statuses.add(one.exit_status)
    (prevented,) = _setting("RestartPreventExitStatus")
    assert {int(status) for status in prevented.split()} == statuses - {StepNodeError.exit_status}


def test_a_node_may_open_more_files_than_it_uses() -> None:
    (limit,) = _setting("LimitNOFILE")
    assert int(limit) >= 65_536


def test_no_secret_is_an_argument_or_a_variable_of_the_unit() -> None:
    assert _setting("Environment") == ["STEP_KEYSTORE__PASSWORD_FILE=%d/keystore-password"]
    assert _setting("LoadCredential") == ["keystore-password:/etc/step-node/keystore-password"]


def test_all_units_run_the_program_that_the_page_installs() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    programs = {
        program
        for path in UNITS.iterdir()
        for program in re.findall(r"^ExecStart=(\S+)", path.read_text(), re.MULTILINE)
    }
    assert programs == {"/opt/step-node/bin/step-node"}
    assert "python3 -m venv /opt/step-node\n" in page
