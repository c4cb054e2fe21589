"""Errors that a person can act on become one line each on standard error, and exit status 1."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

FAILURE = 1


class CommandError(Exception):
    """Something the caller of a command can put right; the message names the thing and the rule."""


class ErrorLinesGroup(TyperGroup):
    """The top of the commands; see the module's docstring."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, printing `error: …` for what a person can act on."""
        with errors_told(print_errors):
            return super().invoke(ctx)


@contextmanager
def errors_told(tell: Callable[[Sequence[str]], None]) -> Iterator[None]:
    """Make an exit of what a person can act on, and `tell` it, a line for each error. Raises `typer.Exit`."""
    try:
        yield
    except BaseExceptionGroup as group:
        from step_node.errors import leaves

        # A nursery wraps what its tasks raise. One bug among them is a bug.
        errors = list(leaves(group))
        if not all(isinstance(error, _known_errors()) for error in errors):
            raise
        _fail(tell, *errors)
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # The reader of our output went away (`… | head`), which Click ends quietly.
        _fail(tell, error)
    # Evaluated only when something was raised, so that commands do not import what they do not need.
    except _known_errors() as error:
        _fail(tell, error)


def _known_errors() -> tuple[type[BaseException], ...]:
    from mesh import TriangleIdError
    from p2p.errors import NetworkError
    from step_node.chain.genesis import GenesisError
    from step_node.client import StepClientError
    from step_node.errors import StepNodeError
    from step_node.home.lock import HomeInUse
    from step_node.operations.operation import OperationRefused
    from step_node.proofs.proof import ProofRefused
    from step_node.signing.private_file import KeystoreError

    return (
        CommandError,
        StepNodeError,
        StepClientError,
        GenesisError,
        KeystoreError,
        OperationRefused,
        ProofRefused,
        TriangleIdError,
        HomeInUse,
        NetworkError,
        OSError,
    )


def print_errors(lines: Sequence[str]) -> None:
    """As `error: …` on standard error."""
    try:
        sys.stdout.flush()
        for line in lines:
            typer.echo(f"error: {line}", err=True)
    except OSError:
        # A full disk, or nobody reads it. Python would try again what its streams keep, and make that the exit status.
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115


def _fail(tell: Callable[[Sequence[str]], None], *errors: BaseException) -> NoReturn:
    tell(list(dict.fromkeys(_line(error) for error in errors)))
    raise typer.Exit(max((getattr(error, "exit_status", FAILURE) for error in errors), default=FAILURE))


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
