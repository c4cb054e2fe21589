"""The registry of commands: each has a name, what it asks for, and what does it.

A command is added with one line (`Commands.add`) by whoever has what it needs. What it asks for is a model that reads
strictly, what it answers another; a refusal that the operator can act on is a `CommandRefused`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from step_node.errors import StepNodeError, describe_validation_error
from step_node.home.switches import WHY_CHARACTERS_MAX

NAME_CHARACTERS_MAX = 40
"""Of a command."""


class CommandRefused(StepNodeError):
    """A command cannot be done; the message says what to do."""


class Asked(BaseModel):
    """What a command asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Nothing(Asked):
    """Of a command that needs no arguments."""


class Request(BaseModel):
    """What is sent: one line of JSON. `why` is the operator's word, for the record."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    command: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    arguments: dict[str, Any] = {}
    why: Annotated[str, Field(max_length=WHY_CHARACTERS_MAX)] = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who commands, as the kernel says it; where it does not, the mode of the socket has to do."""

    uid: int | None
    pid: int | None
    user: str

    def __str__(self) -> str:
        return f"{self.user} (uid {self.uid}, pid {self.pid})" if self.uid is not None else self.user


@dataclass(frozen=True, slots=True)
class Order:
    """By whom and why a command is given."""

    caller: Caller
    why: str = ""


A = TypeVar("A", bound=Asked)
Run = Callable[[A, Order], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class _Command:
    asked: type[Asked]
    run: Callable[[Any, Order], Awaitable[BaseModel]]
    is_recorded: bool


class Commands:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._commands: dict[str, _Command] = {}

    def add(self, name: str, asked: type[A], run: Run[A], *, is_recorded: bool = True) -> None:
        """Have `run` do the command of that name, given what it asks for and by whom it is ordered.

        Without `is_recorded` it leaves no trace in the record: only for what changes nothing and a screen asks for all
        the time, above all the log itself, which such traces would fill.
        """
        if name in self._commands or len(name) > NAME_CHARACTERS_MAX:
            raise ValueError(f"{name!r} is a command already, or too long")
        self._commands[name] = _Command(asked, run, is_recorded)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all commands."""
        return tuple(sorted(self._commands))

    def is_recorded(self, name: str) -> bool:
        """Whether this command is written into the record; one that there is not is, too."""
        command = self._commands.get(name)
        return command is None or command.is_recorded

    async def run(self, request: Request, caller: Caller) -> BaseModel:
        """Do it. Raises `CommandRefused`, saying what to do."""
        command = self._commands.get(request.command)
        if command is None:
            raise CommandRefused(
                f"this node has no command {request.command!r}; it has {', '.join(self.names)}. The node may be of"
                " another version than this program"
            )
        try:
            asked = command.asked.model_validate(request.arguments)
        except ValidationError as error:
            raise CommandRefused(f"{request.command}: {describe_validation_error(error)}") from error
        return await command.run(asked, Order(caller, request.why))
