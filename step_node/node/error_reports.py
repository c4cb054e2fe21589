"""Errors told to a receiver that understands Sentry's protocol, by its SDK, which is imported only if that is wanted.

What is told is bugs and what the node's own log has at `error` or above: the constant text of the line, the part, and
of an error its type, its text and where in the code it came from. No local variables, no values of the line, no
request, no host's name, no lines of code; what the settings and the keys hold is cut out of every text. The SDK is used
as a client and no more: it hooks into nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from step_node import __version__
from step_node.errors import StepNodeError, leaves
from step_node.home.log_levels import OWN_PARTS
from step_node.node.admin.bundle import without_secrets
from step_node.node.logging import TellError

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

REPORTS_PER_MINUTE_MAX: Final = 20
"""Of one node; what is more is in the log alone."""
LAST_SEND_SECONDS_MAX: Final = 2.0
"""How long a node that ends waits for the receiver of its last reports."""

_ITS_OWN: Final = ("sentry_sdk", "urllib3")
"""Parts that log when a report cannot be sent: that is not reported."""
_KEPT: Final = frozenset(
    {"event_id", "timestamp", "platform", "level", "logger", "message", "exception", "release", "sdk"}
)
"""Of what the SDK makes of an event."""
_KEPT_OF_FRAME: Final = frozenset({"filename", "module", "function", "lineno", "in_app"})


class ErrorReports:
    """Tells errors to the receiver of `dsn`. Raises ModuleNotFoundError if the SDK is not installed, and
    StepNodeError if `dsn` is none. From any thread."""

    def __init__(
        self, dsn: str, *, secrets: Sequence[str] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn, event_from_exception

        self._secrets = secrets
        self._monotonic = monotonic
        self._minute_began = monotonic()
        self._told_in_minute = 0
        self._event_of = event_from_exception
        try:
            self._client = sentry_sdk.Client(
                dsn=dsn,
                release=f"step-node@{__version__}",
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                include_source_context=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
                server_name="",
                before_send=self._cleaned,
            )
        except BadDsn:
            raise StepNodeError(
                "telemetry.errors_dsn: must be a DSN, as https://<public key>@<host>/<project>"
            ) from None

    def tell_line(self, part: str, level: str, text: str, error: BaseException | None) -> None:
        """A line of the log. Of libraries, whose texts are no constants, only errors are told."""
        is_own = part in OWN_PARTS
        if level not in ("error", "critical") or not (is_own or error is not None) or part.startswith(_ITS_OWN):
            return
        self._tell({"level": "fatal" if level == "critical" else "error", "logger": part, "message": text}, error)

    def tell_bug(self, error: BaseException) -> None:
        """What ends the node, and nobody has foreseen."""
        self._tell({"level": "fatal", "message": "the node ends with an error of its own"}, error)

    def close(self) -> None:
        """Send what waits, as far as it is taken."""
        self._client.close(timeout=LAST_SEND_SECONDS_MAX)

    def _tell(self, event: Event, error: BaseException | None) -> None:
        now = self._monotonic()
        if now - self._minute_began >= 60:
            self._minute_began, self._told_in_minute = now, 0
        self._told_in_minute += 1
        if self._told_in_minute > REPORTS_PER_MINUTE_MAX:
            return
        hint: Hint | None = None
        if error is not None:
            of_error, hint = self._event_of(error, client_options=self._client.options)
            event = {**of_error, **event}
        self._client.capture_event(event, hint)

    def _cleaned(self, event: Event, _hint: Hint) -> Event:
        kept: Any = {name: value for name, value in event.items() if name in _KEPT}
        for value in kept.get("exception", {}).get("values", ()):
            frames = (value.get("stacktrace") or {}).get("frames", ())
            value["stacktrace"] = {
                "frames": [{name: one for name, one in frame.items() if name in _KEPT_OF_FRAME} for frame in frames]
            }
        cleaned: Event = _without_secrets(kept, self._secrets)
        return cleaned


@contextmanager
def error_reports(
    dsn: str | None, *, secrets: Sequence[str], follow: Callable[[TellError | None], None]
) -> Iterator[None]:
    """Tell errors while this lasts, and the one that ends it if nobody has foreseen it; nothing without a `dsn`.

    `follow` has the log's lines told, and with None no more. Raises StepNodeError without the extra.
    """
    if dsn is None:
        yield
        return
    try:
        reports = ErrorReports(dsn, secrets=[*secrets, dsn])
    except ModuleNotFoundError as error:
        raise StepNodeError(
            f"telemetry.errors_dsn: the package {error.name} is missing; install it with `pip install"
            " 'step-node[errors]'`, or leave the setting out"
        ) from error
    follow(reports.tell_line)
    try:
        yield
    except BaseException as error:
        errors = leaves(error) if isinstance(error, BaseExceptionGroup) else (error,)
        if not all(isinstance(one, _FORESEEN) for one in errors):
            reports.tell_bug(error)
        raise
    finally:
        follow(None)
        reports.close()


_FORESEEN: Final = (StepNodeError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What an operator is told in one sentence, or has asked for."""


def _without_secrets(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return without_secrets({"": value}, secrets)[""]
    if isinstance(value, dict):
        return {name: _without_secrets(one, secrets) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(one, secrets) for one in value]
    return value
