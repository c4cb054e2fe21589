"""Runtime switches: what an operator can turn off, and on again, without a restart. A closed list.

Beside them stands of how many accounts the intake takes anything: a share of them, in steps (`INTAKE_PERCENTS`), which
an operator sets, or a guardrail that is broken.

A switch is kept in the home, with who has thrown it, when and why, before anything obeys it: what was turned off in the
night is off after the restart in the morning. A file that cannot be read ends the start, since the node would else do
again what somebody has forbidden it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step_node.durable.atomic_file import write_atomically
from step_node.errors import StepNodeError, describe_validation_error

FILE_BYTES_MAX: Final = 65_536
"""A longer file is not one that this module has written, and is refused."""

WHY_CHARACTERS_MAX: Final = 500
"""Of a reason for throwing a switch, or for another command."""


IntakePercent = Literal[0, 10, 50, 100]
INTAKE_PERCENTS: Final[tuple[IntakePercent, ...]] = (0, 10, 50, 100)
"""Of how many of a hundred accounts the intake may take proofs and transfers. Whoever is among the ten is among the
fifty."""


class Switch(StrEnum):
    """What can be turned off."""

    INTAKE = "intake"
    TRANSFERS = "transfers"
    EVENTS = "events"
    MAPS = "maps"
    SNAPSHOTS = "snapshots"
    GUARDRAILS = "guardrails"
    FAIRNESS = "fairness"
    TRENDING = "trending"
    PLAUSIBILITY = "plausibility"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a switch does while it is on, in a sentence, and whether it is on unless somebody says otherwise."""

    sentence: str
    is_on: bool = True


MEANINGS: Final[Mapping[Switch, Meaning]] = MappingProxyType(
    {
        Switch.INTAKE: Meaning("proofs and transfers are taken from clients"),
        Switch.TRANSFERS: Meaning("transfers are taken from clients"),
        Switch.EVENTS: Meaning("the live feed is served"),
        Switch.MAPS: Meaning("what maps ask for, below /mesh, is answered"),
        Switch.SNAPSHOTS: Meaning("peers are given snapshots of the state"),
        Switch.GUARDRAILS: Meaning("each batch is gone over by the guardrails, and /guardrails is answered"),
        Switch.FAIRNESS: Meaning("reports of fairness are made, and /fairness is answered"),
        Switch.TRENDING: Meaning("what trends, and what is plausible, is computed, and /trending is answered"),
        Switch.PLAUSIBILITY: Meaning("what signals say of accounts and triangles, below /plausibility, is answered"),
    }
)


class Thrown(BaseModel):
    """The last time that a switch was thrown: which way, by whom, when, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    is_on: bool
    who: Annotated[str, Field(min_length=1, max_length=100)]
    when_ms: Annotated[int, Field(ge=0, lt=2**53)]
    why: Annotated[str, Field(max_length=WHY_CHARACTERS_MAX)] = ""


class ShareSet(BaseModel):
    """The last time that the intake's share was set: to how many of a hundred accounts, by whom, when, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    percent: IntakePercent
    who: Annotated[str, Field(min_length=1, max_length=100)]
    when_ms: Annotated[int, Field(ge=0, lt=2**53)]
    why: Annotated[str, Field(max_length=WHY_CHARACTERS_MAX)] = ""


class _SwitchesFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    switches: dict[Switch, Thrown]
    intake_share: Annotated[ShareSet | None, Field(exclude_if=lambda share: share is None)] = None


class Switches:
    """All switches of a node. `path` is the file that keeps them; without one they last as long as the process."""

    def __init__(
        self,
        path: Path | None = None,
        thrown: Mapping[Switch, Thrown] | None = None,
        share: ShareSet | None = None,
    ) -> None:
        self._path = path
        self._thrown = dict(thrown or {})
        self._share = share
        self._one_at_a_time = Lock()
        """An operator and a guardrail may both change something, each on a thread."""

    @classmethod
    def open(cls, path: Path) -> Switches:
        """Those that `path` keeps. Raises `StepNodeError` for a file that cannot be used."""
        kept = _read(path)
        return cls(path, kept.switches, kept.intake_share)

    def is_on(self, switch: Switch) -> bool:
        """Whether it is on now."""
        thrown = self._thrown.get(switch)
        return MEANINGS[switch].is_on if thrown is None else thrown.is_on

    def states(self) -> dict[str, bool]:
        """Each by its name, on or off."""
        return {switch.value: self.is_on(switch) for switch in Switch}

    def thrown(self, switch: Switch) -> Thrown | None:
        """The last time that it was thrown; None if nobody ever has."""
        return self._thrown.get(switch)

    def throw(self, switch: Switch, thrown: Thrown) -> None:
        """Turn it on or off. It blocks until the file is on disk, and nothing obeys before. Raises OSError."""
        with self._one_at_a_time:
            changed = self._thrown | {switch: thrown}
            self._write(_SwitchesFile(switches=changed, intake_share=self._share))
            self._thrown = changed

    @property
    def intake_percent(self) -> IntakePercent:
        """Of how many of a hundred accounts anything is taken now."""
        return 100 if self._share is None else self._share.percent

    @property
    def share_set(self) -> ShareSet | None:
        """The last time that this was set; None if nobody ever has."""
        return self._share

    def set_share(self, share: ShareSet) -> None:
        """Take from so many accounts from now on. As `throw`, it blocks until that is on disk. Raises OSError."""
        with self._one_at_a_time:
            self._write(_SwitchesFile(switches=self._thrown, intake_share=share))
            self._share = share

    def lower_share(self, share: ShareSet) -> bool:
        """As `set_share`, unless so few are taken from already, as somebody else may have said just now: whether it has
        changed. Raises OSError."""
        with self._one_at_a_time:
            if share.percent >= self.intake_percent:
                return False
            self._write(_SwitchesFile(switches=self._thrown, intake_share=share))
            self._share = share
            return True

    def _write(self, content: _SwitchesFile) -> None:
        if self._path is not None:
            write_atomically(self._path, content.model_dump_json(indent=1).encode() + b"\n")


def _read(path: Path) -> _SwitchesFile:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return _SwitchesFile(switches={})
    except OSError as error:
        raise _unusable(path, error.strerror or os.strerror(error.errno or 0)) from error
    if len(data) > FILE_BYTES_MAX:
        raise _unusable(path, f"it has more than {FILE_BYTES_MAX} bytes")
    try:
        return _SwitchesFile.model_validate_json(data)
    except ValidationError as error:
        raise _unusable(path, describe_validation_error(error)) from error


def _unusable(path: Path, reason: str) -> StepNodeError:
    return StepNodeError(
        f"{path}: the switches cannot be read: {reason}. Put the file right; or move it away, which sets every switch"
        " to its default, and throw those again that were off"
    )
