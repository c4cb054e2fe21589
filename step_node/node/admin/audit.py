"""The record of what was commanded: a line of JSON for each command, in the home and in the node's log.

A file that cannot be written does not keep an operator from acting: a disk may be full, and what is commanded may be
what helps. The log then says so.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from step_node.clock import Clock
from step_node.durable.atomic_file import PRIVATE_MODE, write_fully
from step_node.node.admin.commands import Caller, Request
from step_node.offload import run_blocking
from step_node.proofs.timestamps import format_timestamp

AUDIT_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of the file; then it becomes the older one, in the place of the one before. A program that asks once a second fills
it in a day, a person never."""

log = structlog.get_logger("admin")


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The file at `path`, which is only ever added to."""

    path: Path
    clock: Clock

    async def tell(self, caller: Caller, request: Request, outcome: str) -> None:
        """Record that a command was given, and what has come of it."""
        entry = {
            "when": format_timestamp(self.clock.now_ms()),
            "uid": caller.uid,
            "user": caller.user,
            "pid": caller.pid,
            "command": request.command,
            "arguments": request.arguments,
            "why": request.why,
            "outcome": outcome,
        }
        log.info(
            "a command of the operator",
            command=request.command,
            arguments=request.arguments,
            who=str(caller),
            why=request.why,
            outcome=outcome,
        )
        try:
            await run_blocking(self._append, entry)
        except OSError as error:
            log.error("a command is not recorded", file=str(self.path), reason=str(error))

    def _append(self, entry: dict[str, Any]) -> None:
        data = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_MODE)
        try:
            if os.fstat(descriptor).st_size + len(data) > AUDIT_BYTES_MAX:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                os.close(descriptor)
                descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE_MODE)
            write_fully(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
