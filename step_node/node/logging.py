"""Structured logs on standard error, or in a file: the node's own through structlog, the libraries' through the
standard library.

Both come to one `Log`. It holds back what strangers repeat (`node.log_limits`), takes down the rest so that it can be
written later (`node.log_lines`), and leaves it to a thread (`node.line_writer`). Nothing of that waits for whoever
reads the log, and no error of writing it reaches those who log.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from logging.handlers import QueueHandler
from pathlib import Path
from traceback import TracebackException
from typing import Any, Final, TypeAlias, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from step_node.errors import StepNodeError
from step_node.home.config import LogConfig, NodeConfig
from step_node.home.log_levels import OWN_PARTS, LogLevelName, level_named, parse_levels
from step_node.node.line_writer import LINES_WAITING_MAX, STANDARD_ERROR, LineLoss, LineWriter
from step_node.node.log_file import FileBounds, LogFile
from step_node.node.log_limits import OWN_LOGGERS, LogLimits, Site
from step_node.node.log_lines import error_of, plain, plain_text, rendered, renderer, traceback_of
from step_node.node.recent_lines import RecentLines

LIMITED_LINES_WAITING_MAX: Final = LINES_WAITING_MAX // 2
"""Of lines that strangers can set off; the rest of the queue is for those of consensus."""

_OWN_IN_THE_LIBRARY: Final = frozenset({"p2p", "step_node"})
"""Own parts that log through the standard library: the floor below knows no configuration, the API's server is wanted
elsewhere too."""
_THROUGH_STRUCTLOG: Final = OWN_PARTS - _OWN_IN_THE_LIBRARY

_CRITICAL: Final = "critical"

_NUMBERS: Final = logging.getLevelNamesMapping()

TellError: TypeAlias = Callable[[str, str, str, BaseException | None], None]
"""Told of a line's part, level, text and error."""

LOG_SETTINGS: Final = ("log.level", "log.levels", "log.libraries", "log.file_bytes_max", "log.file_count")
"""What `Log.prepare` takes."""

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


class Levels:
    """How grave a line of each part must be to be written. To be set and asked from any thread.

    A line that is not written costs one look into a dictionary: nothing of it is made.
    """

    def __init__(self, level: LogLevelName, parts: Mapping[str, LogLevelName], libraries: LogLevelName) -> None:
        self._told_to_the_library: set[str] = set()
        self._set(level, parts, libraries)

    @classmethod
    def of(cls, settings: LogConfig) -> Levels:
        """As the settings say."""
        return cls(settings.level, parse_levels(settings.levels), settings.libraries)

    def number(self, part: str) -> int:
        """The least that is written of a part of the node's, as the standard library counts."""
        return self._numbers.get(part, self._number)

    def text(self) -> str:
        """All of them, as `info,libraries=warning,consensus=debug`."""
        parts = "".join(f",{part}={level}" for part, level in sorted(self._parts.items()))
        return f"{self._level},libraries={self._libraries}{parts}"

    def take(self, settings: LogConfig) -> None:
        """Set all of them, as the settings say."""
        self._set(settings.level, parse_levels(settings.levels), settings.libraries)
        self.tell_the_library()

    def change(self, text: str) -> None:
        """Set the level of all parts (`debug`), or of some (`consensus=debug,p2p=info`), and leave the others.

        Raises ValueError with the rule; then nothing has changed.
        """
        if "=" in text:
            self._set(self._level, self._parts | parse_levels(text), self._libraries)
        else:
            self._set(level_named(text.strip()), self._parts, self._libraries)
        self.tell_the_library()

    def tell_the_library(self) -> None:
        """Tell the standard library, which filters for itself."""
        logging.getLogger().setLevel(max(self._number, _NUMBERS[self._libraries.upper()]))
        named = (self._parts.keys() - _THROUGH_STRUCTLOG) | _OWN_IN_THE_LIBRARY
        for part in self._told_to_the_library - named:
            logging.getLogger(part).setLevel(logging.NOTSET)
        for part in named:
            logging.getLogger(part).setLevel(self.number(part))
        self._told_to_the_library = named

    def _set(self, level: LogLevelName, parts: Mapping[str, LogLevelName], libraries: LogLevelName) -> None:
        self._level, self._parts, self._libraries = level, dict(parts), libraries
        self._number = _NUMBERS[level.upper()]
        self._numbers = {part: _NUMBERS[name.upper()] for part, name in parts.items()}


