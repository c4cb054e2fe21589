"""Structured logs on standard error: the node's own through structlog, the libraries' through the standard library."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from structlog.typing import Processor

from step_node.home.config import LogConfig

_OWN_LIBRARY_LOGGER: Final = "p2p"
"""The floor below logs through the standard library, since it knows no configuration."""


def configure_logging(settings: LogConfig) -> None:
    """Set up logging for the process; to be called once, before anything logs.

    Libraries log much about every peer: only their warnings are kept, but all of it when the level is `debug`.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(settings)
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level if settings.level == "debug" else max(level, logging.WARNING))
    logging.getLogger(_OWN_LIBRARY_LOGGER).setLevel(level)


def _renderers(settings: LogConfig) -> list[Processor]:
    if settings.format == "json":
        return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
