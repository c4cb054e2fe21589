"""The admin socket: one request and one answer a connection, each one line of JSON.

Who may command is who may open the file (its owner, mode 0600) and, where the kernel tells who that is, the node's own
user or root. Everything is bounded: connections, the length of a request, the time to send it. A bug in a command ends
its connection and not the node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
import trio
from pydantic import BaseModel, ValidationError

from p2p.containment import Containment
from step_node.errors import describe_validation_error
from step_node.node.admin.audit import AuditLog
from step_node.node.admin.commands import Caller, CommandRefused, Commands, Request
from step_node.node.admin.socket_file import bound_socket, caller_of
from step_node.strict_json import is_nested_deeper

REQUEST_BYTES_MAX: Final = 16 * 1024
"""Of a request; a longer one is refused."""
REQUEST_NESTING_MAX: Final = 8
REQUEST_SECONDS_MAX: Final = 10.0
"""How long a caller may take to send one."""
ANSWER_SECONDS_MAX: Final = 60.0
"""How long a caller may take to read its answer."""
CONNECTIONS_MAX: Final = 8
"""Commands under way at once; one more is refused."""

log = structlog.get_logger("admin")


class AdminServer:
    """Serves `commands` at the socket `path`, and records them in `audit`."""

    def __init__(self, path: Path, commands: Commands, audit: AuditLog) -> None:
        self._path = path
        self._commands = commands
        self._audit = audit
        self._connections = 0
        self._containment = Containment()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Where no socket can be made the log says so, and the node goes on without."""
        try:
            listening = bound_socket(self._path)
        except OSError as error:
            log.error("the node takes no commands: no socket can be made", file=str(self._path), reason=str(error))
            task_status.started()
            return
        with self._removed():
            listening.listen(CONNECTIONS_MAX)
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
            task_status.started()
            await trio.serve_listeners(self._serve, [listener])

    @contextmanager
    def _removed(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._path.unlink(missing_ok=True)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        try:
            async with stream:
                with self._containment.of("a command of the operator"):
                    await self._answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a caller of the admin socket has gone")
        finally:
            self._connections -= 1

    async def _answer(self, stream: trio.SocketStream) -> None:
        try:
            with trio.fail_after(REQUEST_SECONDS_MAX):
                data = await _line(stream)
            reply = _done(await self._obey(data, stream))
        except CommandRefused as refused:
            reply = _refused(str(refused))
        except trio.TooSlowError:
            reply = _refused(f"a request must be sent within {REQUEST_SECONDS_MAX:.0f} seconds")
        with trio.move_on_after(ANSWER_SECONDS_MAX):
            await stream.send_all(reply)

    async def _obey(self, data: bytes, stream: trio.SocketStream) -> BaseModel:
        caller = caller_of(stream.socket)
        request = _request_in(data)
        outcome = "it was interrupted"
        try:
            self._check(caller)
            answer = await self._commands.run(request, caller)
            outcome = "done"
        except CommandRefused as refused:
            outcome = f"refused: {refused}"
            raise
        finally:
            # What was refused is recorded in any case.
            if self._commands.is_recorded(request.command) or outcome != "done":
                with trio.CancelScope(shield=True):
                    await self._audit.tell(caller, request, outcome)
        return answer

    def _check(self, caller: Caller) -> None:
        if self._connections > CONNECTIONS_MAX:
            raise CommandRefused(f"{CONNECTIONS_MAX} commands are under way already; try again when one has ended")
        if caller.uid not in (None, 0, os.geteuid()):
            raise CommandRefused(f"the node takes commands of its own user and of root, not of {caller.user}")


async def _line(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        part = await stream.receive_some(REQUEST_BYTES_MAX)
        if not part:
            break
        data += part
        if len(data) > REQUEST_BYTES_MAX:
            raise CommandRefused(f"a request must have at most {REQUEST_BYTES_MAX} bytes")
    return bytes(data)


def _request_in(data: bytes) -> Request:
    """The request in a line. Raises `CommandRefused`."""
    try:
        text = data.decode()
        if is_nested_deeper(text, REQUEST_NESTING_MAX):
            raise CommandRefused(f"a request must not be nested more than {REQUEST_NESTING_MAX} deep")
        return Request.model_validate_json(text)
    except UnicodeDecodeError as error:
        raise CommandRefused("a request must be UTF-8") from error
    except ValidationError as error:
        raise CommandRefused(f"a request must be a line of JSON: {describe_validation_error(error)}") from error


class _Done(BaseModel):
    ok: bool = True
    result: dict[str, object]


class _Refused(BaseModel):
    ok: bool = False
    message: str


def _done(answer: BaseModel) -> bytes:
    return _Done(result=answer.model_dump(mode="json", by_alias=True)).model_dump_json().encode() + b"\n"


def _refused(message: str) -> bytes:
    return _Refused(message=message).model_dump_json().encode() + b"\n"
