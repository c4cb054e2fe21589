"""How a node that ends with an error tells it: in its log, in the log's form, also if the error is a bug of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from step_node.cli.error_lines import FAILURE, errors_told, print_errors

if TYPE_CHECKING:
    from step_node.home.config import LogConfig


@contextmanager
def end_told(tell: Callable[[Sequence[str]], None], settings: LogConfig) -> Iterator[None]:
    """Have the errors that end what is within told as the settings of the log say.

    On a console they are left to the caller. A log of JSON on standard error has them, and nothing else stands there; a
    log in a file has them too, and standard error, which it has left, has them as always.
    """
    is_json, is_file = settings.format == "json", settings.file is not None

    def both(lines: Sequence[str]) -> None:
        tell(lines)
        if is_file:
            print_errors(lines)

    with ExitStack() as stack:
        if is_json or is_file:
            stack.enter_context(_Bug(is_told_elsewhere=is_file))
            stack.enter_context(errors_told(both))
        yield


class _Bug:
    """Logs what nobody has foreseen, with its traceback."""

    def __init__(self, *, is_told_elsewhere: bool) -> None:
        self._is_told_elsewhere = is_told_elsewhere

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        import structlog

        if error is None or isinstance(error, typer.Exit | SystemExit | KeyboardInterrupt):
            return
        structlog.get_logger("node").critical("the node ends with an error of its own", exc_info=error)
        if not self._is_told_elsewhere:
            # Python would print the traceback once more, which is not JSON.
            raise typer.Exit(FAILURE) from error
