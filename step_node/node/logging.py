"""Structured logs on standard error: the node's own through structlog, the libraries' through the standard library.

Both come to one `Log`. It holds back what strangers repeat (`node.log_limits`), takes down the rest so that it can be
written later (`node.log_lines`), and leaves it to a thread (`node.line_writer`). Nothing of that waits for whoever
reads the log, and no error of writing it reaches those who log.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from logging.handlers import QueueHandler
from traceback import TracebackException
from typing import Any, Final, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from step_node.home.config import LogConfig
from step_node.node.line_writer import LINES_WAITING_MAX, STANDARD_ERROR, LineLoss, LineWriter
from step_node.node.log_limits import OWN_LOGGERS, LogLimits, Site
from step_node.node.log_lines import error_of, plain, plain_text, rendered, renderer, traceback_of

LIMITED_LINES_WAITING_MAX: Final = LINES_WAITING_MAX // 2
"""Of lines that strangers can set off; the rest of the queue is for those of consensus."""

_OWN_LIBRARY_LOGGER: Final = "p2p"
"""The floor below logs through the standard library, since it knows no configuration."""

_CRITICAL: Final = "critical"

_OF_EACH_LINE: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_WITH_CONTEXT: Final[tuple[Processor, ...]] = (structlog.contextvars.merge_contextvars, *_OF_EACH_LINE)


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """What has become of the lines that are not in the log."""

    lost: dict[LineLoss, int]
    summed_up: int


class Log:
    """Takes events from any thread, and has them written to `descriptor`."""

    def __init__(
        self,
        settings: LogConfig,
        *,
        descriptor: int = STANDARD_ERROR,
        is_terminal: bool = False,
        write: Callable[[int, memoryview], int] = os.write,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._render = renderer(settings.format, is_terminal=is_terminal)
        self._limits = LogLimits(monotonic)
        self.writer = LineWriter(
            descriptor,
            name="log",
            tell_lost=self._tell_lost,
            due=self._due,
            write=write,
            monotonic=monotonic,
        )

    def take(self, logger: str, place: str, event: EventDict) -> None:
        """Have this event written, unless its like has been often enough.

        `place` is where in the code of that logger it comes from.
        """
        error = error_of(event.pop("exc_info", None))
        level, said = str(event["level"]), plain_text(str(event["event"]))
        if logger in OWN_LOGGERS or level == _CRITICAL:
            self.writer.put(partial(rendered, self._render, *_taken_down(event, error)))
        elif self._limits.admits((logger, place), level, said):
            line = partial(self._rendered_if_affordable, (logger, place), *_taken_down(event, error))
            self.writer.put(line, waiting_max=LIMITED_LINES_WAITING_MAX)

    def statistics(self) -> LogStatistics:
        """What has become of the lines that are not in the log."""
        return LogStatistics(dict(self.writer.lost()), self._limits.held_back_total)

    # --- on the writer's thread -----------------------------------------------------------------------------------

    def _rendered_if_affordable(self, site: Site, event: EventDict, taken: TracebackException | None) -> bytes:
        data = rendered(self._render, event, taken)
        return data if self._limits.affords(site, event["level"], event["event"], len(data)) else b""

    def _due(self, is_last: bool) -> Iterator[bytes]:
        for held_back in self._limits.take_over(is_last=is_last):
            data = self._line(
                held_back.level,
                f"… {held_back.lines:,} more in the last {held_back.seconds} s",
                logger=held_back.logger,
                latest=held_back.latest_event,
            )
            self._limits.charge(len(data))
            yield data

    def _tell_lost(self, count: int) -> bytes:
        return self._line("warning", f"… {count:,} lines are not in the log: it was full, or nobody read it")

    def _line(self, level: str, text: str, **values: object) -> bytes:
        return rendered(self._render, _processed({"event": text, **values}, level, _OF_EACH_LINE), None)


def _taken_down(event: EventDict, error: BaseException | None) -> tuple[EventDict, TracebackException | None]:
    return {str(name): plain(value) for name, value in event.items()}, None if error is None else traceback_of(error)


def _processed(event: EventDict, level: str, processors: Sequence[Processor]) -> EventDict:
    for processor in processors:
        event = cast(EventDict, processor(None, level, event))
    return event


class _OwnLogger:
    """What structlog's loggers wrap: it knows who logs."""

    def __init__(self, log: Log, name: str = "") -> None:
        self._log = log
        self._name = name

    def take(self, event: EventDict) -> None:
        # The node's own events are constants, each of one place; what varies is in their values.
        self._log.take(self._name, event["event"], event)

    debug = info = warning = error = critical = take


class _LibraryLines(QueueHandler):
    """The standard library's records, handed to the log where others would be queued."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)  # type: ignore[arg-type]
        self._log = log

    def prepare(self, record: logging.LogRecord) -> Any:
        event: EventDict = {"event": record.getMessage(), "exc_info": record.exc_info, "logger": record.name}
        event = _processed(event, record.levelname.lower(), _WITH_CONTEXT)
        return record.name, f"{record.pathname}:{record.lineno}", event

    def enqueue(self, record: Any) -> None:
        self._log.take(*record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the name is the library's
        """Not its own way, which is to print a traceback on standard error."""
        del record
        self._log.writer.count_lost(LineLoss.UNREADABLE)


def _as_it_is(_logger: WrappedLogger, _level: str, event: EventDict) -> tuple[tuple[EventDict], dict[str, object]]:
    """The last processor: hands the event itself to the wrapped logger."""
    return (event,), {}


_of_this_process: Log | None = None


def log_statistics() -> LogStatistics:
    """Of this process' log; zeros if none has been set up."""
    return LogStatistics(dict.fromkeys(LineLoss, 0), 0) if _of_this_process is None else _of_this_process.statistics()


@contextmanager
def logged_to_stderr(settings: LogConfig) -> Iterator[Log]:
    """Set up logging for the process, once and before anything logs; leaving has written all, as far as it can be.

    Libraries log much about every peer and message, and have a level of their own: only their warnings are kept unless
    somebody asks for more.
    """
    global _of_this_process
    log = Log(settings, is_terminal=os.isatty(STANDARD_ERROR))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    structlog.configure(
        processors=[*_WITH_CONTEXT, _as_it_is],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(_OwnLogger, log),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_LibraryLines(log)]
    root.setLevel(max(level, logging.getLevelNamesMapping()[settings.libraries.upper()]))
    logging.getLogger(_OWN_LIBRARY_LOGGER).setLevel(level)
    logging.captureWarnings(True)
    _of_this_process = log
    with log.writer:
        yield log
