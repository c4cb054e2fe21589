"""A small file beside a running node that it could do without: what it holds is a convenience.

Whoever changes it must not wait for a disk, so it is written by a task of its own, the latest state at most once in
`WRITE_INTERVAL_MS`: a crowd of strangers who all change it costs one write. What a crash loses is the last second. A
file that cannot be read or written is told in the log, and the node goes on without it: a side file never ends a node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

import structlog
import trio
from pydantic import BaseModel, ValidationError

from step_node.durable.atomic_file import write_atomically
from step_node.errors import describe_validation_error

FILE_BYTES_MAX = 1024 * 1024
"""A longer file is not one that this module has written, and is not read."""
WRITE_INTERVAL_MS = 1_000

M = TypeVar("M", bound=BaseModel)

log = structlog.get_logger("home")


class SideFile(Generic[M]):
    """The file at `path`, JSON of `model`; `what` is its content, in words for the log ("the bans of peers")."""

    def __init__(self, path: Path, model: type[M], what: str) -> None:
        self._path = path
        self._model = model
        self._what = what
        self._latest: M | None = None
        self._changed = trio.Event()

    def read(self) -> M | None:
        """What the file holds; None if it is not there or, which the log tells, cannot be used."""
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"the file cannot be read: {error}"
        else:
            try:
                if len(data) <= FILE_BYTES_MAX:
                    return self._model.model_validate_json(data)
                reason = f"the file has more than {FILE_BYTES_MAX} bytes"
            except ValidationError as error:
                reason = f"the file is damaged: {describe_validation_error(error)}"
        log.warning(f"{self._what} are forgotten", file=str(self._path), reason=reason)
        return None

    def write_soon(self, content: M) -> None:
        """Have `run` write this, unless something newer comes before."""
        self._latest = content
        self._changed.set()

    async def run(self) -> None:
        """Write what changes, until cancelled; what is still to be written then is written before this ends."""
        try:
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                await trio.to_thread.run_sync(self._write)
                await trio.sleep(WRITE_INTERVAL_MS / 1000)
        finally:
            self._write()

    def _write(self) -> None:
        latest, self._latest = self._latest, None
        if latest is None:
            return
        try:
            write_atomically(self._path, latest.model_dump_json().encode() + b"\n")
        except OSError as error:
            log.warning("a file that the node can do without is not written", file=str(self._path), reason=str(error))
