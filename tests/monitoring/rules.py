"""The shipped rules, read; and the same rules shrunk, so that a test sees in seconds what takes an operator hours.

What is shrunk is time alone: each duration of an expression (`[15m]`, `offset 6h`) and each `for:` is divided by
`DIVISOR`. None becomes longer than `WINDOW_SECONDS_MAX`, for which somebody would have to wait, and of an expression
none shorter than `WINDOW_SECONDS_MIN`, in which Prometheus must find a few samples. Thresholds, labels and the
expressions' shape are the shipped file's.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "deploy" / "prometheus" / "rules"
RULE_FILES: Final = tuple(sorted(RULES.glob("*.yml")))

DIVISOR: Final = 20
WINDOW_SECONDS_MIN: Final = 5
WINDOW_SECONDS_MAX: Final = 60

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_WINDOW: Final = re.compile(r"(\[|offset )(\d+)([smhd])\b")


@dataclass(frozen=True)
class Alert:
    """One of the rules."""

    name: str
    expr: str
    lasts: str
    severity: str
    summary: str
    runbook: str


def groups_of(path: Path) -> list[dict[str, Any]]:
    """The groups of a file of rules."""
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return groups


def shipped_alerts() -> tuple[Alert, ...]:
    """All of them."""
    return tuple(
        Alert(
            name=rule["alert"],
            expr=rule["expr"],
            lasts=rule.get("for", "0s"),
            severity=rule["labels"]["severity"],
            summary=rule["annotations"]["summary"],
            runbook=rule["annotations"]["runbook"],
        )
        for path in RULE_FILES
        for group in groups_of(path)
        for rule in group["rules"]
        if "alert" in rule
    )


def shipped_expressions() -> dict[str, str]:
    """The expression of each rule, by what it records or alerts."""
    return {
        rule.get("alert") or rule["record"]: rule["expr"]
        for path in RULE_FILES
        for group in groups_of(path)
        for rule in group["rules"]
    }


def shrunk(expr: str) -> str:
    """The expression with its durations shrunk; see the module's docstring."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match[2]) * _SECONDS[match[3]] / DIVISOR
        return f"{match[1]}{int(min(max(seconds, WINDOW_SECONDS_MIN), WINDOW_SECONDS_MAX))}s"

    return _WINDOW.sub(shorter, expr)


def write_shrunk_rules(folder: Path) -> None:
    """The shipped files of rules with their durations shrunk, in `folder`; evaluated every second."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in RULE_FILES:
        groups = groups_of(path)
        for group in groups:
            group["interval"] = "1s"
            for rule in group["rules"]:
                rule["expr"] = shrunk(rule["expr"])
                if "for" in rule:
                    rule["for"] = f"{min(max(_seconds(rule['for']) // DIVISOR, 1), WINDOW_SECONDS_MAX)}s"
        (folder / path.name).write_text(yaml.safe_dump({"groups": groups}, sort_keys=False), encoding="utf-8")


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def program(name: str, package: str) -> str:
    """Where the program is; the test is skipped, naming it, where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt install {package})")
    return found
