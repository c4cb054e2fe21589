"""Reading the settings again while the node runs: what can change does, the rest waits for a restart, and
both are told.

A part that takes new values registers for its settings, and is asked in two steps: first to prepare, where it may
refuse (a certificate that cannot be read), then to change, where it may not. So one thing that is wrong leaves
everything as it was; but for settings that nothing else hangs on (a map of the web app), which stay by themselves as
they were, and are told. Which settings can change says their model (`RELOADABLE`); one that nobody has registered for
waits as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import structlog
import trio
from pydantic import BaseModel

from step_node.errors import StepNodeError
from step_node.home.config import NodeConfig
from step_node.home.config_file import shown_text
from step_node.home.config_sources import Setting, settings_of

log = structlog.get_logger("node")

_M = TypeVar("_M", bound=BaseModel)

Change: TypeAlias = Callable[[], None]
Prepare: TypeAlias = Callable[[NodeConfig], Change]
"""Takes the new settings, and gives what makes them hold. Raises StepNodeError if they cannot."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What has become of new settings: which hold from now on, which only after a restart, which stay as they were
    while the others are taken, and why; or why all are refused."""

    changed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()
    refused: str | None = None


class Reloader:
    """See the module's docstring. `load` reads the settings from all their sources; it may block, and runs on a thread.

    `reload` is for the event loop: on SIGHUP, and when somebody asks for it.
    """

    def __init__(self, in_force: NodeConfig, load: Callable[[], NodeConfig]) -> None:
        self._in_force = in_force
        self._load = load
        self._prepare: list[Prepare] = []
        self._alone: dict[str, Prepare] = {}
        self._registered: set[str] = set()
        self._one_at_a_time = trio.Lock()

    @property
    def in_force(self) -> NodeConfig:
        """The settings that hold."""
        return self._in_force

    def register(self, names: Iterable[str], prepare: Prepare) -> None:
        """Have the settings of these names taken by `prepare`. Raises ValueError for one that cannot change.

        It is asked at every reload, whether they have changed or not: a file that one names may have.
        """
        known = {setting.name for setting in settings_of(NodeConfig) if setting.is_reloadable}
        unknown = set(names) - known
        if unknown:
            raise ValueError(f"no settings that can change: {', '.join(sorted(unknown))}")
        self._registered |= set(names)
        self._prepare.append(prepare)

    def register_alone(self, name: str, prepare: Prepare) -> None:
        """As `register`, for one setting that stays as it was where `prepare` refuses it, while all others are
        taken."""
        self.register([name], lambda _: _nothing)
        self._alone[name] = prepare

    async def reload(self) -> Reloaded:
        """Read the settings again, change what can change, and log what came of it."""
        async with self._one_at_a_time:
            try:
                read = await trio.to_thread.run_sync(self._load)
                different = [
                    setting for setting in settings_of(NodeConfig) if setting.of(read) != setting.of(self._in_force)
                ]
                changing = [setting for setting in different if setting.name in self._registered]
                waiting = [setting for setting in different if setting.name not in self._registered]
                wanted = _with(self._in_force, read, changing)
                alone, not_taken = self._prepared_alone(wanted)
                changing = [setting for setting in changing if setting.name not in not_taken]
                wanted = _with(self._in_force, read, changing)
                changes = [*alone, *(prepare(wanted) for prepare in self._prepare)]
            except StepNodeError as error:
                log.error("the settings stay as they were: they cannot be taken", reason=str(error))
                return Reloaded(refused=str(error))
            before, self._in_force = self._in_force, wanted
            for change in changes:
                change()
        for setting in changing:
            was, is_now = shown_text(setting, before), shown_text(setting, wanted)
            log.info("a setting has changed", setting=setting.name, was=was, is_now=is_now)
        for setting in waiting:
            log.warning("a setting has changed that holds only after a restart", setting=setting.name)
        for name, reason in not_taken.items():
            log.error("a setting stays as it was: it cannot be taken", setting=name, reason=reason)
        log.info(
            "the settings have been read again",
            changed=len(changing),
            need_restart=len(waiting),
            not_taken=len(not_taken),
        )
        told = (tuple(one.name for one in changing), tuple(one.name for one in waiting), tuple(not_taken.values()))
        return Reloaded(*told)

    def _prepared_alone(self, wanted: NodeConfig) -> tuple[list[Change], dict[str, str]]:
        changes: list[Change] = []
        not_taken: dict[str, str] = {}
        for name, prepare in self._alone.items():
            try:
                changes.append(prepare(wanted))
            except StepNodeError as error:
                not_taken[name] = str(error)
        return changes, not_taken


def _nothing() -> None:
    """All that there is to change is done by another."""


def _with(old: NodeConfig, new: NodeConfig, settings: Iterable[Setting]) -> NodeConfig:
    """`old`, with the values of `new` in these settings."""
    result = old
    for setting in settings:
        result = _put(result, setting.path, setting.of(new))
    return result


def _put(model: _M, path: tuple[str, ...], value: object) -> _M:
    first, *others = path
    inner = _put(getattr(model, first), tuple(others), value) if others else value
    return model.model_copy(update={first: inner})