class Log:
    """Takes events from any thread, and has them written to `descriptor`, or to a file."""

    def __init__(
        self,
        settings: LogConfig,
        *,
        descriptor: int = STANDARD_ERROR,
        file: LogFile | None = None,
        is_terminal: bool = False,
        write: Callable[[int, memoryview], int] = os.write,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._render = renderer(settings.format, is_terminal=is_terminal)
        self._limits = LogLimits(monotonic)
        self.levels = Levels.of(settings)
        self.file = file
        self.recent = RecentLines()
        """The last lines, once somebody has said how many."""
        self.tell_error: TellError | None = None
        """Who is told of errors besides (`node.error_reports`)."""
        self.writer = LineWriter(
            descriptor if file is None else file.descriptor,
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
        if self.tell_error is not None:
            self.tell_error(logger, level, said, error)
        if logger in OWN_LOGGERS or level == _CRITICAL:
            self.writer.put(partial(self._rendered, *_taken_down(event, error)))
        elif self._limits.admits((logger, place), level, said):
            line = partial(self._rendered_if_affordable, (logger, place), *_taken_down(event, error))
            self.writer.put(line, waiting_max=LIMITED_LINES_WAITING_MAX)

    def prepare(self, config: NodeConfig) -> Callable[[], None]:
        """Take new levels and bounds, and open the file anew: another program may have moved it (`node.reload`)."""

        def change() -> None:
            self.levels.take(config.log)
            if self.file is not None:
                self.file.bounds = file_bounds(config.log)
                self.file.reopen()

        return change

    def statistics(self) -> LogStatistics:
        """What has become of the lines that are not in the log."""
        return LogStatistics(dict(self.writer.lost()), self._limits.held_back_total)

    # --- on the writer's thread -----------------------------------------------------------------------------------

    def _rendered_if_affordable(self, site: Site, event: EventDict, taken: TracebackException | None) -> bytes:
        data = rendered(self._render, event, taken)
        if not self._limits.affords(site, event["level"], event["event"], len(data)):
            return b""
        self.recent.add(data)
        return data

    def _rendered(self, event: EventDict, taken: TracebackException | None) -> bytes:
        data = rendered(self._render, event, taken)
        self.recent.add(data)
        return data

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
    """What structlog's loggers wrap: it knows who logs, and how grave that must be."""

    def __init__(self, log: Log, name: str = "") -> None:
        self._log = log
        self._name = name

    def take(self, event: EventDict) -> None:
        # The node's own events are constants, each of one place; what varies is in their values.
        event.setdefault("logger", self._name)
        self._log.take(self._name, event["event"], event)

    def is_enabled_for(self, level: int) -> bool:
        """Whether a line of this level is written."""
        return level >= self._log.levels.number(self._name)

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


class _PartLogger(structlog.make_filtering_bound_logger(logging.DEBUG)):  # type: ignore[misc]
    """structlog's logger, whose level is that of its part, and may change."""

    def _proxy_to_logger(self, method_name: str, event: str | None = None, **values: Any) -> Any:
        if self._logger.is_enabled_for(_NUMBERS[method_name.upper()]):
            return super()._proxy_to_logger(method_name, event, **values)
        return None


_of_this_process: Log | None = None


def keep_recent_lines(lines_max: int) -> None:
    """Keep so many of this process' last lines in memory from now on."""
    if _of_this_process is not None:
        _of_this_process.recent.keep(lines_max)


def levels_of_this_process() -> Levels | None:
    """Those of its log; None if none has been set up."""
    return None if _of_this_process is None else _of_this_process.levels


def recent_lines() -> str:
    """The last lines of this process' log; none if nobody has said how many to keep."""
    return "" if _of_this_process is None else _of_this_process.recent.text()


def log_statistics() -> LogStatistics:
    """Of this process' log; zeros if none has been set up."""
    return LogStatistics(dict.fromkeys(LineLoss, 0), 0) if _of_this_process is None else _of_this_process.statistics()


def log_levels() -> Levels | None:
    """Of this process' log, to be shown and changed; None if none has been set up."""
    return None if _of_this_process is None else _of_this_process.levels


@contextmanager
def logging_set_up(settings: LogConfig, *, home: Path = Path()) -> Iterator[Log]:
    """Set up logging for the process, once and before anything logs; leaving has written all, as far as it can be.

    Libraries log much about every peer and message, and have a level of their own: only their warnings are kept unless
    somebody asks for more. `home` is where a relative `log.file` begins. Raises StepNodeError if that cannot be opened.
    """
    global _of_this_process
    file = None if settings.file is None else _open_file(home / settings.file, file_bounds(settings))
    log = Log(settings, file=file, is_terminal=file is None and os.isatty(STANDARD_ERROR))
    structlog.configure(
        processors=[*_WITH_CONTEXT, _as_it_is],
        wrapper_class=_PartLogger,
        logger_factory=partial(_OwnLogger, log),
        cache_logger_on_first_use=True,
    )
    logging.getLogger().handlers = [_LibraryLines(log)]
    log.levels.tell_the_library()
    logging.captureWarnings(True)
    _of_this_process = log
    with log.writer, _stray_errors_logged():
        yield log


def file_bounds(settings: LogConfig) -> FileBounds:
    """How large the file of the log may become."""
    return FileBounds(settings.file_bytes_max, settings.file_count)


def _open_file(path: Path, bounds: FileBounds) -> LogFile:
    try:
        return LogFile(path, bounds)
    except OSError as error:
        raise StepNodeError(f"log.file: {path}: cannot be written: {error.strerror}") from error


@contextmanager
def _stray_errors_logged() -> Iterator[None]:
    """Have those in the log, too, that Python prints by itself: of threads, and of what nobody waits for."""
    logger = logging.getLogger("step_node")

    def of_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None and told.exc_type is not SystemExit:
            logger.critical("a thread has ended with an error", exc_info=told.exc_value)

    def unraisable(told: sys.UnraisableHookArgs) -> None:
        if told.exc_value is not None:
            logger.error("an error that nobody could be told of", exc_info=told.exc_value)

    previous = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = of_thread, unraisable
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = previous
